"""A conversation: documents in, turns answered by a core, records out. Whatever a core does,
a turn that was begun ends with exactly one TurnEnded, which is its last record."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent_runner.cores import base
from agent_runner.mailbox import Mailbox, Turn
from agent_runner.output import Output, OutputLost
from agent_runner.protocol import Document, RunInput, TurnEnded

if TYPE_CHECKING:
    from agent_runner.tools.toolbox import Toolbox


async def converse(given: AsyncIterator[Document], output: Output, ipc: Path | None = None) -> bool:
    """Answer the documents, until there are no more, the first says not to stay, or the core
    breaks. By the folders in `ipc` the host may be asked; without it there is no way. Whether the
    last turn went well."""
    talk = _Talk(Mailbox(given), output, ipc)
    try:
        while (document := await talk.mailbox.next(talk.idle)) is not None:
            if not await talk.answer(document):
                break
    finally:
        await talk.mailbox.close()
        if talk.core is not None:
            await talk.core.stop()
    return talk.went_well


class _Talk:
    def __init__(self, mailbox: Mailbox, output: Output, ipc: Path | None) -> None:
        self.mailbox = mailbox
        self.output = output
        self.ipc = ipc
        self.core: base.Core | None = None
        self.idle = 0.0
        self.went_well = True

    async def answer(self, document: Turn) -> bool:
        """One turn; whether there may be another."""
        started = time.monotonic()
        ended, broken = None, None
        try:
            ended = await self._turn(document)
        except OutputLost:
            raise
        except Exception as error:  # noqa: BLE001 - a core may be anybody's
            broken = _words(error)
        finally:
            self.mailbox.end()
        if ended is None:
            session_id = None if self.core is None else self.core.session_id
            error_text = broken or "the agent ended its turn without a result"
            ended = TurnEnded(turn=document.turn, error=error_text, session_id=session_id)
        self.output.write(msgspec.structs.replace(ended, seconds=time.monotonic() - started))
        self.went_well = ended.error is None
        return broken is None and not (isinstance(document, RunInput) and not document.stay)

    async def _turn(self, document: Turn) -> TurnEnded | None:
        if self.core is None:
            assert isinstance(document, RunInput), "the first document begins the run"
            self.idle = document.idle
            self.core = base.make(document.core)
            await self.core.start(document, _toolbox(document, self.ipc))
        await self.mailbox.begin(document.turn, self.core)
        async for record in self.core.turn(document):
            if isinstance(record, TurnEnded):
                return record
            self.output.write(record)
        return None


def _toolbox(run: RunInput, ipc: Path | None) -> Toolbox | None:
    """What the run is offered, where there is a way to ask for it."""
    if ipc is None or not (run.offer.requests or run.offer.services):
        return None
    # Who is offered nothing begins sooner without these.
    from agent_runner.requests import Requests
    from agent_runner.tools.toolbox import Toolbox

    toolbox = Toolbox(run.offer, Requests(ipc))
    return toolbox if toolbox.tools else None


def _words(error: Exception) -> str:
    """An exception as a sentence: what it says, with its kind where that alone tells little."""
    said = str(error).strip()
    return (
        said if isinstance(error, base.CoreFailed) and said else f"{type(error).__name__}: {said}"
    )
