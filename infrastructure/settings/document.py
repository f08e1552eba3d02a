"""The table of variables for people: the report of one start, and docs/SETTINGS.md."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

from infrastructure.settings import durations
from infrastructure.settings.dormant import DORMANT
from infrastructure.settings.loading import Loaded, show
from infrastructure.settings.secret import Secret
from infrastructure.settings.table import BY_FIELD, GROUPS
from infrastructure.settings.variable import Variable

_INTRODUCTION = """\
# Settings

This page is generated from the table of variables: `python -m infrastructure.settings > docs/SETTINGS.md`.
`usersd config check` shows the settings of one start, and where each came from.

- Where a setting has several names, the first one that is set wins. Set but empty counts as unset.
- Durations are Go durations: `15m`, `720h`, `1h30m`.
- A variable marked *secret* can come from a file: `NAME_FILE` holds the path, and one newline at the end of
  the file is dropped. To set both `NAME` and `NAME_FILE` is refused.
- A wrong value stops the start, with one line for each wrong variable.
- An unknown `MG_USERS_…` or `MF_USERS_…` is warned about, with the nearest known name."""


class Line(NamedTuple):
    """One setting as `usersd config check` shows it."""

    name: str
    value: str
    source: str
    help: str


def describe(loaded: Loaded) -> list[Line]:
    """Every setting with its value, its secrets masked."""
    return [
        Line(row.name, in_words(getattr(loaded.settings, field)), loaded.sources[field], row.help)
        for field, row in BY_FIELD.items()
    ]


def in_words(value: Any) -> str:
    """A value as one would write it into the environment, its secrets masked."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return durations.show(value)
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return str(value) if isinstance(value, Secret) else show(str(value))


def markdown() -> str:
    """The text of docs/SETTINGS.md."""
    parts = [_INTRODUCTION]
    for group in GROUPS:
        parts.append(f"\n## {group.title}\n")
        parts.extend(_entry(row) for row in group.rows)
    return "\n".join(parts) + "\n"


def _entry(row: Variable) -> str:
    names = ", ".join(f"`{name}`" for name in row.names)
    marks = " *secret*" if row.secret else ""
    if row.field is None:
        return f"- {names}{marks}: {row.help} Not read."
    unset = row.unset or (f"`{row.default}`" if row.default else "nothing")
    effect = " No effect in this version." if row.field in DORMANT else ""
    return f"- {names}{marks}: {row.help}{effect}\n  Should be {row.kind.expected}. Unset: {unset}."
