"""Counts what the bus tells of commands and queries; everything else is done at a scrape."""

from __future__ import annotations

from domain.errors import WrongCredentials

LOGIN = "IssueTokens"


class UseCaseTimes:
    """How many of each command and query came to which outcome, and their seconds together."""

    def __init__(self) -> None:
        self.timed: dict[tuple[str, str], list[float]] = {}

    def add(self, name: str, seconds: float, outcome: str) -> None:
        """Count one that has ended; the outcome is `ok`, `error`, `cancelled` or a refusal's code."""
        timed = self.timed.get((name, outcome))
        if timed is None:
            timed = self.timed[name, outcome] = [0, 0.0]
        timed[0] += 1
        timed[1] += seconds

    def logins(self) -> dict[str, float]:
        """Logins by secret that were let in, and those that gave wrong credentials."""
        ok, failed = (
            self.timed.get((LOGIN, outcome), [0, 0.0])[0] for outcome in ("ok", WrongCredentials.code)
        )
        return {"ok": ok, "failed": failed}
