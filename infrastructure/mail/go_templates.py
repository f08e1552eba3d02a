"""Reads the template files of the originals: the part of Go's text/template that names fields, no more."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

FIELDS = ("To", "From", "Subject", "Header", "User", "Content", "Host", "Footer")

_ACTION = re.compile(r"\{\{(-(?=\s))?(.*?)((?<=\s)-)?\}\}", re.DOTALL)
_FIELD = re.compile(r"\.([A-Z][A-Za-z]*)")
_COMMENT = re.compile(r"/\*.*\*/", re.DOTALL)

Part = str | tuple[str]
"""A text as it stands, or the name of a field."""


class BeyondTheSubset(Exception):
    """What a template asks for that is not kept, and in which line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def parse(source: str) -> list[Part]:
    """The parts of a template. Raises BeyondTheSubset."""
    parts: list[Part] = []
    end = 0
    trims = False
    for action in _ACTION.finditer(source):
        line = source.count("\n", 0, action.start()) + 1
        parts.append(_text(source[end : action.start()], after=trims, before=bool(action[1])))
        end, trims = action.end(), bool(action[3])
        inside = action[2].strip()
        if _COMMENT.fullmatch(inside):
            continue
        field = _FIELD.fullmatch(inside)
        if field is None:
            raise BeyondTheSubset(line, f"only fields such as {{{{.{FIELDS[4]}}}}} are understood here")
        if field[1] not in FIELDS:
            raise BeyondTheSubset(line, f"there is no field .{field[1]}; there are: .{', .'.join(FIELDS)}")
        parts.append((field[1],))
    rest = source[end:]
    if "{{" in rest:
        line = source.count("\n", 0, end + rest.index("{{")) + 1
        raise BeyondTheSubset(line, "an action is opened and never closed")
    parts.append(_text(rest, after=trims, before=False))
    return parts


def render(parts: Sequence[Part], fields: Mapping[str, str], escape: Callable[[str], str]) -> str:
    """The text with the fields put in, each as `escape` makes it."""
    return "".join(part if isinstance(part, str) else escape(fields[part[0]]) for part in parts)


def _text(text: str, *, after: bool, before: bool) -> str:
    # A marker inside the braces takes the white space beside it away.
    text = text.lstrip() if after else text
    return text.rstrip() if before else text
