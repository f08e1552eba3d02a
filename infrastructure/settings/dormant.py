"""The settings that are read and checked and change nothing yet: an operator is told, not left to believe."""

from __future__ import annotations

from collections.abc import Mapping

DORMANT: frozenset[str] = frozenset()
"""Fields of Settings. Whoever makes one work takes it out; a test holds this list against the code."""


def warning(sources: Mapping[str, str]) -> str | None:
    """One line that names the variables that were set and change nothing; None where there are none."""
    given = {source for field in DORMANT if (source := sources[field]).startswith(("MG_", "MF_"))}
    return f"Read, and without effect in this version: {', '.join(sorted(given))}." if given else None
