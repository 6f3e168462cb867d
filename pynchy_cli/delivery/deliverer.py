"""Brings replies to the chats of one network: in each chat in order, in several at once. What the
network refuses is tried again later and holds up its own chat alone; what it never takes is given
up and told of; while it can't be reached, everything waits."""

from __future__ import annotations

import asyncio
import random
from functools import partial

from pynchy_cli import clock
from pynchy_cli.channels.base import Away, Network, NeverSent, NotSent, Unsure
from pynchy_cli.context import Context
from pynchy_cli.delivery import dead
from pynchy_cli.delivery.showing import Buttons, Held, Showing
from pynchy_cli.errors import DeliveryDropped, DeliveryHeld
from pynchy_cli.model import Delivery
from pynchy_cli.store import outbox

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds until something that the network refused is tried again; doubled each time."""
LONGEST_ASKED = 3600.0
"""Seconds that a network may ask us to wait, at most."""
LONGEST_AWAY = 30.0
TRIES = 60
"""So often it is tried, which takes some hours, while the network takes other replies."""
WELL = 2 * LONGEST_PAUSE
"""Seconds for which a network that has taken something is believed to be well."""
DAY = 86_400.0
"""Seconds after which a reply is no longer tried, even where the network takes nothing at all."""
SPOILT = 5
"""So often a reply is tried with which something of ours goes wrong."""
WRONG = "something of ours goes wrong with it; the log tells what"
Key = tuple[int, str]
"""A reply's number and a chat."""
TOO_OFTEN = "it was refused {tries} times: {why}"


class Deliverer:
    """All deliveries of one channel; there is one process of it."""

    def __init__(
        self, context: Context, network: Network, buttons: Buttons = lambda reply: ()
    ) -> None:
        self.context = context
        self.network = network
        self.showing = Showing(context, network, buttons)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._at_work: dict[str, Delivery] = {}
        self._spoilt: dict[Key, int] = {}
        self._not_before: dict[Key, float] = {}
        self._places = asyncio.Semaphore(network.at_once)
        self._pause = 0.0
        self._back_at = 0.0
        self._took_at = float("-inf")
        with context.store.atomic() as db:
            if lost := outbox.recover(db, network.name, clock.after(clock.now(), network.settle)):
                context.log.info("replies that were being sent", deliveries=lost)

    def drain(self) -> int:
        """Begin to bring what is due; to how many chats."""
        if self._now() < self._back_at:
            return 0
        begun = 0
        for chat in outbox.chats(self.context.store.db, self.network.name):
            if chat not in self._tasks and self._next(chat) is not None:
                task = self.context.spawn(self._bring(chat), f"deliver {chat}")
                self._tasks[chat] = task
                task.add_done_callback(partial(self._ended, chat))
                begun += 1
        return begun

    def deadline(self) -> float | None:
        """Seconds until something is due that isn't now."""
        if (left := self._back_at - self._now()) > 0:
            return left
        waits = [at - self._now() for at in self._not_before.values()]
        now = clock.now()
        if (due := outbox.next_due(self.context.store.db, self.network.name, now)) is not None:
            waits.append(clock.seconds_between(now, due))
        return min((wait for wait in waits if wait > 0), default=None)

    def is_busy(self) -> bool:
        """Whether something is being sent."""
        return bool(self._tasks)

    def connected(self) -> None:
        """The network can be reached again: nothing waits any longer for that."""
        self._pause = self._back_at = 0.0
        self.context.wake()

    async def stop(self) -> None:
        """Let what is being sent come to its end, and begin nothing else."""
        self._back_at = float("inf")
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _bring(self, chat: str) -> None:
        """What is due in a chat, one after the other."""
        while True:
            async with self._places:  # others have their turn between two replies
                if self._now() < self._back_at or (one := self._next(chat)) is None:
                    return
                self._at_work[chat] = one
                await self._deliver(one)
                del self._at_work[chat]
                self._spoilt.pop(_key(one), None)

    def _ended(self, chat: str, task: asyncio.Task[None]) -> None:
        """Whatever went wrong with one reply, it is tried again after a while, and then given up;
        what may have been sent of it is looked for first."""
        del self._tasks[chat]
        delivery = self._at_work.pop(chat, None)
        if delivery is not None and not task.cancelled() and task.exception() is not None:
            key = _key(delivery)
            self._spoilt[key] = self._spoilt.get(key, 0) + 1
            self._not_before[key] = self._now() + FIRST_PAUSE * 2 ** self._spoilt[key]

    def _next(self, chat: str) -> Delivery | None:
        """What a chat is to be brought now. What waits holds up what was said after it, unless it
        stands there already and is only to be changed as it grows."""
        db, now = self.context.store.db, clock.now()
        for delivery in outbox.undelivered(db, self.network.name, chat):
            key, is_due = _key(delivery), _is_due(delivery, now)
            if delivery.reply.is_final:
                if key in self._not_before and key not in self._spoilt:
                    del self._not_before[key]
                is_due = is_due and self._not_before.get(key, 0.0) <= self._now()
                return delivery if is_due else None
            if "edit" not in self.network.capabilities:
                continue
            if not outbox.parts(db, delivery):
                return delivery if is_due else None
            if is_due and self._not_before.get(key, 0.0) <= self._now():
                return delivery
        return None

    async def _deliver(self, delivery: Delivery) -> None:
        """Bring one reply to its chat, as far as the network takes it."""
        write = self.showing.write
        try:
            if self._spoilt.get(_key(delivery), 0) >= SPOILT:
                raise NeverSent(WRONG)
            await self.showing.show(delivery)
        except DeliveryHeld:
            await write(lambda db: outbox.put_back(db, delivery))
        except DeliveryDropped as error:
            self._tell("a reply is not sent any more", delivery, str(error))
        except NeverSent as error:
            why = str(error)
            self._tell("a reply can't be delivered", delivery, why)
            self._not_before.pop(_key(delivery), None)
            await write(lambda db: dead.bury(db, delivery, why, clock.now()))
        except NotSent as error:
            await self._later(delivery, str(error), error.retry_after)
        except Held as error:
            why = str(error)
            self._tell("a reply waits for a person", delivery, why)
            await write(lambda db: dead.hold(db, delivery, why, clock.now()))
        except Unsure as error:
            why, then = str(error), clock.after(clock.now(), self.network.settle)
            self._tell("it isn't known whether a reply got there", delivery, why)
            await write(lambda db: outbox.unsure(db, delivery, then, why))
        except Away as error:
            if not self._pause:  # once, until it is there again
                self._tell("the network is away", delivery, str(error))
            self._pause = min(LONGEST_AWAY, self._pause * 2 or FIRST_PAUSE)
            self._back_at = self._now() + self._pause
            await write(lambda db: outbox.put_back(db, delivery))
        else:
            self._pause, self._took_at = 0.0, self._now()
            if delivery.reply.is_final:
                self._not_before.pop(_key(delivery), None)
            else:
                # The network counts the edits of all chats together.
                growing = len(self._not_before.keys() | {_key(delivery)})
                pause = self.network.edit_interval * growing
                self._not_before[_key(delivery)] = self._now() + pause
            await write(lambda db: outbox.done(db, delivery, clock.now()))

    async def _later(self, delivery: Delivery, why: str, asked: float | None) -> None:
        """It was refused for now: when it is tried again is in the row. Patience that is asked for
        doesn't count."""
        if asked is None and delivery.attempts + 1 >= TRIES and self._is_its_own_fault(delivery):
            why = TOO_OFTEN.format(tries=TRIES, why=why)
            await self.showing.write(lambda db: dead.bury(db, delivery, why, clock.now()))
            return
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(delivery.attempts, 16))
        pause *= random.uniform(0.5, 1.0)  # so that not all come back at once
        if asked is not None:
            pause = min(LONGEST_ASKED, max(asked, 0.05))
        then = clock.after(clock.now(), pause)
        self._tell("a reply waits", delivery, why)
        await self.showing.write(
            lambda db: outbox.later(db, delivery, then, why, counts=asked is None)
        )

    def _is_its_own_fault(self, delivery: Delivery) -> bool:
        """Whether it is this reply that the network refuses, and not all of them; nobody waits for
        longer than a day."""
        age = clock.seconds_between(delivery.reply.created_at, clock.now())
        return self._now() - self._took_at < WELL or age > DAY

    def _tell(self, what: str, delivery: Delivery, why: str) -> None:
        """Log it once for as long as it stays the same."""
        if delivery.error != why:
            self.context.log.warning(
                what, reply=delivery.reply.id, chat=delivery.chat_jid, error=why
            )

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _key(delivery: Delivery) -> Key:
    return delivery.reply.id, delivery.chat_jid


def _is_due(delivery: Delivery, now: str) -> bool:
    """Whether its time has come; one that lies too far ahead is of a clock that was set back."""
    then = delivery.next_attempt_at
    return then is None or not 0 < clock.seconds_between(now, then) <= LONGEST_ASKED
