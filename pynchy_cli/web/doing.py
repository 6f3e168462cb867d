"""What can be done: the same functions of the store as in a shell or a chat, in one transaction,
with the same rows of the audit. Who may was asked before."""

from __future__ import annotations

import uuid
from typing import Literal

from pynchy_cli import clock
from pynchy_cli.channels import local
from pynchy_cli.channels.intake import take
from pynchy_cli.model import NewMessage
from pynchy_cli.routing import verdicts
from pynchy_cli.security import senders
from pynchy_cli.store import groups, holding
from pynchy_cli.web import shapes
from pynchy_cli.web.call import Answer, Call
from pynchy_cli.web.guard import Refused
from pynchy_cli.web.reading import as_hold

BY = f"{senders.OWNER} (http)"
"""Who decides and holds here, as the audit log tells it."""
OUTCOMES: dict[str, Literal["approved", "denied"]] = {"approve": "approved", "deny": "denied"}
"""What is said, and what it comes to."""


def send(call: Call) -> Answer:
    """Say something in a group's chat, as the owner, or as `api` who is never obeyed."""
    wanted = call.said(shapes.Say)
    if not wanted.content.strip():
        raise Refused(400, "input_wrong", "An empty message can't be sent.")
    now = clock.now()
    is_owner = call.who == "owner"
    channel = local.NAME if is_owner else senders.API
    said = local.said(wanted.content, wanted.jid, now) if is_owner else _by_api(wanted, now)
    with call.site.store.atomic() as db:
        group = groups.by_chat(db, wanted.jid)
        if group is None:
            raise Refused(404, "chat_unknown", f"No group is in a chat {wanted.jid!r}.")
        message = take(db, channel, said, now, settings=call.site.settings).message
    if message.verdict == "refused":
        raise Refused(
            403,
            "sender_refused",
            f"{group.folder} does not listen to you: its list of users has no `owner`.",
        )
    return Answer(shapes.Sent(message.seq, message.id, group.folder, call.who))


def _by_api(wanted: shapes.Say, now: str) -> NewMessage:
    return NewMessage(
        id=f"{senders.API}-{uuid.uuid4().hex}",
        chat_jid=wanted.jid,
        sender=senders.API,
        sender_name=senders.API,
        content=wanted.content,
        timestamp=now,
    )


def decide(call: Call) -> Answer:
    """Say yes or no to what an agent asks. Raises what `verdicts.decide` raises."""
    wanted = call.said(shapes.Decide)
    outcome = OUTCOMES[wanted.decision]
    people = senders.People.of(call.site.settings)
    reason = wanted.reason if outcome == "denied" else ""
    with call.site.store.atomic() as db:
        one = verdicts.decide(
            db, call.path["id"], outcome, people=people, who=BY, now=clock.now(), reason=reason
        )
    return Answer(shapes.Decided(one.id, outcome, one.group_folder, one.type, BY))


def hold(call: Call) -> Answer:
    """Have a group, or all, begin nothing. Raises GroupUnknown."""
    wanted = call.said(shapes.MakeHold)
    reason = (wanted.reason or "").strip() or None
    with call.site.store.atomic() as db:
        if wanted.group is not None:
            groups.get(db, wanted.group)
        held = holding.hold(
            db,
            wanted.group,
            who=BY,
            now=clock.now(),
            outbound=wanted.outbound,
            reason=reason,
            stop=wanted.stop,
        )
    made = as_hold(held.hold)
    stopped = [run.id for run in held.stopped]
    return Answer(
        shapes.Held(made.group, made.outbound, made.reason, made.held_by, made.held_at, stopped)
    )


def release(call: Call) -> Answer:
    """Let a group that was held by itself go on, or all that were held together. Raises
    GroupUnknown."""
    folder = call.path.get("group")
    with call.site.store.atomic() as db:
        if folder is not None:
            groups.get(db, folder)
        was = holding.release(db, folder, who=BY, now=clock.now())
    if was is None:
        whom = f"{folder} is" if folder else "All groups together are"
        raise Refused(404, "hold_unknown", f"{whom} not held.")
    return Answer(as_hold(was))


def deploy(call: Call) -> Answer:
    """There is no deploy yet: whoever asks is told so."""
    raise Refused(
        501,
        "not_there",
        "This pynchy can't deploy itself. Update the checkout, and restart the service.",
    )
