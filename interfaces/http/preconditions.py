"""Reads what a request asks of the state it meets: If-Match and If-None-Match (RFC 9110 section 13), and the
position of the log that a list has to hold."""

from __future__ import annotations

import re
from collections.abc import Sequence

from application.changing import Versions
from domain.errors import Fault, Invalid

# A comma parts two tags only where it stands outside of both.
_ELEMENT = re.compile(r'(?:[^",]|"[^"]*")+')
_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_POSITION = re.compile(r"0|[1-9][0-9]{0,17}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def versions_allowed(if_match: Sequence[str]) -> Versions:
    """The versions that the lines of an If-Match allow; None where any will do. Raises Invalid.

    A weak tag counts as the strong one, since proxies that compress make weak ones of ours; a tag that is
    none of ours matches no version. A header without a value is refused: whoever sends it has lost a tag.
    """
    value = ",".join(if_match).strip()
    if not if_match or value == "*":
        return None
    if (tags := _tags(value)) is None:
        raise Invalid(Fault("", 'If-Match takes ETags of users, such as "3", or *.'))
    return frozenset(int(tag) for tag in tags if _VERSION.fullmatch(tag))


def position_asked(lines: Sequence[str]) -> int | None:
    """The position that the answer has to hold, by the lines of Usersd-Position. Raises Invalid."""
    if not lines:
        return None
    if len(lines) > 1 or not _POSITION.fullmatch(value := lines[0].strip()):
        raise Invalid(Fault("", "Usersd-Position takes one position of the log, as answers name it."))
    return int(value)


def already_there(if_none_match: Sequence[str], version: int | str | None) -> bool:
    """Whether the caller has what would be shown, by the lines of an If-None-Match.

    `version` is None for what has no validator; only `*` is true of that. What is not well-formed is true
    of nothing: the whole answer is never wrong.
    """
    value = ",".join(if_none_match).strip()
    return value == "*" or (version is not None and str(version) in (_tags(value) or ()))


def _tags(value: str) -> list[str] | None:
    elements = [element.strip() for element in _ELEMENT.findall(value)]
    tags = [_TAG.fullmatch(element) for element in elements if element]
    return [tag[1] for tag in tags if tag] if tags and all(tags) else None
