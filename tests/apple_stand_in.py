#!/usr/bin/env python3
"""Stands in for Apple's `container`: writes down each call, keeps what `run` was told in a folder,
and answers `list`, `image inspect` and `system status` as the command reference says. A container
is a process of this machine that reads the standard input it is given; of what it would see inside
there are the sockets, below the folder `guest`. In `version` stands another version than 1.1.0."""

import itertools
import json
import os
import pathlib
import shutil
import socket
import stat
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
arguments = sys.argv[1:]
with (HERE / "calls").open("a") as calls:
    calls.write(json.dumps([arguments, sorted(os.environ)]) + "\n")
containers = HERE / "containers"
containers.mkdir(exist_ok=True)


def values(option):
    return [after for word, after in itertools.pairwise(arguments) if word == option]


def fail(sentence):
    print(f"Error: {sentence}", file=sys.stderr)
    sys.exit(1)


def check_mounts():
    """Folders by `--mount`, files by `--volume` too, and nothing by a path with a link in it."""
    for words in values("--mount"):
        pairs = dict(word.partition("=")[::2] for word in words.split(","))
        if not pathlib.Path(pairs["source"]).is_dir():
            fail(f"path '{pairs['source']}' is not a directory")
    if "none" in values("--network") and version < (1, 1):
        fail("network none not found")


def relay(source, target):
    """Relay a socket: inside it has the mode bits of that outside, to whose path each connection
    makes one of its own. Earlier versions let nobody connect."""
    inside = HERE / "guest" / target.lstrip("/")
    inside.parent.mkdir(parents=True)
    os.chdir(inside.parent)  # A socket's path must be short.
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(inside.name)
        inside.chmod(stat.S_IMODE(pathlib.Path(source).stat().st_mode))
        if version >= (1, 1) and source == os.path.realpath(source):
            server.listen()
        while True:
            near = server.accept()[0]
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(source)
            except OSError:
                near.close()
                continue
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=pump, args=(one, other), daemon=True).start()


def pump(one, other):
    while data := one.recv(65536):
        other.sendall(data)
    other.shutdown(socket.SHUT_WR)


said = (HERE / "version").read_text() if (HERE / "version").exists() else "1.1.0"
version = tuple(map(int, said.split(".")[:2]))
verb = arguments[0]
if verb == "--version":
    print(f"container CLI version {said} (build: release, commit: 5973b9c)")
elif verb == "run":
    check_mounts()
    if (HERE / "broken").exists():
        fail("the virtual machine doesn't start")
    (name,) = values("--name")
    if (containers / name).exists():
        fail(f"container with id {name} already exists")
    labels = dict(label.split("=", 1) for label in values("--label"))
    facts = {"status": "running", "configuration": {"id": name, "labels": labels}}
    (containers / name).write_text(json.dumps(facts))
    for volume in values("--volume"):
        source, target = volume.split(":")[:2]
        if pathlib.Path(source).is_socket():
            threading.Thread(target=relay, args=(source, target), daemon=True).start()
    print("a sandbox speaks", flush=True)
    code = int(sys.stdin.read() == "") and int(os.environ.get("CODE", "0"))
    if "--rm" in arguments:
        (containers / name).unlink(missing_ok=True)
        shutil.rmtree(HERE / "guest", ignore_errors=True)
    sys.exit(code)
elif verb == "list":
    print(json.dumps([json.loads(path.read_text()) for path in sorted(containers.iterdir())]))
elif verb == "delete":
    path = containers / arguments[-1]
    if not path.exists():
        fail(f"container {arguments[-1]} not found")
    if json.loads(path.read_text())["status"] == "running" and "--force" not in arguments:
        fail("container is running")
    path.unlink()
elif verb == "build":
    with (HERE / "images").open("a") as images:
        images.write("".join(f"{tag}\n" for tag in values("--tag")))
    context = sorted(path.name for path in pathlib.Path(arguments[-1]).iterdir())
    (HERE / "context").write_text(json.dumps(context))
elif arguments[:2] == ["image", "inspect"]:
    images = HERE / "images"
    if not images.exists() or arguments[2] not in images.read_text().split():
        fail(f"image {arguments[2]} not found")
    print("[]")
elif arguments[:2] == ["system", "status"]:
    if (HERE / "stopped").exists():
        fail("apiserver is not running and not registered with launchd")
    print("apiserver is running")
else:
    fail(f"unknown: {arguments}")
