"""From the environment to settings: all that is wrong is told at once, and nothing is passed over."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from infrastructure.settings.following import follow
from infrastructure.settings.inherited import is_service_link
from infrastructure.settings.kinds import Unfit
from infrastructure.settings.model import Settings
from infrastructure.settings.refusals import DEFAULT, ONLY_WITH_AUTH, refusals
from infrastructure.settings.secret import MASK, Secret
from infrastructure.settings.table import BY_FIELD, KNOWN
from infrastructure.settings.variable import Variable

_OUR_PREFIXES = ("MG_USERS_", "MF_USERS_")
_LONGEST_SHOWN = 120
_LARGEST_SECRET_FILE = 65536


class SettingsError(Exception):
    """The settings do not allow a start; one line for each reason."""

    def __init__(self, lines: list[str], warnings: list[str]) -> None:
        self.lines = lines
        self.warnings = warnings
        super().__init__("\n".join(lines))


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The settings, where each came from, and what the operator should know."""

    settings: Settings
    sources: dict[str, str]
    warnings: list[str]


class _Given(NamedTuple):
    """A value as the environment gives it: by which variable, and in which words it is shown."""

    variable: str
    value: str
    shown: str


class _Refused(Exception):
    """A variable whose value cannot even be read."""


class _Reading:
    """The state of one load."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        # Set but empty counts as unset, as in the originals.
        self.environ = {name: value for name, value in environ.items() if value}
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        self.warnings: list[str] = []
        self.wrong: dict[str, str] = {}

    def take(self, row: Variable, field: str) -> None:
        self.values[field] = default_of(row)
        self.sources[field] = DEFAULT
        given = None
        try:
            given = self._choose(row)
            if given is not None:
                self.values[field] = _parsed(row, given.value)
                self.sources[field] = given.variable
        except _Refused as refused:
            self.wrong[field] = str(refused)
        except ValueError as error:
            assert given is not None
            reason = f" ({show(str(error))})" if isinstance(error, Unfit) and not row.secret else ""
            self.wrong[field] = f"{given.variable}={given.shown}: should be {row.kind.expected}{reason}"

    def _choose(self, row: Variable) -> _Given | None:
        """The value of the first name that has one; the others are told that they lost."""
        chosen = None
        for name in row.names:
            if chosen is None:
                given = self._given(row, name)
                chosen = given and self._translated(row, given)
            else:
                self._warn_of_loser(name, chosen.variable)
        return chosen

    def _warn_of_loser(self, name: str, winner: str) -> None:
        for spelling in (name, f"{name}_FILE"):
            lost = self.environ.get(spelling)
            if spelling in KNOWN and lost is not None and lost != self.environ[winner]:
                self.warnings.append(f"{spelling} is not used: {winner} is set too, and wins.")

    def _given(self, row: Variable, name: str) -> _Given | None:
        value = self.environ.get(name)
        path = self.environ.get(f"{name}_FILE") if row.secret else None
        if path is None:
            return None if value is None else _Given(name, value, MASK if row.secret else show(value))
        if value is not None:
            raise _Refused(f"{name}={MASK}: should not be set together with {name}_FILE={show(path)}")
        return _Given(f"{name}_FILE", _read_secret(f"{name}_FILE", path), show(path))

    def _translated(self, row: Variable, given: _Given) -> _Given | None:
        translation = row.legacy(given.variable, given.value) if row.legacy else None
        if translation is None:
            return given
        self.warnings.append(_on_one_line(translation.warning))
        return None if translation.value is None else given._replace(value=translation.value)

    def warn_of_strangers(self) -> None:
        """A name that means nothing is most often a name misspelt."""
        for name, value in sorted(self.environ.items()):
            if not name.startswith(_OUR_PREFIXES) or name in KNOWN or is_service_link(name, value):
                continue
            nearest = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.0)[0]
            stranger = f"{show(name)} is unknown and not used"
            self.warnings.append(f"{stranger}; the nearest known one is {nearest}.")

    def warn_of_unused(self) -> None:
        unused = sorted(name for name, row in KNOWN.items() if not row.used and name in self.environ)
        if unused:
            self.warnings.append(f"Known from the originals and not used here: {', '.join(unused)}.")
        idle = sorted(self.sources[field] for field in ONLY_WITH_AUTH if self.sources[field] != DEFAULT)
        if idle and self.values["auth_grpc_url"] is None:
            self.warnings.append(f"Without effect while MG_AUTH_GRPC_URL is not set: {', '.join(idle)}.")


def load(environ: Mapping[str, str], role: str = "run") -> Loaded:
    """Read the settings for one role. Raises SettingsError with every reason not to start."""
    reading = _Reading(environ)
    for field, row in BY_FIELD.items():
        reading.take(row, field)
    for followed in list(follow(reading.values, reading.sources)):
        reading.values[followed.field] = followed.value
        reading.sources[followed.field] = followed.source
        reading.warnings.extend(followed.warnings)
    reading.warn_of_strangers()
    reading.warn_of_unused()
    settings = Settings(**reading.values)
    lines = [*reading.wrong.values(), *_refused(settings, role, reading)]
    if lines:
        raise SettingsError(lines, reading.warnings)
    return Loaded(settings=settings, sources=reading.sources, warnings=reading.warnings)


def _refused(settings: Settings, role: str, reading: _Reading) -> Iterator[str]:
    """A wrong value was told already; what only follows from it would mislead."""
    for refusal in refusals(settings, role, reading.sources):
        if not reading.wrong.keys() & set(refusal.fields):
            yield refusal.line


def default_of(row: Variable) -> Any:
    return None if row.default is None else _parsed(row, row.default)


def _parsed(row: Variable, text: str) -> Any:
    value = row.kind.parse(text)
    return Secret(value) if row.secret else value


def _read_secret(name: str, path: str) -> str:
    expected = "should be the path of a readable file that holds the value"
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LARGEST_SECRET_FILE + 1)
        if len(content) > _LARGEST_SECRET_FILE:
            raise _Refused(f"{name}={show(path)}: {expected} (it is over {_LARGEST_SECRET_FILE} bytes)")
        value = content.decode()
    except OSError as error:
        raise _Refused(f"{name}={show(path)}: {expected} ({error.strerror or 'it cannot be read'})") from None
    except ValueError:
        raise _Refused(f"{name}={show(path)}: {expected} (it is not UTF-8)") from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value or "\x00" in value:
        raise _Refused(f"{name}={show(path)}: {expected} (it is empty or holds a zero byte)")
    return value


def show(value: str) -> str:
    """A value on one line that any terminal can take, its credentials masked."""
    before, at, rest = value.rpartition("@")
    if at and (":" in before or "/" in before):
        # An address of a person has neither; a URL that was mistyped may have lost its scheme.
        scheme = f"{before.partition('://')[0]}://" if "://" in before else ""
        value = f"{scheme}{MASK}@{rest}"
    plain = _on_one_line(value)
    return plain if len(plain) <= _LONGEST_SHOWN else f"{plain[:_LONGEST_SHOWN]}…"


def _on_one_line(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
