"""What was found of a workspace, as a person and as a program is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pynchy_cli.errors import EXIT_AGAIN, EXIT_BROKEN, EXIT_DONE


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `ok` is None where it couldn't be; `fix` is what to do."""

    check: str
    ok: bool | None
    message: str
    fix: str | None = None


@dataclass
class Report:
    """All that was found, and who the bot is."""

    channel: str
    findings: list[Finding]
    team: str | None = None
    team_id: str | None = None
    bot_user: str | None = None
    app_id: str | None = None
    is_away: bool = False

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.is_away and all(one.ok is not False for one in self.findings)

    @property
    def exit_code(self) -> int:
        """0, 111 where Slack can't be reached, or 100 where a person must mend something."""
        if any(one.ok is False for one in self.findings):
            return EXIT_BROKEN
        return EXIT_AGAIN if self.is_away else EXIT_DONE

    def document(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "ok": self.is_ok,
            "channel": self.channel,
            "team": self.team,
            "team_id": self.team_id,
            "bot_user": self.bot_user,
            "app_id": self.app_id,
            "checks": [
                {"check": one.check, "ok": one.ok, "message": one.message, "fix": one.fix}
                for one in self.findings
            ],
        }
