"""What can be asked: pure readings of the file, each with its answer's type. None of them checks
anything anew, waits, or calls a model."""

from __future__ import annotations

from dataclasses import asdict

from pynchy_cli import clock
from pynchy_cli.errors import PynchyError
from pynchy_cli.model import Task
from pynchy_cli.routing import verdicts
from pynchy_cli.store import chats, groups, holds, news, status, tasks, waiting
from pynchy_cli.web import shapes
from pynchy_cli.web.call import Answer, Call
from pynchy_cli.web.guard import Refused
from pynchy_cli.web.metrics import FORMAT, metrics

HEALTHY = "healthy"


def read_status(call: Call) -> Answer:
    """What `pynchy status --json` tells."""
    return Answer(_status(call))


def read_health(call: Call) -> Answer:
    """200 where all is well, else 503."""
    told = _status(call)
    state = told["service"]["status"]
    channels, deploy = told["channels"], told["deploy"]
    found = shapes.Health(
        status="ok" if state == HEALTHY else state,
        uptime_seconds=told["service"]["uptime_seconds"],
        head_sha=deploy["head_sha"],
        head_commit=deploy["head_commit"],
        dirty=deploy["dirty"],
        channels_connected=sorted(name for name, is_there in channels.items() if is_there),
        channels_away=sorted(name for name, is_there in channels.items() if not is_there),
        troubles=[shapes.Trouble(**one) for one in told["troubles"]],
    )
    return Answer(found, 200 if state == HEALTHY else 503)


def read_metrics(call: Call) -> Answer:
    """The same for Prometheus."""
    return Answer(metrics(_status(call)), content_type=FORMAT)


def read_groups(call: Call) -> Answer:
    """All groups."""
    found = groups.all(call.site.db)
    return Answer([shapes.Group(one.jid, one.name, one.folder) for one in found])


def read_messages(call: Call) -> Answer:
    """What was said last in a chat, oldest first."""
    wanted = call.asked(shapes.SaidQuery)
    db = call.site.db
    if chats.get(db, wanted.jid) is None:
        raise Refused(404, "chat_unknown", f"There is no chat {wanted.jid!r}.")
    return Answer(
        [
            shapes.Said(
                *(one.seq, one.id, one.chat_jid, one.sender, one.sender_name, one.content),
                *(one.timestamp, one.is_from_me, one.message_type, one.verdict),
            )
            for one in news.last_said(db, wanted.jid, wanted.limit)
        ]
    )


def read_approvals(call: Call) -> Answer:
    """What waits for a person, oldest first."""
    db, now = call.site.db, clock.now()
    everything = call.asked(shapes.AskedQuery).all
    found = waiting.newest(db) if everything else waiting.pending(db)
    return Answer([shapes.Asked(**verdicts.as_row(one, now)) for one in found])


def read_approval(call: Call) -> Answer:
    """All of what is asked. Raises ApprovalUnknown."""
    one = waiting.get(call.site.db, call.path["id"].strip().lower())
    return Answer(shapes.AskedWhole(**verdicts.as_document(one, clock.now())))


def read_holds(call: Call) -> Answer:
    """All holds, that of all groups first."""
    return Answer([as_hold(one) for one in holds.all(call.site.db)])


def as_hold(hold: holds.Hold) -> shapes.Hold:
    """A hold as it is shown."""
    facts = asdict(hold)
    return shapes.Hold(group=facts.pop("group_folder"), **facts)


def read_periodic(call: Call) -> Answer:
    """What each group does by the clock."""
    found: list[shapes.Periodic] = []
    for group in groups.all(call.site.db):
        of_group = tasks.all(call.site.db, group.folder)
        found += [_periodic(group.name, one) for one in of_group]
        if not of_group:
            found.append(shapes.Periodic(group.name, group.folder))
    return Answer(found)


def _periodic(name: str, task: Task) -> shapes.Periodic:
    return shapes.Periodic(
        name=name,
        folder=task.group_folder,
        task=task.id,
        schedule=f"{task.schedule_type} {task.schedule_value}",
        context_mode=task.context_mode,
        last_run=task.last_run,
        next_run=task.next_run,
        status=task.status,
    )


def _status(call: Call) -> shapes.Document:
    home = call.site.home
    try:
        return status.read(str(home.database), str(home.locks), clock.now())
    except PynchyError as error:
        return status.unreadable(str(home.database), error)
