"""A Slack that tests talk to: Web API, Socket Mode, people, faults, and books of all of it.

It stands for the network's other end; nothing of ours is in it. In a test's own process, in a
thread of its own, for tests with and without a loop:

    with SlackServer(ack=0.3) as slack:                  # options: backend.Options
        dev = slack.channel("dev", "alice", "bob")       # after slack.person("alice"), …("bob")
        client = AsyncWebClient("xoxb-pynchy", base_url=slack.url, retry_handlers=[])
        ts = slack.say("alice", "dev", "@pynchy hello")  # → an event on one open socket
        slack.say("bob", dev, "in the thread", thread_ts=ts)
        slack.fault("chat.postMessage", "after_drop")    # the next one: accepted, answer lost
        …
        assert slack.copies() == {"…:1.0": 1}            # by the id in the metadata

or in a process of its own, which outlives whatever a test kills: `with SlackProcess() as slack:`
has the same methods, all in `control.Control`. `python -m tests.slack_server --port N` is that
process: it prints `{"url": …, "admin": …}`; POST `{"op": "say", "args": {…}}` to the latter.

Tokens: `xoxb-pynchy` (bot) and `xapp-1-A0PYNCHY01` (app). The bot is U0PYNCHY01, "pynchy"; `app`
is the app's id, another one each time.
What is posted comes back as Slack stores it: `&<>` escaped, addresses as `<https://…>`, emoji as
`:eyes:`; `posts()` has the text as it was sent, too. There is nothing in the workspace at first
but the bot. Times: an unacked event comes again after `ack` seconds and `retries`.
"""

from tests.slack_server.control import Control
from tests.slack_server.server import SlackProcess, SlackServer

__all__ = ["Control", "SlackProcess", "SlackServer"]
