"""The shape of a row in the table of variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from infrastructure.settings import kinds
from infrastructure.settings.inherited import Translation
from infrastructure.settings.kinds import Kind


class Variable(NamedTuple):
    """One setting: its field, its names in the order of precedence, and what may stand in it.

    A row without a field is known and left alone: it belongs to a part of the originals that is not here.
    """

    field: str | None
    names: tuple[str, ...]
    kind: Kind
    default: str | None
    help: str
    secret: bool = False
    used: bool = True
    unset: str = ""  # what happens without it, where that is not plainly the default
    legacy: Callable[[str, str], Translation | None] | None = None

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every variable of the environment that this row answers for."""
        return self.names + tuple(f"{name}_FILE" for name in self.names if self.secret)


class Group(NamedTuple):
    title: str
    rows: tuple[Variable, ...]


def both(*suffixes: str) -> tuple[str, ...]:
    """The names in both dialects: Magistrala's win over Mainflux's."""
    return tuple(prefix + suffix for prefix in ("MG_", "MF_") for suffix in suffixes)


def ours(suffix: str) -> tuple[str, ...]:
    """A name that neither original had."""
    return (f"MG_USERS_{suffix}",)


def foreign(*suffixes: str, help: str, secret: bool = False) -> tuple[Variable, ...]:
    """Rows for what belongs to a part of the originals that is not here."""
    return tuple(
        Variable(None, both(suffix), kinds.ANY_TEXT, None, help, secret, used=False) for suffix in suffixes
    )
