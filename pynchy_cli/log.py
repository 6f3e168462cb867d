"""What a process tells about its work: one line for each event on standard error, as JSON or
text. It is the standard library's logging, which asyncio loads anyway; a logging library costs
each idle stage 6 MB. A secret is never let through, and a broken standard error never hurts."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Protocol, TextIO

from pynchy_cli import clock

MASK = "(secret)"
_KEY = re.compile(r"sk-ant-[A-Za-z0-9_-]{4,}")

Failure = BaseException | tuple[Any, Any, Any] | bool | None


class Wanted(Protocol):
    """What the configuration says about lines: its section `log`."""

    @property
    def level(self) -> str:
        """The least important kind of line: debug, info, warning or error."""

    @property
    def format(self) -> str:
        """auto, text or json."""


class Log:
    """Writes events with their facts: `log.info("run finished", run=5)`."""

    def __init__(self, logger: logging.Logger, facts: dict[str, Any] | None = None) -> None:
        self._logger = logger
        self._facts = facts or {}

    def bind(self, **facts: Any) -> Log:
        """A log whose every line has these facts too."""
        return Log(self._logger, {**self._facts, **facts})

    def debug(self, event: str, /, **facts: Any) -> None:
        """What only helps to find a fault."""
        self._write(logging.DEBUG, event, facts)

    def info(self, event: str, /, **facts: Any) -> None:
        """What happened, as it should."""
        self._write(logging.INFO, event, facts)

    def warning(self, event: str, /, **facts: Any) -> None:
        """What a person should know of, though work goes on."""
        self._write(logging.WARNING, event, facts)

    def error(self, event: str, /, *, exc_info: Failure = None, **facts: Any) -> None:
        """What failed; `exc_info` adds the traceback."""
        self._write(logging.ERROR, event, facts, exc_info)

    def exception(self, event: str, /, **facts: Any) -> None:
        """What failed, with the traceback of the exception in hand."""
        self._write(logging.ERROR, event, facts, True)

    def _write(
        self, level: int, event: str, facts: dict[str, Any], failure: Failure = None
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(
                level,
                "%s",
                event,
                exc_info=failure or None,
                extra={"facts": {**self._facts, **facts}},
            )


def get(name: str) -> Log:
    """The log of one part, such as `get("route")`."""
    return Log(logging.getLogger(f"pynchy.{name}"))


def configure(wanted: Wanted, stage: str, secrets: Iterable[str] = ()) -> None:
    """Say how lines look and which are written, for this whole process; libraries' lines too,
    those only from `warning` on. `secrets` are masked wherever they stand."""
    to = sys.stderr
    on_terminal = to is not None and to.isatty()
    as_json = wanted.format == "json" or (wanted.format == "auto" and not on_terminal)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(_Handler(to, stage, as_json, tuple(one for one in secrets if len(one) > 3)))
    root.setLevel(logging.WARNING)
    logging.getLogger("pynchy").setLevel(wanted.level.upper())
    # What a line doesn't tell needn't be looked up each time.
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without these secrets, and without anything that looks like a key."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return _KEY.sub(MASK, text)


class _Handler(logging.Handler):
    def __init__(
        self, stream: TextIO | None, stage: str, as_json: bool, secrets: tuple[str, ...]
    ) -> None:
        super().__init__()
        self._stream = stream
        self._stage = stage
        self._as_json = as_json
        self._secrets = secrets

    def emit(self, record: logging.LogRecord) -> None:
        if self._stream is None:
            return
        line = self._json(record) if self._as_json else self._text(record)
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # whoever read our standard error has gone

    def _json(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": clock.now(),
            "level": record.levelname.lower(),
            "stage": self._stage,
            "logger": record.name.removeprefix("pynchy."),
            "event": self._masked(record.getMessage()),
        }
        for name, value in _facts(record).items():
            line[f"{name}_" if name in line else name] = self._fact(value)
        if record.exc_info:
            line["traceback"] = self._masked(_traceback(record.exc_info))
        return json.dumps(line)

    def _text(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{name}={value}" for name, value in _facts(record).items())
        line = f"{clock.now()} {record.levelname.lower():7} {self._stage}: {record.getMessage()}"
        lines = [f"{line} {facts}".rstrip()]
        if record.exc_info:
            lines += _traceback(record.exc_info).splitlines()
        return self._masked("\n".join(_visible(one) for one in lines))

    def _fact(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        return self._masked(str(value))

    def _masked(self, text: str) -> str:
        return masked(text, self._secrets)


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    return getattr(record, "facts", {})


def _visible(line: str) -> str:
    """A line that a terminal shows and doesn't obey, and that stays one line."""
    return line if line.isprintable() else repr(line)[1:-1]


def _traceback(
    failure: tuple[type[BaseException] | None, BaseException | None, TracebackType | None],
) -> str:
    import traceback  # only where something failed

    return "".join(traceback.format_exception(*failure)).rstrip()
