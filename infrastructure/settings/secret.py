"""A value that never shows itself by accident: not in a log line, an error text or a report."""

from __future__ import annotations

import hmac
from typing import Generic, TypeVar

MASK = "********"

T = TypeVar("T", bound=str | bytes)


class Secret(Generic[T]):
    """Holds a text or bytes that only `reveal` gives away."""

    __slots__ = ("_hidden",)

    def __init__(self, hidden: T) -> None:
        self._hidden = hidden

    def reveal(self) -> T:
        return self._hidden

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self._hidden), _bytes(other._hidden))

    def __hash__(self) -> int:
        return hash(self._hidden)


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
