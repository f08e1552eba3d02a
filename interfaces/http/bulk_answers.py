"""What the lines of a bulk are answered with."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec

from domain.errors import Fault, Invalid, Refusal
from interfaces.http.errors import STATUS, status_of

MAX_LINE_BYTES = 65_536


class LineTooLong(Refusal):
    code = "line_too_long"
    message = f"A line has at most {MAX_LINE_BYTES} bytes; nothing of this one was read."


class TooManyLines(Refusal):
    code = "too_many_lines"
    message = "There are more lines than one request may have; send the rest in another."


STATUS[LineTooLong] = STATUS[TooManyLines] = 413


class Registered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line that opened an account; `replayed` where an earlier request with the same key did."""

    line: int
    status: int
    id: UUID
    version: int
    replayed: bool = False


class Refused(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line that did not, and why; the words are those of a problem document."""

    line: int
    status: int
    code: str
    title: str
    detail: str
    errors: tuple[Fault, ...] = ()

    @classmethod
    def by(cls, refusal: Refusal, *, line: int) -> Refused:
        faults = refusal.faults if isinstance(refusal, Invalid) else ()
        return cls(line=line, errors=faults, **_words(refusal))

    @classmethod
    def by_a_fault(cls, line: int, request_id: str) -> Refused:
        """A fault of ours, of which nothing of the inside is told."""
        title = HTTPStatus.INTERNAL_SERVER_ERROR.phrase
        detail = f"Something went wrong on our side. Quote the request id {request_id}."
        return cls(line=line, status=500, code="internal_error", title=title, detail=detail)


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """The last line, where every line of the request has its answer; `position` is the one of the log."""

    complete: bool = True
    lines: int
    created: int
    refused: int
    position: int


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """The last line, where what follows the lines that are answered was not carried out."""

    complete: bool = False
    status: int
    code: str
    title: str
    detail: str
    lines: int
    created: int
    refused: int
    position: int

    @classmethod
    def by(cls, refusal: Refusal, so_far: Whole) -> Cut:
        return cls(**msgspec.structs.asdict(so_far) | {"complete": False} | _words(refusal))


def _words(refusal: Refusal) -> dict[str, Any]:
    status = status_of(refusal)
    title = HTTPStatus(status).phrase
    return {"status": status, "code": refusal.code, "title": title, "detail": refusal.text}
