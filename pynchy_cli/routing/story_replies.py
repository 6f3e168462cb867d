"""The part of a story that is of replies: where each was to be brought, when it was, and why it
wasn't."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pynchy_cli.model import Delivery, Part
from pynchy_cli.routing.story_steps import Ending, Step, quoted
from pynchy_cli.store.outbound import INBOXES, WITHDRAWN
from pynchy_cli.store.story import Facts, Shown

WHO = {"agent": "The agent answered", "host": "Pynchy itself said", "person": "It was shown"}


def steps(one: Shown) -> Iterator[Step]:
    """What became of one reply."""
    reply = one.reply
    facts = {"reply": reply.id, "run": reply.run_id, "source": reply.source}
    at = one.finished_at or reply.created_at
    if reply.source == WITHDRAWN:
        yield Step(at, "reply", f"Reply {reply.id} came to nothing and is taken out.", facts)
    else:
        who = WHO.get(reply.source, f"{reply.source} said")
        who = who if reply.is_final else "The agent is writing"
        yield Step(at, "reply", f"{who} (reply {reply.id}): {quoted(reply.content)}", facts)
    for delivery, parts in one.places:
        if delivery.delivered_at is not None:
            where = {"chat": delivery.chat_jid, "parts": [part.remote_id for part in parts]}
            yield Step(delivery.delivered_at, "delivered", _there(delivery, parts), facts | where)


def _there(delivery: Delivery, parts: Sequence[Part]) -> str:
    if delivery.channel in INBOXES:
        return (
            f"Reply {delivery.reply.id} can be read in {delivery.chat_jid}: that chat is the file."
        )
    again = ", once more since nobody knew" if any(part.again for part in parts) else ""
    count = f" as {len(parts)} messages" if len(parts) > 1 else ""
    ids = f" ({', '.join(str(part.remote_id) for part in parts)})" if parts else ""
    return f"Reply {delivery.reply.id} stood in {delivery.chat_jid}{count}{ids}{again}."


def ending(shown: Sequence[Shown], facts: Facts) -> Ending:
    """Where some replies stand: at the first that isn't where it belongs."""
    for one in shown:
        if not one.reply.is_final:
            return Ending("writing", f"Reply {one.reply.id} is still being written.")
        for delivery, _ in one.places:
            if (stopped := _stopped(delivery, facts)) is not None:
                return stopped
    return Ending("done", "Nothing more: it is done, and stands where it belongs.")


def _stopped(delivery: Delivery, facts: Facts) -> Ending | None:
    number, chat, error = delivery.reply.id, delivery.chat_jid, delivery.error
    why = f" ({error})" if error else ""
    if delivery.state == "sent":
        return None
    if delivery.state == "dropped":
        return Ending("dropped", f"A person gave reply {number} to {chat} up; it is not sent.")
    if delivery.state == "dead":
        text = f"Reply {number} never gets to {chat}{why}. It is tried again only when told to:"
        return Ending("dead", text, f"pynchy outbox retry {number}")
    if delivery.held:
        text = f"Nobody knows whether reply {number} got to {chat}{why}: look there, then decide:"
        return Ending("unknown", text, f"pynchy outbox retry {number} --again")
    for hold in facts.holds:
        if hold.outbound and hold.group_folder in (None, delivery.reply.group_folder):
            name = hold.group_folder or "--all"
            text = f"Reply {number} to {chat} is held by {hold.held_by} since {hold.held_at}."
            return Ending("held", text, f"pynchy release {name}")
    stage = f"listen@{delivery.channel}"
    if stage not in facts.alive:
        text = f"Reply {number} waits for {stage}, which isn't running{why}."
        return Ending("stage_away", text, "pynchy up")
    if delivery.next_attempt_at is not None and delivery.next_attempt_at > facts.now:
        text = f"Reply {number} is tried again in {chat} at {delivery.next_attempt_at}{why}."
        return Ending("backed_off", text, f"pynchy outbox retry {number}")
    return Ending("sending", f"Reply {number} is on its way to {chat}{why}.")
