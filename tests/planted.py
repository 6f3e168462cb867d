"""A copy of the sources with a package of further cores beside it: agents that misbehave, run
by the real worker in a real sandbox. The copy is found first on PYTHONPATH."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

HEAD = """
import asyncio, os, signal, sys, time
from pathlib import Path
from agent_runner.protocol import Started, Text, TurnEnded, ToolUse

class Core:
    session_id = None
    async def start(self, run, toolbox):
        self.session_id = run.session_id or "made-up"
        self.toolbox = toolbox
    async def stop(self):
        pass
    async def steer(self, document):
        self.steered = [*getattr(self, "steered", []), document]
    async def interrupt(self):
        self.is_interrupted = True
    async def turn(self, document):
        turn = document.turn
        yield Started(turn=turn, session_id=self.session_id)
"""

CORES = {
    # Prints what is no record, then answers all the same.
    "rubbish": """
        log = Path("/workspace/ipc/output/log")
        with log.open("ab") as out:
            out.write(b"\\x00\\xff rubbish \\n---PYNCHY_OUTPUT_START---\\nnot json\\n"
                      b"---PYNCHY_OUTPUT_END---\\n" + b"x" * 3_000_000 + b"\\n")
        yield TurnEnded(turn=turn, reply="after the rubbish")
""",
    # Never ends its line, and never stops.
    "flood": """
        log = Path("/workspace/ipc/output/log")
        with log.open("ab", buffering=0) as out:
            for _ in range(200):
                out.write(b"y" * 1_000_000)
                await asyncio.sleep(0)
        yield TurnEnded(turn=turn, reply="after the flood")
""",
    # Says nothing and goes.
    "silent": """
        os._exit(0)
""",
    # Does not answer, and does not listen.
    "hang": """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
""",
    # Fails as long as the group's folder holds no file named "well".
    "moody": """
        if Path("/workspace/group/well").exists():
            yield TurnEnded(turn=turn, reply="well again")
        else:
            yield TurnEnded(turn=turn, error="it is not my day")
""",
    # Writes half an answer and waits for the file "go" in the group's folder.
    "slow": """
        yield Text(turn=turn, text="half ")
        Path("/workspace/group/started").touch()
        while not Path("/workspace/group/go").exists():
            await asyncio.sleep(0.02)
        yield TurnEnded(turn=turn, reply="half and whole")
""",
    # The same, but it calls a tool before, and lets itself be interrupted.
    "polite": """
        self.is_interrupted = False
        self.turns = getattr(self, "turns", 0) + 1
        yield Text(turn=turn, text="half ")
        yield ToolUse(turn=turn, tool_id="t1", name="Bash", input={"command": "ls\\n-l"})
        Path("/workspace/group/started").touch()
        while not Path("/workspace/group/go").exists() and not self.is_interrupted:
            await asyncio.sleep(0.02)
        if self.is_interrupted:
            yield TurnEnded(turn=turn, reply="half ", is_interrupted=True)
        else:
            yield TurnEnded(turn=turn, reply=f"whole, in turn {self.turns}")
""",
    # Repeats what it is told, a word at a time, and now and then takes in what came meanwhile.
    "telling": """
        from agent_runner.cores.echo import said
        reply, read = [], 0
        words = said(document.prompt).split()
        while words:
            reply.append(words.pop(0))
            yield Text(turn=turn, text=reply[-1] + " ")
            await asyncio.sleep(0.05)
            while len(reply) % 12 == 5 and getattr(self, "steered", []):
                steer = self.steered.pop(0)
                if steer.turn == turn:
                    words += said(steer.prompt).split()
                    read = steer.through
        yield TurnEnded(turn=turn, reply=" ".join(reply), read=read)
""",
    # Tells which process answers, and the turn's number in it.
    "counting": """
        self.turns = getattr(self, "turns", 0) + 1
        yield TurnEnded(turn=turn, reply=f"turn {self.turns}", session_id="made-up")
""",
    # Tells what it sees of the host's folder that it was given, if any.
    "looking": """
        place = Path("/workspace/extra/notes")
        seen = sorted(path.name for path in place.iterdir()) if place.exists() else "nothing"
        hidden = (place / ".env").read_text() if place.exists() else "nothing"
        yield TurnEnded(turn=turn, reply=f"{seen} {hidden!r}")
""",
    # Fills the group's folder, some megabytes a second, and doesn't stop.
    "filling": """
        with Path("/workspace/group/large").open("ab") as file:
            while True:
                file.write(b"z" * 200_000)
                await asyncio.sleep(0.05)
        yield TurnEnded(turn=turn, reply="full")
""",
    # Does whatever the file do.py in the group's folder says; its answer is `said` then.
    "obeying": """
        known = {"said": "done"}
        exec(Path("/workspace/group/do.py").read_text(), known)
        yield TurnEnded(turn=turn, reply=str(known["said"]))
""",
    # Does what its prompt says after `do:`, or else do.py in the group's folder; both may ask the
    # host for things, and wait for the answers.
    "handing": """
        import json
        numbers = iter(range(1000))
        def ask(type, **fields):
            number = next(numbers)
            place = Path("/workspace/ipc/requests")
            (place / ".draft").write_text(json.dumps({"type": type, **fields}))
            (place / ".draft").rename(place / f"{number:08d}-r{number}.json")
            answer = Path(f"/workspace/ipc/responses/r{number}.json")
            while not answer.exists():
                time.sleep(0.01)
            return json.loads(answer.read_text())
        def until(path):
            while not Path(path).exists():
                time.sleep(0.01)
        task = document.prompt.partition("do:")[2]
        known = {"ask": ask, "until": until, "prompt": document.prompt, "Path": Path, "os": os}
        exec(task or Path("/workspace/group/do.py").read_text(), known)
        yield TurnEnded(turn=turn, reply=str(known["said"]))
""",
    # Has a client of its own start the tools' server beside it, and calls one of them.
    "outward": """
        from mcp import Client, StdioServerParameters
        command, *args = self.toolbox.command
        known = self.toolbox.variables
        server = StdioServerParameters(command=command, args=args, env=known)
        async with Client(server) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            called = await client.call_tool("add_todo", {"content": "by another client"})
        yield TurnEnded(turn=turn, reply=f"{sorted(names)} {called.content[0].text}")
""",
    # Calls a tool again and again; its answer is how many milliseconds each call took.
    "timing": """
        took = []
        for number in range(300):
            begun = time.monotonic()
            called = await self.toolbox.call("add_todo", {"content": f"{number}"})
            took.append((time.monotonic() - begun) * 1000)
            assert not called.is_error, called.text
            await asyncio.sleep(0.01)
        yield TurnEnded(turn=turn, reply=str(took))
""",
    # Replaces its own output log.
    "forger": """
        log = Path("/workspace/ipc/output/log")
        log.unlink()
        log.symlink_to("/etc/passwd")
        await asyncio.sleep(600)
        yield TurnEnded(turn=turn, reply="forged")
""",
}


PLUGIN = """
from pynchy_cli.agent.cores import Core
from pynchy_cli.plugins import hookimpl

class Planted:
    @hookimpl
    def pynchy_core(self, name):
        return Core(name, has_model=False, packages=("planted",))

plugin = Planted()
"""


PAYING = """
from pynchy_cli.plugins import hookimpl
from pynchy_cli.plugins.tools import Tool

async def run(arguments, caller):
    return {}

class Plugin:
    @hookimpl
    def pynchy_tools(self, name, settings):
        rules = {"look": "allow", "pay": "gate", "wipe": "admin"}
        return [Tool(name, "Does.", {"type": "object"}, run, rule) for name, rule in rules.items()]

plugin = Plugin()
"""
"""A plugin with a tool under each rule."""


def plant(folder: Path) -> Path:
    """A copy of both packages in `folder`, and beside them a stranger's package that brings all
    the cores above through the plugins' door; gives the folder."""
    for package in ("pynchy_cli", "agent_runner"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copytree(ROOT / "directives", folder / "directives")
    files = {f"planted_cores/{name}.py": HEAD + body for name, body in CORES.items()}
    files["planted.py"] = PLUGIN
    files["planted-1.dist-info/METADATA"] = "Metadata-Version: 2.1\nName: planted\nVersion: 1\n"
    files["planted-1.dist-info/entry_points.txt"] = "\n".join(
        [
            "[pynchy.plugins]",
            *(f"{name} = planted:plugin" for name in CORES),
            "[pynchy.cores]",
            *(f"{name} = planted_cores.{name}:Core" for name in CORES),
        ]
    )
    record = "planted-1.dist-info/RECORD"
    files[record] = "".join(f"{name},,\n" for name in (*files, record))
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def plant_plugin(place: Path, name: str, source: str) -> None:
    """A stranger's package in the folder `place`, which brings one plugin. `source` is its module's
    text, in which `plugin` is the object with the hooks."""
    module = f"planted_{name}"
    info = place / f"{module}-1.dist-info"
    info.mkdir(parents=True)
    (place / f"{module}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[pynchy.plugins]\n{name} = {module}:plugin\n")
