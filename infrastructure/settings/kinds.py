"""The kinds of values a variable can hold: how each is read, and the words for what it should be."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import re2  # type: ignore[import-untyped]
from cryptography import x509

from domain.values import MAX_SECRET_BYTES, check_email, check_name, check_username
from infrastructure.settings import durations

ROOT_KEY_BYTES = 32
STREAM_SCHEMES = ("nats", "tls")

_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")
_DECIMAL = re.compile(r"[0-9]{1,18}")
_NKEY_SEED = re.compile(r"SU[A-Z2-7]{56}")
_FRACTION = re.compile(r"[0-9.]{1,40}(?:[eE][+-]?[0-9]{1,3})?")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Unfit(ValueError):
    """A value that cannot be used, with a reason that may be shown beside it."""


class Kind(NamedTuple):
    """How a value is read, and what it should be; `parse` raises ValueError."""

    parse: Callable[[str], Any]
    expected: str


def whole(low: int, high: int) -> Kind:
    def parse(text: str) -> int:
        if not _DECIMAL.fullmatch(text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return Kind(parse, f"a whole number from {low} to {high}")


def choice(*allowed: str, any_case: bool = False) -> Kind:
    def parse(text: str) -> str:
        value = text.lower() if any_case else text
        if value not in allowed:
            raise ValueError
        return value

    return Kind(parse, f"one of {', '.join(allowed)}")


def choices(*allowed: str, needed: str | None = None) -> Kind:
    """A comma list of the allowed words, each at most once."""

    def parse(text: str) -> list[str]:
        words = _words(text)
        if not words or set(words) - set(allowed) or (needed and needed not in words):
            raise ValueError
        return words

    with_it = f" that holds {needed}" if needed else ""
    return Kind(parse, f"a comma list of {', '.join(allowed)}{with_it}")


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _bool(text: str) -> bool:
    if text not in _TRUE | _FALSE:
        raise ValueError
    return text in _TRUE


def _ratio(text: str) -> float:
    if not _FRACTION.fullmatch(text) or not 0 <= float(text) <= 1:
        raise ValueError
    return float(text)


def _text(text: str) -> str:
    if not text.isprintable():
        raise ValueError
    return text


def _host(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        if not _HOST_NAME.fullmatch(text):
            raise
        return text


def _postgres_host(text: str) -> str:
    """As libpq has it: a host, the folder of a socket, or several of them."""
    for place in text.split(","):
        if place.startswith("/"):
            _text(place)
        else:
            _host(place)
    return text


def _target(text: str) -> str:
    host, colon, number = text.removeprefix("dns:///").rpartition(":")
    if not colon or not (host.startswith("[") or ":" not in host):
        raise ValueError
    _host(host)
    PORT.parse(number)
    return text


def _file(text: str) -> Path:
    path = Path(text)
    try:
        if not path.is_file():
            raise Unfit("there is no such file")
        with path.open("rb"):
            return path
    except OSError as error:
        raise Unfit(error.strerror or "it cannot be opened") from None


def _web_url(text: str) -> str:
    split_url(text, ("http", "https"))
    return text


def _url_path(text: str) -> str:
    if not text.startswith("/") or not text.isprintable() or " " in text:
        raise ValueError
    return text


def split_url(text: str, schemes: tuple[str, ...]) -> None:
    """Raises ValueError unless the text is a URL of one of the schemes, with a host and no blanks."""
    url = urlsplit(text)
    if url.scheme not in schemes or not url.hostname or url.port == 0:
        raise ValueError
    if not text.isprintable() or " " in text:
        raise ValueError


def _stream_url(text: str) -> str:
    for server in _words(text) or [""]:
        split_url(server, STREAM_SCHEMES)
    return text


def _origins(text: str) -> list[str]:
    origins = _words(text)
    for origin in origins:
        if origin != "*":
            split_url(origin, ("http", "https"))
            if urlsplit(origin)[2:] != ("", "", "") or "@" in origin:
                raise ValueError
    return origins


def _networks(text: str) -> list[Network]:
    return [ipaddress.ip_network(word, strict=False) for word in _words(text)]


def _subjects(text: str) -> list[str]:
    """Names of certificates, brought to the one form in which they are compared."""
    names = [word.strip() for word in text.split(";") if word.strip()]
    return [x509.Name.from_rfc4514_string(name).rfc4514_string() for name in names]


def _pattern(text: str) -> str:
    compile_pattern(text)
    return text


def compile_pattern(pattern: str) -> Any:
    """RE2, as in the originals: linear in time whatever the pattern. Compiling the same again is free."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0] if error.args else b""
        raise Unfit(reason.decode(errors="replace") if isinstance(reason, bytes) else "not UTF-8") from None


def _root_key(text: str) -> bytes:
    compact = text.strip()
    try:
        if len(compact) == 2 * ROOT_KEY_BYTES:
            key = bytes.fromhex(compact)
        else:
            bare = compact.rstrip("=").translate(str.maketrans("-_", "+/"))
            key = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError:
        raise ValueError from None  # its words quote the key
    if len(key) != ROOT_KEY_BYTES:
        raise ValueError
    return key


def _nkey_seed(text: str) -> str:
    if not _NKEY_SEED.fullmatch(text.strip()):
        raise ValueError
    return text.strip()


def _first_secret(text: str) -> str:
    if len(text.encode("utf-8", "surrogateescape")) > MAX_SECRET_BYTES:
        raise ValueError
    return text


def _email(text: str) -> str:
    if any(check_email(text, "")):
        raise ValueError
    return text


def _username(text: str) -> str:
    if any(check_username(text, "")):
        raise ValueError
    return text


def _name(text: str) -> str:
    if any(check_name(text, "", what="name")):
        raise ValueError
    return text


BOOL = Kind(_bool, "true or false (or 1, t, T, TRUE, True, 0, f, F, FALSE, False)")
DURATION = Kind(durations.parse, "a positive Go duration such as 15m or 1h30m, in ns, us, ms, s, m or h")
PORT = Kind(whole(1, 65535).parse, "a port from 1 to 65535")
LISTENING_PORT = Kind(whole(0, 65535).parse, "a port from 1 to 65535, or 0 for any free one")
RATIO = Kind(_ratio, "a number from 0 to 1")
TEXT = Kind(_text, "a text without control characters")
ANY_TEXT = Kind(str, "a text")
HOST = Kind(_host, "a host name or an IP address, without a scheme or port")
POSTGRES_HOST = Kind(_postgres_host, "a host name, an IP address or the folder of a socket")
TARGET = Kind(_target, "host:port")
PATH = Kind(lambda text: Path(_text(text)), "a path")
FILE = Kind(_file, "the path of a readable file")
WEB_URL = Kind(_web_url, "a URL of the form http://host/path or https://host/path")
URL_PATH = Kind(_url_path, "a path that begins with /")
STREAM_URL = Kind(_stream_url, "one or more URLs such as nats://host:4222, separated by commas")
ORIGINS = Kind(_origins, "a comma list of origins such as https://ui.example.com, or *")
SUBJECTS = Kind(_subjects, "subjects as RFC 4514 writes them, such as CN=things,O=Example; separated by ';'")
NETWORKS = Kind(_networks, "a comma list of addresses and networks such as 10.0.0.0/8")
PATTERN = Kind(_pattern, "a regular expression of RE2")
ROOT_KEY = Kind(_root_key, f"{ROOT_KEY_BYTES} bytes as base64 or hex")
NKEY_SEED = Kind(_nkey_seed, "the seed of a user's nkey: SU and 56 letters and digits")
FIRST_SECRET = Kind(_first_secret, f"a password of at most {MAX_SECRET_BYTES} bytes")
EMAIL = Kind(_email, "an email of the form name@host")
USERNAME = Kind(_username, "a username of 1 to 32 letters, digits, '_' and '-'")
NAME = Kind(_name, "a name of at most 254 characters")
LOG_LEVEL = choice("debug", "info", "warn", "error", any_case=True)
SSL_MODE = choice("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
