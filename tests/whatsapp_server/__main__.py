"""`python -m tests.whatsapp_server --folder DIR`: prints its addresses as JSON, serves till
SIGTERM, or till the process that started it is gone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import ssl
from pathlib import Path

from aiohttp import web

from tests.whatsapp_server import kit
from tests.whatsapp_server.books import Books
from tests.whatsapp_server.control import OWNER
from tests.whatsapp_server.desk import Desk
from tests.whatsapp_server.hosting import Hosting
from tests.whatsapp_server.keys import KeyPair
from tests.whatsapp_server.noise import Root
from tests.whatsapp_server.proxy import Proxy
from tests.whatsapp_server.service import Service
from tests.whatsapp_server.world import World

LOOK_SECONDS = 1.0
MOST = 256 << 20


def options() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--kit", type=Path, default=None)
    parser.add_argument("--owner", default=OWNER)
    parser.add_argument("--parent", type=int, default=0)
    return parser.parse_args()


async def _site(app: web.Application, shown: ssl.SSLContext | None) -> tuple[web.AppRunner, int]:
    runner = web.AppRunner(app, shutdown_timeout=0.05, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=shown).start()
    return runner, int(runner.addresses[0][1])


def _public(service: Service, hosting: Hosting) -> web.Application:
    """What the client reaches: all hosts in one."""
    app = web.Application(client_max_size=MOST)
    app.router.add_get("/ws/chat", service.connect)
    app.router.add_post("/mms/{path:.*}", hosting.upload)
    app.router.add_get("/{path:.*}", hosting.download)
    app.router.add_delete("/{path:.*}", hosting.delete)
    return app


def _admin(desk: Desk) -> web.Application:
    """What tests reach."""

    async def call(request: web.Request) -> web.Response:
        body = await request.json()
        try:
            result = getattr(desk, body["op"])(**body["args"])
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            return web.json_response({"error": repr(error)}, status=400)
        return web.json_response({"result": result})

    app = web.Application(client_max_size=MOST)
    app.router.add_post("/admin", call)
    return app


async def _over(parent: int) -> None:
    """Until a signal, or until the parent is gone."""
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    while not over.is_set() and (not parent or os.getppid() == parent):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), LOOK_SECONDS)


async def serve(asked: argparse.Namespace) -> None:
    """The server, until the end."""
    place = asked.kit or asked.folder / "kit"
    asked.folder.mkdir(parents=True, exist_ok=True)
    kit.make(place)
    books = Books(asked.folder / "log.jsonl")
    world = World(asked.folder, asked.owner, books)
    service = Service(world, Root(KeyPair((place / "root.key").read_bytes())))
    hosting = Hosting(world)
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(place / "host.pem", place / "host.key")
    public, port = await _site(_public(service, hosting), shown)
    service.proxy = Proxy(port)
    proxy = await service.proxy.start()
    admin, control = await _site(_admin(Desk(service, hosting)), None)
    told = {"proxy": f"http://127.0.0.1:{proxy}", "admin": f"http://127.0.0.1:{control}/admin"}
    print(json.dumps(told), flush=True)
    await _over(asked.parent)
    await service.proxy.stop()
    for runner in (public, admin):
        await runner.cleanup()
    books.close()


if __name__ == "__main__":
    asyncio.run(serve(options()))
