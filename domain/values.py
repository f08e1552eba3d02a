"""The values an account is made of: checked and normalised once, at the door."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from domain.errors import Fault

MAX_EMAIL_BYTES = 254  # RFC 5321 section 4.5.3.1.3, without the angle brackets
MAX_NAME_CHARACTERS = 254
MAX_TAGS = 100
MAX_TAG_CHARACTERS = 254
MAX_PICTURE_CHARACTERS = 2048
MAX_SECRET_BYTES = 72  # bcrypt reads no further
MAX_SHOWN_SECRET_CHARACTERS = 16_384  # nothing that long is anybody's, and to hash more is only work
MAX_METADATA_DEPTH = 32
MAX_INTEGER = 2**63 - 1

_USERNAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,31}")
_EMAIL = re.compile(r"[^@\s\"<>()\[\],:;\\]+@[^@\s\"<>()\[\],:;\\]+")
_URL_BREAKERS = re.compile(r"[\x00-\x20\x7f<>\"\\^`{|}]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_HALF_AN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_USER_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNWRITABLE = {"Cc", "Cn", "Cs"}


class Status(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"
    DELETED = "deleted"
    ERASED = "erased"


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


def name_key(entered: str) -> str:
    """The form in which names are compared: NFKC and case-folded until both hold (UAX 15, 31)."""
    if entered.isascii():
        return entered.lower()
    key = entered
    while (folded := unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", key).casefold())) != key:
        key = folded
    return key


def unwritable(text: str) -> str | None:
    """What keeps a text from being stored, or None.

    Unassigned code points are refused because Python versions disagree on how they normalise, so
    that a name could be free on one replica and taken on another.
    """
    if text.isprintable():
        return None
    for character in text:
        if not character.isprintable() and unicodedata.category(character) in _UNWRITABLE:
            return f"holds U+{ord(character):04X}, a control or unassigned character"
    return None


def check_email(entered: str, pointer: str) -> Iterator[Fault]:
    if not entered:
        yield Fault(pointer, "An email is needed.")
    elif len(entered.encode("utf-8", "replace")) > MAX_EMAIL_BYTES:
        yield Fault(pointer, f"An email has at most {MAX_EMAIL_BYTES} bytes.")
    elif not _EMAIL.fullmatch(entered) or ".." in entered:
        yield Fault(pointer, "This is not an email of the form name@host.")
    elif not entered.isprintable() and any(unicodedata.category(c) in {*_UNWRITABLE, "Cf"} for c in entered):
        yield Fault(pointer, "An email holds no invisible, control or unassigned characters.")


def check_username(entered: str, pointer: str) -> Iterator[Fault]:
    if not entered:
        yield Fault(pointer, "A username is needed.")
    elif not _USERNAME.fullmatch(entered) or "__" in entered or "--" in entered:
        yield Fault(
            pointer,
            "A username has 1 to 32 letters, digits, '_' and '-' of ASCII, begins with a letter or a "
            "digit, and holds neither '__' nor '--'.",
        )


def check_name(entered: str, pointer: str, *, what: str, needed: bool = False) -> Iterator[Fault]:
    if needed and not entered:
        yield Fault(pointer, f"A {what} is needed.")
    elif len(entered) > MAX_NAME_CHARACTERS:
        yield Fault(pointer, f"A {what} has at most {MAX_NAME_CHARACTERS} characters.")
    elif problem := unwritable(entered):
        yield Fault(pointer, f"The {what} {problem}.")


def check_tags(entered: list[str] | tuple[str, ...], pointer: str) -> Iterator[Fault]:
    if len(entered) > MAX_TAGS:
        yield Fault(pointer, f"An account has at most {MAX_TAGS} tags.")
        return
    for index, tag in enumerate(entered):
        if len(tag) > MAX_TAG_CHARACTERS:
            yield Fault(f"{pointer}/{index}", f"A tag has at most {MAX_TAG_CHARACTERS} characters.")
        elif problem := unwritable(tag):
            yield Fault(f"{pointer}/{index}", f"The tag {problem}.")


def check_picture(entered: str, pointer: str) -> Iterator[Fault]:
    if len(entered) > MAX_PICTURE_CHARACTERS:
        yield Fault(pointer, f"A picture's URL has at most {MAX_PICTURE_CHARACTERS} characters.")
    elif _URL_BREAKERS.search(entered) or not _is_url(entered):
        yield Fault(pointer, "This is not a URL (RFC 3986).")
    elif problem := unwritable(entered):
        yield Fault(pointer, f"The URL {problem}.")


def _is_url(entered: str) -> bool:
    """Whether a text without forbidden characters is an absolute or a relative URL."""
    try:
        parts = urlsplit(entered)
        _ = parts.port
    except ValueError:
        return False
    beginning = re.split(r"[/?#]", entered, maxsplit=1)[0]
    if ":" in beginning and not _SCHEME.match(entered):
        return False
    return not _HALF_AN_ESCAPE.search(entered) and "%" not in parts.netloc


def check_metadata(value: Any, pointer: str, depth: int = 0) -> Iterator[Fault]:
    """Whether a JSON value can be stored and found again: depth, NUL, numbers a database can hold."""
    if depth > MAX_METADATA_DEPTH:
        yield Fault(pointer, f"Metadata is nested at most {MAX_METADATA_DEPTH} deep.")
    elif isinstance(value, dict):
        for key, item in value.items():
            at = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
            if "\x00" in key:
                yield Fault(pointer, "A key of the metadata holds U+0000.")
            yield from check_metadata(item, at, depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from check_metadata(item, f"{pointer}/{index}", depth + 1)
    elif isinstance(value, str):
        if "\x00" in value:
            yield Fault(pointer, "A text in the metadata holds U+0000.")
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        yield Fault(pointer, f"A whole number lies between -{MAX_INTEGER} and {MAX_INTEGER}.")


def check_secret(
    entered: str, pointer: str, *, allowed: Callable[[str], bool], names: Iterable[str | None] = ()
) -> Iterator[Fault]:
    """Whether a secret may be set; `allowed` is the configured pattern, `names` are those of its user."""
    if not entered:
        yield Fault(pointer, "A secret is needed.")
    elif len(entered.encode("utf-8", "replace")) > MAX_SECRET_BYTES:
        yield Fault(pointer, f"A secret has at most {MAX_SECRET_BYTES} bytes in UTF-8; nothing is cut off.")
    elif "\x00" in entered:
        # Some implementations of bcrypt end a secret there, so that a hash would match a shorter one.
        yield Fault(pointer, "A secret does not hold U+0000.")
    elif not allowed(entered):
        yield Fault(pointer, "The secret does not meet the password policy.")
    elif name_key(entered) in {name_key(name) for name in names if name}:
        yield Fault(pointer, "A secret is not the email or the username of its account.")


def check_shown_secret(entered: str, pointer: str) -> Iterator[Fault]:
    """Whether a secret that is shown may be compared: it may be wrong, but not a heap of work."""
    if len(entered) > MAX_SHOWN_SECRET_CHARACTERS:
        yield Fault(pointer, f"No secret has more than {MAX_SHOWN_SECRET_CHARACTERS} characters.")


def user_id(text: str) -> UUID | None:
    """A user id as it stands in a path, or None where no user can have it.

    Only the one form that is shown counts, as in the original: UUID() takes many more.
    """
    return UUID(text) if _USER_ID.fullmatch(text) else None
