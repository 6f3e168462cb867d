"""The agents' image: what is in it, that it answers by itself, and when it is built anew."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynchy_cli.config.settings import Sandbox, Settings
from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.sandbox import choice, image
from pynchy_cli.sandbox import engine as engines
from tests.conftest import Pynchy
from tests.engine import BASE, IMAGE, Engine, import_base, require

pytestmark = pytest.mark.timeout(300)  # Whoever comes first builds the image.
DOCUMENT = {"type": "run", "turn": "1", "prompt": "hello", "core": "echo"}


def connect(own: Engine) -> Any:
    return engines.connect(engines.Address(own.host, own.socket))


def test_agent_runner_is_in_it(engine: Engine) -> None:
    code = "import agent_runner; print('OK')"
    done = engine.docker("run", "--rm", "--entrypoint", "python", IMAGE, "-c", code)
    assert done.stdout == "OK\n"


def test_it_is_an_ordinary_users(engine: Engine) -> None:
    code = (
        "import os, pwd; print(pwd.getpwuid(os.getuid()).pw_name, os.getcwd(), os.environ['HOME'])"
    )
    done = engine.docker("run", "--rm", "--entrypoint", "python", IMAGE, "-c", code)
    assert done.stdout == "agent /workspace/group /home/agent\n"


def answer(engine: Engine, document: dict[str, Any], *options: str) -> list[dict[str, Any]]:
    """The records of `docker run -i pynchy-agent < document`."""
    done = subprocess.run(
        ["docker", "--host", engine.host, "run", "--rm", "--interactive", *options, "pynchy-agent"],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(engine.root)},
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith("---")]
    return [json.loads(line) for line in lines]


def test_it_answers_a_document(engine: Engine) -> None:
    records = answer(engine, DOCUMENT)
    assert records[-1]["type"] == "turn_ended"
    assert records[-1]["reply"] == "hello"


def test_claude_is_in_it_and_says_what_it_lacks(engine: Engine) -> None:
    records = answer(engine, {**DOCUMENT, "core": "claude"})
    assert records[-1]["type"] == "turn_ended"
    assert records[-1]["error"]


def test_a_change_of_sources_builds_it_anew(engine: Engine, tmp_path: Path) -> None:
    name = "pynchy-agent:changed"
    with connect(engine) as connected:
        first = image.Choice(name, BASE)
        engine.docker("tag", IMAGE, name)
        said: list[str] = []
        stands = image.ensure(connected, first, tmp_path, said.append)
        assert said == []
        engine.docker("create", "--name", "other", BASE, "true")
        engine.docker("commit", "--change", "ENV OTHER=1", "other", "pynchy-base:other")
        engine.docker("rm", "other")
        second = image.Choice(name, "pynchy-base:other")
        built = image.ensure(connected, second, tmp_path, said.append)
        assert "Building the image" in said[0]
        assert "Left out: git, jq, ripgrep and gh" in said[1]
        assert len(said) == 2
        assert built["Id"] != stands["Id"]
        assert image.sources(built) == image.wanted(connected, second)
        engine.docker("rmi", name)


def test_two_processes_build_it_once(engine: Engine, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from pynchy_cli.sandbox import engine, image
with engine.connect(engine.find({{"DOCKER_HOST": {engine.host!r}}})) as connected:
    choice = image.Choice("pynchy-agent:twice", {BASE!r}, ("packaging",))
    image.ensure(connected, choice, Path({str(tmp_path)!r}), lambda line: print(line, flush=True))
"""
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = "".join(one.communicate(timeout=250)[0] for one in both)
    assert [one.returncode for one in both] == [0, 0]
    assert said.count("Building the image pynchy-agent:twice") == 1
    engine.docker("rmi", "pynchy-agent:twice")


def test_an_engine_that_goes_away_meanwhile_is_a_sentence() -> None:
    require()
    with tempfile.TemporaryDirectory(prefix="pynchy-e", ignore_cleanup_errors=True) as folder:
        own = Engine(Path(folder) / "e")
        own.root.mkdir()
        own.start()
        try:
            import_base(own)

            def end(line: str) -> None:
                if line.startswith("Step 4/"):
                    own.kill()

            gone = pytest.raises(SandboxUnavailable, match="doesn't answer")
            with connect(own) as connected, gone:
                image.build(connected, image.Choice(IMAGE, BASE), end)
        finally:
            own.stop()


def test_a_full_disk_is_a_sentence(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    no_space = pytest.raises(SandboxUnavailable, match="No space left on device")
    with connect(engine) as connected, full(monkeypatch), no_space:
        image.build(connected, image.Choice(IMAGE, BASE), print)


@contextlib.contextmanager
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Temporary files are on a disk that is full soon."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        try:
            yield
        finally:
            monkeypatch.undo()
            subprocess.run(["umount", folder], check=True)


class Enough(Exception):
    """What was to be seen of a build was seen."""


@pytest.mark.parametrize("fresh", [False, True])
def test_the_cache(engine: Engine, fresh: bool) -> None:
    said: list[str] = []

    def until_files_are_copied(line: str) -> None:
        said.append(line)
        if "COPY" in line:
            raise Enough

    with connect(engine) as connected, pytest.raises(Enough):
        image.build(connected, image.Choice(IMAGE, BASE), until_files_are_copied, fresh=fresh)
    assert any("Using cache" in line for line in said) is not fresh


def test_somebodys_own_is_never_built_over(engine: Engine, tmp_path: Path) -> None:
    engine.docker("tag", BASE, "somebodys:own")
    with connect(engine) as connected:
        own = image.Choice("somebodys:own", BASE)
        found = image.ensure(connected, own, tmp_path, lambda _: pytest.fail("it was built"))
    assert image.sources(found) is None


def test_a_base_that_cant_be_had_is_a_sentence(engine: Engine, tmp_path: Path) -> None:
    nowhere = image.Choice("pynchy-agent:never", "127.0.0.1:9/nobody/nothing:never")
    with connect(engine) as connected:
        assert "base_image below [sandbox]" in (image.problem(connected, nowhere) or "")
        with pytest.raises(SandboxUnavailable, match="nothing:never") as told:
            image.ensure(connected, nowhere, tmp_path, print)
        assert "base_image below [sandbox]" in str(told.value)
        assert "Step 1" not in str(told.value)


def test_command(engine: Engine, pynchy: Pynchy) -> None:
    env = {"DOCKER_HOST": engine.host, "PYNCHY_SANDBOX__BASE_IMAGE": BASE}
    told = json.loads(pynchy("image", "info", "--json", env=env).stdout)
    assert (told["image"], told["base"], told["state"]) == (IMAGE, BASE, "current")
    assert told["sources"] == told["wanted"]
    built = pynchy("image", "build", "--base", BASE, "--json", env=env, timeout=200)
    assert json.loads(built.stdout)["state"] == "current"
    assert "Step 1/" in built.stderr
    missing = {**env, "PYNCHY_SANDBOX__IMAGE": "pynchy-agent:nowhere"}
    assert json.loads(pynchy("image", "info", env=missing, code=1).stdout)["state"] == "missing"


def test_command_without_an_engine(pynchy: Pynchy) -> None:
    said = pynchy("image", "build", code=1).stderr
    assert "There is no container engine at" in said
    assert "apt install docker.io" in said


def test_auto_takes_an_engine_that_answers(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(sandbox=Sandbox(base_image=BASE))
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    assert choice.choose(settings).name == "docker"


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_auto_is_bubblewrap_where_the_image_cant_be_had(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    nowhere = Sandbox(image="pynchy-agent:never", base_image="127.0.0.1:9/nobody/nothing:never")
    assert choice.choose(Settings(sandbox=nowhere)).name == "bubblewrap"


def test_auto_is_bubblewrap_where_an_old_image_cant_be_built_anew(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    with tarfile.open(engine.root / "empty.tar", "w"):
        pass
    label = ("--change", "LABEL pynchy.sources=0ther pynchy.packages=")
    engine.docker("import", *label, str(engine.root / "empty.tar"), "pynchy-agent:old")
    nowhere = Sandbox(image="pynchy-agent:old", base_image="127.0.0.1:9/nobody/nothing:never")
    assert choice.choose(Settings(sandbox=nowhere)).name == "bubblewrap"


def test_auto_stays_with_an_engine_whose_sandboxes_may_be_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(SandboxUnavailable, match="may still be at work in sandboxes of docker"):
        choice.choose(Settings(), {"docker"})


def test_without_an_engine_auto_loads_nothing_of_docker() -> None:
    code = """
import sys
from pynchy_cli.config.settings import Settings
from pynchy_cli.errors import SandboxUnavailable
from pynchy_cli.sandbox import choice
try:
    choice.choose(Settings())
except SandboxUnavailable:
    pass
assert not {"docker", "requests", "urllib3"} & set(sys.modules)
"""
    host = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    done = subprocess.run([sys.executable, "-c", code], env=host, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
