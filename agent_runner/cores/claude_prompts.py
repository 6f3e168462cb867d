"""Which of a turn's prompts have been answered, told by ids of ours and never by the order in
which results come: the client folds a later prompt into a turn, or answers it after."""

from __future__ import annotations

import uuid

from claude_agent_sdk import ResultMessage


class Prompts:
    """The prompts of one turn, in the order in which they were sent."""

    def __init__(self) -> None:
        self._sent: list[tuple[str, int]] = []
        self._answered = 0

    def add(self, number: int) -> str:
        """One more prompt; the id to send it with. `number` is what its answer will have read."""
        prompt_id = str(uuid.uuid4())
        self._sent.append((prompt_id, number))
        return prompt_id

    def answered_by(self, result: ResultMessage) -> bool:
        """Whether a result answers one of them. It answers those before, too. A result that
        names no prompt is the first unanswered one's, unless the client says that it began
        the turn by itself."""
        named = {*(result.user_message_uuids or ()), result.user_message_uuid} - {None}
        if not named and result.origin is None:
            self._answered = min(self._answered + 1, len(self._sent))
            return True
        found = [at for at, (prompt_id, _) in enumerate(self._sent, 1) if prompt_id in named]
        if not found:
            return False
        self._answered = max(self._answered, *found)
        return True

    @property
    def read(self) -> int:
        """The number of the last answered one."""
        return self._sent[self._answered - 1][1] if self._answered else 0

    @property
    def is_done(self) -> bool:
        """Whether all are answered."""
        return self._answered == len(self._sent)
