"""What tests have go wrong."""

from __future__ import annotations

from tests.whatsapp_server.desk_base import Base
from tests.whatsapp_server.nodes import Node


class OfFaults(Base):
    """Now, or the next times."""

    def drop(self) -> None:
        self._service.reset()

    def refuse(self, on: bool) -> None:
        assert self._service.proxy is not None
        self._service.proxy.refuses = on

    def stall(self, on: bool) -> None:
        self._world.faults.stalls = on

    def slow(self, seconds: float) -> None:
        self._world.faults.seconds = seconds

    def lose_acks(self, number: int, accepted: bool) -> None:
        self._world.faults.acks += [("lose" if accepted else "lose_before", "")] * number

    def drop_at(self, number: int, accepted: bool) -> None:
        self._world.faults.acks += [("drop" if accepted else "drop_before", "")] * number

    def lose_receipts(self, number: int) -> None:
        self._world.faults.receipts += number

    def nack(self, code: int, number: int) -> None:
        self._world.faults.acks += [("nack", str(code))] * number

    def hold_acks(self, on: bool) -> None:
        self._world.faults.holds = on
        if on:
            return
        held, self._service.arrivals.held = self._service.arrivals.held, []
        for ack in held:
            if self._service.delivery.stream is not None:
                self._service.arrivals.acked(ack)
                self._service.send(ack)

    def fail_login(self, reason: int, number: int, code: int, expire: int) -> None:
        attrs = {"reason": str(reason)}
        if code:
            attrs |= {"code": str(code), "expire": str(expire)}
        faults = self._world.faults
        if number < 0:
            faults.login_always = attrs
        else:
            faults.logins += [attrs] * number

    def stream_error(self, code: str, conflict: str) -> None:
        attrs = {"code": code} if code else {}
        inside = [Node("conflict", {"type": conflict})] if conflict else None
        self._service.end_stream(Node("stream:error", attrs, inside))

    def fail_query(self, name: str, code: int, number: int) -> None:
        self._world.faults.queries[name, code] += number

    def fail_media(self, kind: str, number: int, where: str) -> None:
        self._world.faults.set_media(kind, number, where)

    def mend(self) -> None:
        self._world.faults.mend()
        self._hosting.release()
        if self._service.proxy is not None:
            self._service.proxy.refuses = False
        self.hold_acks(False)
