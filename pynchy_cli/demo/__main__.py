"""The demo itself: starts all stages, sends two messages by the real commands, tells what each
stage did, and stops everything again. It leaves nothing running."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import sys
import textwrap
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pynchy_cli import clock, output, plugins, status_table
from pynchy_cli.config.paths import Home
from pynchy_cli.config.settings import Settings
from pynchy_cli.demo.stages import (
    ANSWER_SECONDS,
    FOLDER,
    Unlucky,
    environment,
    run,
    start,
    status,
    stop,
)
from pynchy_cli.model import Run
from pynchy_cli.store import messages, outbound, runs
from pynchy_cli.store.connection import Store


def main() -> int:
    """Show it; 0 where both messages were answered as they should."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    home = Home(FOLDER)
    try:
        environ = environment(os.environ, plugins.runtime("bubblewrap", Settings()).problem())
        _heading(f"pynchy --home {_short(home.root)} init: a home for the demo")
        run("init", "--yes", environ=environ)
        _heading("pynchy up: all stages, each a process")
        up = start(home.root / "up.log", environ)
        try:
            introduce(status(environ))
            show(home, environ)
        finally:
            stop(up)
        _last_words(home)
        return 0
    except Unlucky as error:
        output.say(f"The demo can't go on: {error}")
        return 1
    except KeyboardInterrupt:
        output.say("\nStopped; nothing is left running.")
        return 130


def show(home: Home, environ: Mapping[str, str]) -> None:
    """Send the two messages; raises Unlucky where an answer is missing or wrong."""
    ask(home, environ, "Hello! Who are you, and where do you live?")
    word = secrets.token_hex(4)
    note = home.group("main") / "note.txt"
    write(note, f"The word of the day is {word}.\n")
    print(f"\n  (Written into {_short(note)}: the word of the day is {word}.)")
    answer = ask(home, environ, "Please read note.txt and tell me what it says.")
    if word not in answer:
        raise Unlucky(f"the answer should hold {word!r}, which stands in note.txt.")
    _heading("pynchy status")
    status_table.print_table(status(environ), str(home.root))


def introduce(told: dict[str, Any]) -> None:
    """Say who runs, who answers, and where agents live."""
    for name, stage in told["stages"].items():
        print(f"  {name:<10} process {stage['pid']}")
    claude = "Claude, with the real key, which only the gateway holds"
    script = "a script, no model (rehearsal)"
    print(f"  answers    {claude if told['gateway']['mode'] == 'anthropic' else script}")
    print(f"  sandbox    {told['sandbox']['runtime']}", flush=True)


def write(path: Path, text: str) -> None:
    """A new file in a folder that an agent can write: no link of its making is followed."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchown(descriptor, path.parent.stat().st_uid, path.parent.stat().st_gid)


def ask(home: Home, environ: Mapping[str, str], text: str) -> str:
    """Say something by `pynchy send --wait`, tell its story, and give the answer."""
    _heading(f'pynchy send main "{text}" --wait')
    done = run("send", "main", text, "--json", "--timeout", str(ANSWER_SECONDS), environ=environ)
    told = json.loads(done)
    replies = told.get("replies") or []
    if told.get("state") != "answered" or not replies:
        raise Unlucky(f"the message is {told.get('state')}. {_short(home.root / 'up.log')} tells.")
    with Store.open(home.database) as store:
        for who, what, seconds in story(store, told["message"], replies[-1]["run"]):
            print(f"  {who:<10} {what:<56} {1000 * seconds:6.0f} ms".rstrip())
    answer = "\n\n".join(reply["content"] for reply in replies)
    width = max(40, shutil.get_terminal_size().columns - 6)
    print()
    for line in output.plain(answer).splitlines():
        for piece in textwrap.wrap(line, width, break_on_hyphens=False) or [""]:
            print(f"  | {piece}".rstrip(), flush=True)
    return answer


def story(store: Store, message: dict[str, Any], run_id: int) -> list[tuple[str, str, float]]:
    """What each stage did about a message, from the rows: who, what, seconds after it was said."""
    found: Run = runs.get(store.db, run_id)
    seq = message["seq"]
    steps = [
        ("send", f"wrote it down as message {seq} in {message['chat']}", message["timestamp"]),
        ("route", f"queued run {found.id} for the group {found.group_folder}", found.created_at),
        ("run-agent", "claimed it and gave the prompt to the group's sandbox", found.started_at),
    ]
    for one in messages.after(store.db, [message["chat"]], seq):
        if one.run_id == found.id and one.message_type == "tool_use":
            steps.append(("sandbox", f"the agent used a tool: {_line(one.content)}", one.timestamp))
    for reply in outbound.of_run(store.db, found.id):
        what = f"stored the answer as {reply.key}, delivered to {reply.chat_jid}"
        steps.append(("run-agent", what, found.finished_at))
    began = message["timestamp"]
    return [(who, what, clock.seconds_between(began, at or began)) for who, what, at in steps]


def _last_words(home: Home) -> None:
    pynchy = _short(Path(shutil.which("pynchy", path=str(Path(sys.executable).parent)) or "pynchy"))
    _heading("All stages are stopped; nothing is left running. Everything lies in")
    for path, what in (
        (home.database, "everything that happened, as rows"),
        (home.group("main"), "the group's folder, which its agent reads and writes"),
        (home.config, "what you set"),
        (home.env, "where a key goes"),
        (home.root / "up.log", "what the stages said"),
    ):
        print(f"  {_short(path):<24} {what}")
    _heading("Now you")
    for command, what in (
        (f"{pynchy} --home {_short(home.root)} up", "all stages, in one terminal"),
        (f"{pynchy} --home {_short(home.root)} chat", "and talk with it in another"),
        (f"{pynchy} --home {_short(home.root)} tail main", "what was said"),
        (f"{pynchy} init", "a home to keep, in ~/pynchy"),
        (f"{pynchy} --help", "all commands"),
    ):
        print(f"  {command:<40} {what}")


def _heading(text: str) -> None:
    print(f"\n── {text}", flush=True)


def _line(text: str) -> str:
    line = " ".join(output.plain(text).split())
    return line if len(line) <= 33 else line[:32] + "…"


def _short(path: Path) -> str:
    """The path as one would type it here."""
    with suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


if __name__ == "__main__":
    sys.exit(main())
