"""The exports of Keycloak and Firebase: what of their users an account can keep."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import UUID

import msgspec

from application.import_runs import UnfitSource
from application.importing import Offered, SourceLost
from domain.errors import Fault
from infrastructure.accounts.foreign_hashes import FirebaseParameters, firebase_hash
from infrastructure.importing.elements import Element, NoSuchArray, Odd, Torn, elements
from infrastructure.importing.lines import TOO_LONG
from infrastructure.importing.rows import MAX_UNKEPT, NotReadable, account_of, broken, parsed

FIREBASE_IDS: Final = UUID("9a2d6f1e-7b34-5c1d-8e90-4f2b6a7c3d15")
"""The name space of the ids that users of Firebase get: the same user always gets the same one."""

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_KEYCLOAK: Final = frozenset(
    ("id", "createdTimestamp", "username", "enabled", "emailVerified", "firstName", "lastName", "email",
     "attributes", "credentials", "totp", "access", "notBefore")
)  # fmt: skip
_FIREBASE: Final = frozenset(
    ("localId", "email", "emailVerified", "passwordHash", "salt", "displayName", "photoUrl", "createdAt",
     "disabled", "lastSignedInAt", "validSince", "passwordUpdatedAt")
)  # fmt: skip

_ODD: Final = {
    Odd.TOO_LONG: TOO_LONG,
    Odd.NO_OBJECT: "This element of `users` is no object: it is a text, a number, null or an array.",
}

Fields = dict[str, Any]


class _NoFlag(Exception):
    """A field that says yes or no says neither; its name is the text."""


class ExportSource:
    """The objects under `users` in a JSON document. Implements Source; a place is the number of a user.

    A refused row comes out in the documented form, because nobody mends a document of another service.
    """

    size = None

    def __init__(
        self, path: Path | None, stream: BinaryIO | None, fields: Callable[[Fields], Fields]
    ) -> None:
        self._path = path
        self._stream = stream
        self._fields = fields

    def offered(self, after: int = 0) -> Iterator[Offered]:
        """Every user behind a place. Raises SourceLost, and UnfitSource where there are no users."""
        place = 0
        try:
            with self._opened() as file:
                for element in elements(file, "users"):
                    place += 1
                    if place > after:
                        yield self._offered(place, element)
        except Torn:
            yield Offered(place=place + 1, faults=broken("The document ends in the middle.").faults)
        except NoSuchArray:
            raise UnfitSource("The file holds no users: it is one object with an array `users`.") from None
        except OSError as error:
            raise SourceLost(f"The file cannot be read any further ({error.strerror}).") from None

    def _opened(self) -> contextlib.AbstractContextManager[BinaryIO]:
        if self._path is not None:
            return open(self._path, "rb")
        assert self._stream is not None
        return contextlib.nullcontext(self._stream)

    def _offered(self, place: int, element: Element) -> Offered:
        if isinstance(element, Odd):
            return Offered(place=place, faults=broken(_ODD[element]).faults)
        try:
            found = parsed(element)
            fields = self._fields(found.value)
        except NotReadable as error:
            return Offered(place=place, faults=broken(str(error)).faults)
        except _NoFlag as error:
            return Offered(place=place, faults=(Fault(f"/{error}", "This is neither true nor false."),))
        except (ValueError, TypeError, AttributeError, LookupError):
            return Offered(place=place, faults=broken("This is no user as that service exports them.").faults)
        unkept = (*found.unkept, *sorted(fields.pop("unkept")))[:MAX_UNKEPT]
        read = account_of(fields)
        raw = msgspec.json.encode({key: value for key, value in fields.items() if value is not None})
        return Offered(place=place, account=read.account, faults=read.faults, raw=raw, unkept=unkept)


def keycloak(found: Fields) -> Fields:
    """The fields of a user of a realm. A user who signs in by the email alone has no other username."""
    email, username, created = found.get("email"), found.get("username"), found.get("createdTimestamp")
    at = _time(created)
    return {
        "id": found.get("id"),
        "email": email,
        "username": None if username and email and username.lower() == email.lower() else username,
        "first_name": found.get("firstName"),
        "last_name": found.get("lastName"),
        "private_metadata": found.get("attributes"),
        "status": "enabled" if _flag(found, "enabled", otherwise=True) else "disabled",
        "created_at": at,
        "verified_at": at if _flag(found, "emailVerified") else None,
        "secret_hash": _keycloak_hash(found.get("credentials") or []),
        "unkept": [key for key in found.keys() - _KEYCLOAK if found[key]],
    }


def _keycloak_hash(credentials: list[Fields]) -> str | None:
    for credential in credentials:
        if credential.get("type") != "password":
            continue
        how = parsed(credential["credentialData"].encode()).value
        kept = parsed(credential["secretData"].encode()).value
        salt, digest = kept["salt"].rstrip("="), kept["value"].rstrip("=")
        name, rounds = how["algorithm"], how["hashIterations"]
        if name == "argon2":
            more = {key: values[0] for key, values in how["additionalParameters"].items()}
            version = 16 if more.get("version") == "1.0" else 19
            kind = f"argon2{more.get('type', 'id')}"
            return (
                f"${kind}$v={version}$m={more['memory']},t={rounds},p={more['parallelism']}${salt}${digest}"
            )
        return f"${name}$i={rounds}${salt}${digest}"
    return None


def firebase(parameters: FirebaseParameters | None) -> Callable[[Fields], Fields]:
    """What makes fields of a user of a project; without the parameters nobody's secret can be checked."""

    def fields(found: Fields) -> Fields:
        at, hashed = _time(found.get("createdAt")), None
        if found.get("passwordHash"):
            salt = found.get("salt") or ""
            hashed = firebase_hash(parameters, salt, found["passwordHash"]) if parameters else "unknown"
        return {
            "id": str(uuid.uuid5(FIREBASE_IDS, found["localId"])),
            "email": found.get("email"),
            "name": found.get("displayName"),
            "profile_picture": found.get("photoUrl"),
            "private_metadata": {"firebase_id": found["localId"]},
            "status": "disabled" if _flag(found, "disabled") else "enabled",
            "created_at": at,
            "verified_at": at if _flag(found, "emailVerified") else None,
            "secret_hash": hashed,
            "unkept": [key for key in found.keys() - _FIREBASE if found[key]],
        }

    return fields


def firebase_parameters(file: Path) -> FirebaseParameters:
    """The password hash parameters of a project. Raises UnfitSource."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=FirebaseParameters)
    except (OSError, msgspec.MsgspecError):
        needed = ", ".join(field.encode_name for field in msgspec.structs.fields(FirebaseParameters))
        raise UnfitSource(f"{file} holds no parameters: a JSON object with {needed}.") from None


def _flag(found: Fields, name: str, *, otherwise: bool = False) -> bool:
    """What a field says that is true, false or not there; the text "false" is neither. Raises _NoFlag."""
    value = found.get(name)
    if value is None:
        return otherwise
    if not isinstance(value, bool):
        raise _NoFlag(name)
    return value


def _time(milliseconds: object) -> str | None:
    if milliseconds is None:
        return None
    try:
        return (_EPOCH + timedelta(milliseconds=int(str(milliseconds)))).isoformat()
    except OverflowError:
        return "beyond every calendar"
