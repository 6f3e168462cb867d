"""What holds of tasks and host jobs as a whole: each has a name that can stand in the file, says
what is to be done, and when. Whether its time has passed isn't asked: that would make a
configuration invalid by itself, one day."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from pynchy_cli.config.settings import JobRules, Settings, TaskRules, TimedRules
from pynchy_cli.errors import ConfigInvalid, ScheduleInvalid

Where = Callable[[str, str | None], str]
"""Names a section, or a setting in it, to a person, with the place where it is given."""
KINDS = {"cron": "cron", "every": "interval", "at": "once"}
"""The settings that say when something is due, and the type of schedule that each makes."""
NEEDED = {TaskRules: ("group", "prompt"), JobRules: ("command",)}
EARLY = "1971-01-01T00:00:00.000Z"
"""A moment that is before all that anybody configures: none is refused as past."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_GIVEN_TO_OTHERS = re.compile(r"(task|job)-[a-z0-9]{6}")


def schedule(rules: TimedRules) -> tuple[str, str]:
    """The type of schedule that is configured, and its value as it is written."""
    return next((KINDS[key], getattr(rules, key)) for key in _times(rules))


def require_timed(settings: Settings, where: Where) -> None:
    """Raises ConfigInvalid where a task or a host job can't be, or a time zone is none."""
    if settings.scheduler.timezone:
        _require_zone(settings.scheduler.timezone, where("scheduler", "timezone"))
    for family, named in (("tasks", settings.tasks), ("jobs", settings.jobs)):
        for name, rules in named.items():
            section = f"{family}.{name}"
            _require_name(name, where(section, None))
            _require_needed(section, rules, where)
            _require_schedule(section, rules, where)


def _require_name(name: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigInvalid(
            f"{where}: the name must be of letters, digits, '_' and '-', 64 at most."
        )
    if _GIVEN_TO_OTHERS.fullmatch(name):
        raise ConfigInvalid(
            f"{where}: names of this form are given to what is made by command. Choose another."
        )


def _require_needed(section: str, rules: TimedRules, where: Where) -> None:
    for key in NEEDED[type(rules)]:
        if not getattr(rules, key).strip():
            raise ConfigInvalid(f"{where(section, None)}: {key} is needed.")
    if isinstance(rules, JobRules) and rules.cwd and not rules.cwd.startswith(("/", "~")):
        raise ConfigInvalid(
            f"{where(section, 'cwd')} must be an absolute path, or one that begins with ~."
        )


def _require_schedule(section: str, rules: TimedRules, where: Where) -> None:
    times = list(_times(rules))
    if len(times) != 1:
        said = f", not {' and '.join(times)}" if times else ""
        raise ConfigInvalid(f"{where(section, None)}: one of cron, every and at is needed{said}.")
    if rules.timezone:
        _require_zone(rules.timezone, where(section, "timezone"))
    from pynchy_cli import recurrence

    kind, value = schedule(rules)
    try:
        recurrence.read(kind, value, rules.timezone or "UTC", EARLY)
    except ScheduleInvalid as error:
        raise ConfigInvalid(f"{where(section, times[0])}: {error}") from error


def _require_zone(name: str, where: str) -> None:
    from pynchy_cli import recurrence

    try:
        recurrence.zone(name)
    except ScheduleInvalid as error:
        raise ConfigInvalid(f"{where}: {error}") from error


def _times(rules: TimedRules) -> Iterator[str]:
    """The settings by which it says when it is due."""
    return (key for key in KINDS if getattr(rules, key).strip())
