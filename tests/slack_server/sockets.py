"""Socket Mode: tickets, sockets, envelopes, acks, and sending again."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from tests.slack_server.responses import respond

if TYPE_CHECKING:
    from tests.slack_server.backend import Backend

MOST = 10


@dataclass
class Sending:
    """An envelope on its way. `answer` is what came with the ack."""

    payload: dict[str, Any]
    kind: str
    accepts: bool = False
    state: str = "sending"
    answer: Any = None
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Sockets:
    """The app's open sockets; each envelope goes to any one of them."""

    def __init__(self, back: Backend) -> None:
        self._back = back
        self.open: list[web.WebSocketResponse] = []
        self.tickets: dict[str, float] = {}
        self.acks: list[dict[str, Any]] = []
        self.sendings: dict[str, Sending] = {}
        self.refuse = 0
        self.tries = 0
        self.stalled = False
        self.disabled = False
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._events = 0

    def ticket(self) -> str:
        """For one connection, soon."""
        made = uuid.uuid4().hex
        self.tickets[made] = time.monotonic() + self._back.options.ticket_lives
        return made

    def send_event(self, event: dict[str, Any]) -> str:
        """An event in its envelope, to be sent until it is acked. Its event id."""
        return self.send(self.callback(event), "events_api")

    def callback(self, event: dict[str, Any]) -> dict[str, Any]:
        """What is around an event."""
        self._events += 1
        work = self._back.work
        allowed = {"enterprise_id": None, "team_id": work.team, "user_id": work.app.id,
                   "is_bot": True, "is_enterprise_install": False}  # fmt: skip
        return {
            "token": "legacy",
            "team_id": work.team,
            "context_team_id": work.team,
            "context_enterprise_id": None,
            "api_app_id": work.app.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{self._events:09d}",
            "event_time": int(work.now()),
            "authorizations": [allowed],
            "is_ext_shared_channel": False,
            "event_context": f"4-{self._events}",
        }

    def send(self, payload: dict[str, Any], kind: str, accepts: bool = False) -> str:
        """Starts to send; gives the event id, or for what isn't an event a new id."""
        name = payload.get("event_id") or uuid.uuid4().hex
        sending = self.sendings[name] = Sending(payload, kind, accepts)
        task = asyncio.ensure_future(self._deliver(name, sending))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return name

    async def _deliver(self, name: str, sending: Sending) -> None:
        again = self._back.options.retries if sending.kind == "events_api" else ()
        reason = ""
        if self._back.options.jitter and sending.kind == "events_api":
            await asyncio.sleep(self._back.random.uniform(0, self._back.options.jitter))
        for attempt, delay in enumerate((0.0, *again)):
            if delay:
                await asyncio.sleep(delay)
            reason = await self._attempt(name, sending, attempt, reason)
            if not reason:
                sending.state = "acked"
                if self._again(sending):
                    await self._attempt(name, sending, attempt + 1, "timeout")
                break
        else:
            sending.state = "lost"
        sending.done.set()

    def _again(self, sending: Sending) -> bool:
        often = self._back.options.doubled
        return sending.kind == "events_api" and bool(often) and self._back.random.random() < often

    async def _attempt(self, name: str, sending: Sending, attempt: int, reason: str) -> str:
        """Sends once; why it failed, or nothing."""
        event = sending.payload.get("event") or {}
        what = {"event_id": name, "type": event.get("type", sending.kind), "ts": event.get("ts")}
        book = {**what, "attempt": attempt, "at": time.time(), "seconds": None}
        live = [one for one in self.open if not one.closed]
        if not live:
            self.acks.append({**book, "failed": "connection_failed"})
            return "connection_failed"
        envelope: dict[str, Any] = {
            "envelope_id": str(uuid.uuid4()),
            "payload": sending.payload,
            "type": sending.kind,
            "accepts_response_payload": sending.accepts,
        }
        if sending.kind == "events_api":
            envelope |= {"retry_attempt": attempt, "retry_reason": reason}
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[envelope["envelope_id"]] = waiting
        start = time.monotonic()
        try:
            async with asyncio.timeout(self._back.options.ack):
                if not self.stalled:
                    await self._back.random.choice(live).send_str(json.dumps(envelope))
                ack = await waiting
        except TimeoutError:
            self.acks.append({**book, "failed": "timeout"})
            return "timeout"
        except ConnectionError:
            self.acks.append({**book, "failed": "connection_failed"})
            return "connection_failed"
        finally:
            del self._waiting[envelope["envelope_id"]]
        sending.answer = ack.get("payload")
        if sending.accepts and isinstance(sending.answer, dict):
            name = sending.payload.get("response_url", "").rpartition("/")[2]
            respond(self._back, self._back.responses[name], sending.answer)
        self.acks.append({**book, "seconds": time.monotonic() - start, "failed": None})
        return ""

    async def link(self, request: web.Request) -> web.StreamResponse:
        """A socket that opens: only with a ticket that is fresh and new."""
        self.tries += 1
        until = self.tickets.pop(request.query.get("ticket", ""), 0.0)
        if self.refuse:
            self.refuse -= 1
            until = 0.0
        if until < time.monotonic():
            return web.Response(status=400, text="bad ticket")
        socket = web.WebSocketResponse(heartbeat=None if self.stalled else 20.0)
        await socket.prepare(request)
        live = len([one for one in self.open if not one.closed])
        if self.disabled or live >= MOST:
            reason = "link_disabled" if self.disabled else "too_many_websockets"
            await socket.send_json(self._farewell(reason))
            await socket.close()
            return socket
        self.open.append(socket)
        try:
            await self._serve(socket, request)
        finally:
            self.open.remove(socket)
        return socket

    async def _serve(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        app = self._back.work.app.app_id
        debug = {"host": "applink-1", "build_number": 1, "approximate_connection_time": 18060}
        if self.stalled:
            self._deafen(request)
        else:
            hello = {"type": "hello", "num_connections": len(self.open), "debug_info": debug}
            await socket.send_json({**hello, "connection_info": {"app_id": app}})
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                continue
            try:
                said = json.loads(frame.data)
            except ValueError:
                continue
            waiting = self._waiting.get(str(said.get("envelope_id")))
            if waiting is not None and not waiting.done():
                waiting.set_result(said)

    def _farewell(self, reason: str) -> dict[str, Any]:
        return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-1"}}

    async def disconnect(self, reason: str, close: bool = False) -> None:
        """Tells every socket to go; Slack itself closes none at once."""
        for one in [each for each in self.open if not each.closed]:
            await one.send_json(self._farewell(reason))
            if close:
                await one.close()

    def kill(self) -> None:
        """Resets the TCP connection of every socket."""
        for one in list(self.open):
            transport = one._req.transport if one._req is not None else None
            if transport is not None:
                transport.abort()

    def stall(self, on: bool) -> None:
        """From now on nothing is read from sockets nor written to them; off again: all are cut."""
        self.stalled = on
        if not on:
            self.kill()
            return
        for one in self.open:
            if one._req is not None:
                self._deafen(one._req)

    @staticmethod
    def _deafen(request: Any) -> None:
        if request.transport is not None:
            request.transport.pause_reading()

    async def close(self) -> None:
        """Cuts all sockets and forgets what was on its way."""
        self.kill()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
