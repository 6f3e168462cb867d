"""What would become of a request file, were it found in a group's folder. Nothing is stored,
answered or carried out: it is read and decided on, by the same code as a real one."""

from __future__ import annotations

from agent_runner.protocol.requests import ScheduleTask
from pynchy_cli import clock
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import GroupInvalid, RequestRefused
from pynchy_cli.ipc import authorise, parse
from pynchy_cli.ipc.authorise import Principal
from pynchy_cli.ipc.facts import facts
from pynchy_cli.ipc.handlers import schedule, services
from pynchy_cli.store import groups
from pynchy_cli.store.connection import Connection


def ask(
    group: str, payload: str, settings: Settings, db: Connection | None, *, is_admin: bool
) -> dict[str, str]:
    """The outcome of a request with this text from an agent of this group (accepted, gated,
    forbidden or invalid), its code and the reason. Without a database no chat and no task is
    known.

    Raises ValueError where there can be no such group.
    """
    try:
        groups.require_folder(group)
    except GroupInvalid as error:
        raise ValueError(str(error)) from error
    try:
        # Half of a character is no UTF-8 in the file either.
        request = parse.parse(payload.encode("utf-8", "surrogatepass"))
    except RequestRefused as error:
        return _invalid(error)
    who = Principal(group, "admin" if is_admin else "group")
    rules = services.rules(settings, group, request, is_admin=is_admin)
    decision = authorise.decide(who, request, facts(db, settings, group, rules))
    if decision.outcome != "forbidden" and isinstance(request, ScheduleTask):
        try:
            schedule.require_whole(request)
            schedule.due(request, settings, clock.now())
        except RequestRefused as error:
            return _invalid(error)
    return {"outcome": decision.outcome, "code": decision.code, "message": decision.message}


def _invalid(error: RequestRefused) -> dict[str, str]:
    return {"outcome": "invalid", "code": error.code, "message": str(error)}
