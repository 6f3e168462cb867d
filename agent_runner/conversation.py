"""A conversation: documents in, turns answered by a core, records out. Whatever a core does,
a turn that was begun ends with exactly one TurnEnded, which is its last record."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import msgspec

from agent_runner.cores import base
from agent_runner.output import Output, OutputLost
from agent_runner.protocol import Document, RunInput, TurnEnded


async def converse(given: AsyncIterator[Document], output: Output) -> bool:
    """Answer the documents, until there are no more, the first says not to stay, or the core
    breaks. Whether the last turn went well."""
    core: base.Core | None = None
    well = True
    try:
        async for document in given:
            started = time.monotonic()
            ended, broken = None, None
            try:
                if core is None:
                    assert isinstance(document, RunInput), "the first document begins the run"
                    core = base.make(document.core)
                    await core.start(document)
                ended = await _turn(core, document, output)
            except OutputLost:
                raise
            except Exception as error:  # noqa: BLE001 - a core may be anybody's
                broken = _words(error)
            if ended is None:
                session_id = None if core is None else core.session_id
                error_text = broken or "the agent ended its turn without a result"
                ended = TurnEnded(turn=document.turn, error=error_text, session_id=session_id)
            output.write(msgspec.structs.replace(ended, seconds=time.monotonic() - started))
            well = ended.error is None
            if broken is not None or (isinstance(document, RunInput) and not document.stay):
                break
    finally:
        if core is not None:
            await core.stop()
    return well


async def _turn(core: base.Core, document: Document, output: Output) -> TurnEnded | None:
    async for record in core.turn(document):
        if isinstance(record, TurnEnded):
            return record
        output.write(record)
    return None


def _words(error: Exception) -> str:
    """An exception as a sentence: what it says, with its kind where that alone tells little."""
    said = str(error).strip()
    return (
        said if isinstance(error, base.CoreFailed) and said else f"{type(error).__name__}: {said}"
    )
