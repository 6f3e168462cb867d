"""A target for the fuzzer atheris: `python -m tests.security.fuzz_requests [-runs=N] …`, with the
options of libFuzzer. Whatever the bytes are, they are a request or are refused; and what is a
request is stored as it was asked."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris
import msgspec

from agent_runner.protocol import requests as protocol
from pynchy_cli.errors import RequestRefused

# The fuzzer sees the way that is taken in Python alone: so json is read by what is written in it.
for name in [name for name in sys.modules if name == "json" or name.startswith("json.")]:
    del sys.modules[name]
sys.modules["_json"] = None  # type: ignore[assignment]
with atheris.instrument_imports(include=["json", "pynchy_cli.ipc.parse"]):
    import json.decoder  # noqa: F401

    from pynchy_cli.ipc import parse

CORPUS = (
    protocol.SendMessage(text="Grüße\n", chat_jid="local:main", files=("a/b.txt",), sender="Me"),
    protocol.ScheduleTask(schedule_type="cron", schedule_value="0 9 * * *", prompt="look"),
    protocol.ScheduleTask(
        schedule_type="once", schedule_value="soon", task_type="host", command="id", cwd="/"
    ),
    protocol.PauseTask(task_id="t1", request_id="id-1"),
    protocol.RegisterGroup(jid="local:a", folder="a", name="A", trigger="@a"),
    protocol.AskUser(
        questions=(protocol.Question(question="?", options=(protocol.Option(label="yes"),)),)
    ),
    protocol.CompleteTodo(todo_id=1),
    protocol.RunInSandbox(task="x", folder="none", wait=False),
    protocol.Service(tool="x", arguments={"a": [1, -0.5, 1e9, None, True, {"b": "\ud7ff"}]}),
)


def one(data: bytes) -> None:
    """What the fuzzer calls; it fails by what this raises."""
    try:
        request = parse.parse(data)
    except RequestRefused as refusal:
        if refusal.code not in ("invalid", "too_large", "type_unknown"):
            raise ValueError(refusal.code) from refusal
        str(refusal).encode()
        return
    again = parse.stored(parse.payload(request))
    assert again == msgspec.structs.replace(request, request_id=None), (request, again)


def main(arguments: list[str]) -> None:
    """Fuzz, from a corpus of one request of each shape, in the folder FUZZ_FOLDER."""
    folder = Path(os.environ.get("FUZZ_FOLDER", ".venv/fuzz"))
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, request in enumerate(CORPUS):
        (corpus / f"{number}").write_bytes(protocol.write_request(request))
    words = sorted({*protocol.types(), *protocol.Service.__struct_fields__, "request_id", "type"})
    (folder / "words").write_text("".join(f'"\\"{word}\\""\n' for word in words))
    os.environ.setdefault("PYTHONHASHSEED", "0")
    options = [f"-dict={folder / 'words'}", f"-artifact_prefix={folder}/", "-max_len=4096"]
    atheris.Setup([sys.argv[0], *options, *arguments, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
