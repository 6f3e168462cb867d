"""What a process tells about its work: one line for each event on standard error, as JSON or
text, libraries' lines too. structlog makes them; it is loaded with the first line that is
really written, since most processes write none. A secret is never let through, and a broken
standard error never hurts."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from pynchy_cli import clock, journal

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger, ProcessorFormatter
    from structlog.typing import EventDict, Processor

MASK = "(secret)"
_KEY = re.compile(
    r"sk-ant-[A-Za-z0-9_-]{4,}|gh[oprsu]_[A-Za-z0-9]{16,}|github_pat_\w{16,}"
    r"|(?:xox[a-z]|xapp)[.-][A-Za-z0-9.-]{8,}|(?<=[?&]ticket=)[\w-]+"
)
_LOGIN = re.compile(r"(?<=://)[^\s/]+(?=@)")
LINE = 8
"""Letters that a line of a secret must have to be hidden by itself."""
_ESCAPED = {one: one for one in "\"'\\/"} | dict(zip("\b\f\n\r\t", "bfnrt", strict=True))
"""What stands behind a backslash for a letter."""
_PIECE = re.compile(r"\s+|\\+|\S")
_FIRST = {"timestamp", "level", "stage", "logger", "event", "exception"}
_STRUCTLOGS = {"exc_info", "stack", "self", "method_name", "_record", "_from_structlog"}
_UNWRITTEN = "a line that can't be written"

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
    """Writes events with their facts: `log.info("run finished", run=5)`. It stands before
    structlog's bound logger, and makes that when a line is first written."""

    def __init__(self, logger: logging.Logger, facts: Mapping[str, Any] | None = None) -> None:
        self._logger = logger
        self._facts = facts or {}

    def bind(self, /, **facts: Any) -> Log:
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
        self, level: int, event: str, facts: Mapping[str, Any], failure: Failure = None
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._bound.log(level, event, exc_info=failure, **_renamed(facts))

    @cached_property
    def _bound(self) -> BoundLogger:
        _load_structlog()
        from structlog import stdlib, wrap_logger

        to_handler = [stdlib.ProcessorFormatter.wrap_for_formatter]
        logger = wrap_logger(self._logger, to_handler, wrapper_class=stdlib.BoundLogger)
        bound: BoundLogger = logger.bind(**_renamed(self._facts))
        return bound


def get(name: str) -> Log:
    """The log of one part, such as `get("route")`."""
    return Log(logging.getLogger(f"pynchy.{name}"), {})


def configure(
    wanted: Wanted, stage: str, secrets: Iterable[str] = (), *, as_json: bool = False
) -> None:
    """Say how lines look and which are written, for this whole process; libraries' lines too,
    those only from `warning` on. `secrets` are masked wherever they stand. `as_json` is for those
    whose lines are made into text by somebody else, whatever is wanted."""
    to = sys.stderr
    on_terminal = to is not None and to.isatty()
    as_json = as_json or wanted.format == "json" or (wanted.format == "auto" and not on_terminal)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    hidden = tuple(one for one in secrets if len(one) > 3)
    make = partial(_formatter, stage, as_json, hidden)
    root.addHandler(logging.NullHandler() if to is None else _Handler(to, make))
    root.setLevel(logging.WARNING)
    logging.getLogger("pynchy").setLevel(wanted.level.upper())
    # What a line doesn't tell needn't be looked up each time.
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without these secrets, as they are or as they stand in an address or in JSON, and
    without anything that looks like a key or like a login in an address."""
    if known := tuple(secrets):
        text = _hidden(known).sub(MASK, text)
    return _LOGIN.sub(MASK, _KEY.sub(MASK, text))


@lru_cache(maxsize=8)
def _hidden(secrets: tuple[str, ...]) -> re.Pattern[str]:
    """Where one of the secrets stands, or a line of one that has several."""
    lines = (line for one in secrets for line in one.splitlines() if len(line) >= LINE)
    # The longest first, so that one that begins as another does leaves no end behind.
    found = sorted({*secrets, *lines} - {""}, key=len, reverse=True)
    # What nothing is, where there are none.
    return re.compile(
        "|".join("".join(map(_piece, _PIECE.findall(one))) for one in found) or "(?!)"
    )


def _piece(text: str) -> str:
    """One letter in any form; blanks, which may have become a single one; or backslashes, however
    often they were doubled."""
    if text[0] == "\\":
        return r"(?i:\\(?:u005c|x5c)?|%5c)+"
    if text.isspace():
        return rf"(?:[\s+]|{'|'.join(map(_forms, sorted(set(text))))})+"
    return _forms(text)


def _forms(letter: str) -> str:
    """A letter, however programs write it: percent-encoded, or escaped as in JSON or in Python, be
    it several times."""
    if letter.isascii() and (letter.isalnum() or letter in "-_~"):
        return re.escape(letter)
    data = letter.encode("utf-8", "surrogatepass")
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    forms = [
        re.escape(letter),
        "(?i:" + "".join(f"%{one:02x}" for one in data) + ")",
        "(?i:" + "".join(rf"\\+u{units[at : at + 4]}" for at in range(0, len(units), 4)) + ")",
        "(?i:" + "".join(rf"\\+x{one:02x}" for one in data) + ")",
        rf"(?i:\\+(?:x{ord(letter):02x}|U{ord(letter):08x}))",
    ]
    if (name := _ESCAPED.get(letter)) is not None:
        forms.append(rf"\\+{re.escape(name)}")
    return f"(?:{'|'.join(forms)})"


class _Handler(logging.StreamHandler[TextIO]):
    def __init__(self, stream: TextIO, make: Callable[[], logging.Formatter]) -> None:
        super().__init__(stream)
        self._make = make
        self._to_journal = journal.is_journal(stream, os.environ)

    def format(self, record: logging.LogRecord) -> str:
        self.formatter = self.formatter or self._make()
        text = self.formatter.format(record)
        return journal.prefixed(text, record.levelname.lower()) if self._to_journal else text

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Be still where the reader has gone. A line that can't be made, such as a library's
        with too few arguments, is told of; logging itself would print what it holds."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError) or self.stream.closed or record.msg == _UNWRITTEN:
            return
        kept = {name: record.__dict__[name] for name in ("name", "levelno", "levelname")}
        self.emit(logging.makeLogRecord({**kept, "msg": _UNWRITTEN}))


def _load_structlog() -> None:
    """Load it without Rich, with which it would draw tracebacks, for 40 ms and 5 MB."""
    if not {"structlog", "rich"} & sys.modules.keys():
        sys.modules["rich"] = None  # type: ignore[assignment]  # as if it weren't installed
        try:
            import structlog.stdlib  # noqa: F401
        finally:
            del sys.modules["rich"]


def _formatter(stage: str, as_json: bool, secrets: tuple[str, ...]) -> ProcessorFormatter:
    """Makes a line of an event, ours or a library's."""
    _load_structlog()
    from structlog import processors, stdlib

    text: list[Processor] = [_visible, _columns()]
    return stdlib.ProcessorFormatter(
        processors=[
            stdlib.add_log_level,
            stdlib.add_logger_name,
            stdlib.ProcessorFormatter.remove_processors_meta,
            processors.format_exc_info,
            partial(_ordered, stage),
            partial(_without, secrets),
            *([processors.JSONRenderer()] if as_json else text),
        ]
    )


def _columns() -> Processor:
    """Text such as `2026-01-31T08:00:00.000Z info    route: queued run=5`."""
    from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter, plain_traceback

    plain = partial(KeyValueColumnFormatter, value_style="", reset_style="", value_repr=str)
    columns = [
        Column("timestamp", plain(None)),
        Column("level", plain(None, width=len("warning"))),
        Column("stage", plain(None, postfix=":")),
        Column("logger", lambda key, value: ""),
        Column("event", plain(None)),
        Column("", plain("")),
    ]
    return ConsoleRenderer(columns=columns, sort_keys=False, exception_formatter=plain_traceback)


def _ordered(stage: str, logger: Any, method: str, event: EventDict) -> EventDict:
    """The line with what every line has first."""
    first = {
        "timestamp": clock.now(),
        "level": event.pop("level"),
        "stage": stage,
        "logger": event.pop("logger").removeprefix("pynchy."),
        "event": event.pop("event"),
    }
    return {**first, **event}


def _without(secrets: tuple[str, ...], logger: Any, method: str, event: EventDict) -> EventDict:
    """The line without secrets, and of plain values only."""
    for name, value in event.items():
        if not (value is None or isinstance(value, bool | int | float)):
            event[name] = masked(str(value), secrets)
    return event


def _visible(logger: Any, method: str, event: EventDict) -> EventDict:
    """The line as a terminal shows it and doesn't obey it. Only a traceback has several."""
    for name, value in event.items():
        if isinstance(value, str):
            lines = value.splitlines() if name == "exception" else [value]
            event[name] = "\n".join(
                line if line.isprintable() else repr(line)[1:-1] for line in lines
            )
    return event


def _renamed(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts that hide nothing of what a line itself says."""
    taken = _FIRST | _STRUCTLOGS
    return {f"{name}_" if name in taken else name: value for name, value in facts.items()}
