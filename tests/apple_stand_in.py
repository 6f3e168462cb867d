#!/usr/bin/env python3
"""Stands in for Apple's `container`: writes down each call, keeps what `run` was told in a folder,
and answers `list`, `image inspect` and `system status` as the command reference says. A container
is a process of this machine that reads the standard input it is given."""

import itertools
import json
import os
import pathlib
import sys

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


verb = arguments[0]
if verb == "run":
    (name,) = values("--name")
    if (containers / name).exists():
        fail(f"container with id {name} already exists")
    labels = dict(label.split("=", 1) for label in values("--label"))
    facts = {"status": "running", "configuration": {"id": name, "labels": labels}}
    (containers / name).write_text(json.dumps(facts))
    print("a sandbox speaks", flush=True)
    code = int(sys.stdin.read() == "") and int(os.environ.get("CODE", "0"))
    if "--rm" in arguments:
        (containers / name).unlink(missing_ok=True)
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
