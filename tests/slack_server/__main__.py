"""`python -m tests.slack_server --port N`: prints its addresses as JSON, serves till SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import signal
from typing import Any

from aiohttp import web

from tests.slack_server.backend import Options
from tests.slack_server.server import Service
from tests.slack_server.state import SlackError


def options() -> Options:
    """The options of the command line: one for each of `Options`."""
    parser = argparse.ArgumentParser()
    for one in dataclasses.fields(Options):
        parser.add_argument(f"--{one.name.replace('_', '-')}", default=None)
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    kinds = {name: type(value) for name, value in dataclasses.asdict(Options()).items()}
    return Options(**{name: _typed(kinds[name], value) for name, value in given.items()})


def _typed(kind: type, value: str) -> Any:
    if kind is tuple:
        return tuple(float(one) for one in value.strip("()").split(",") if one.strip())
    return kind(value)


async def serve() -> None:
    """The Slack and its admin's port, until the end."""
    service = Service(options())
    await service.site.start()

    async def admin(request: web.Request) -> web.Response:
        body = await request.json()
        try:
            result = await service.call(body["op"], body.get("args") or {})
        except SlackError as error:
            return web.json_response({"error": error.name}, status=400)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            return web.json_response({"error": repr(error)}, status=400)
        return web.json_response({"result": result})

    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/admin", admin)
    runner = web.AppRunner(app, shutdown_timeout=0.05, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    place = f"http://127.0.0.1:{runner.addresses[0][1]}/admin"
    told = {"url": f"{service.back.work.url}/api/", "admin": place}
    print(json.dumps({**told, "app": service.back.options.app}), flush=True)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await over.wait()
    await service.end()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
