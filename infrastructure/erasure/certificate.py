"""The certificate of an erasure: what was done, how often, and what it does not reach; signed (RFC 7515)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from infrastructure.keys import statements
from infrastructure.tokens.signing import SigningKey

KIND = "usersd-erasure+json"
VERSION = 1

IN_BACKUPS = (
    "Backups, WAL and replicas from before hold the log sealed under the user's key, and that key wrapped by "
    "the epoch. Whoever has such a copy with its keyring and the root key of that time opens it, until that "
    "root key is replaced and destroyed or the copy is. Rows of read models stand in such copies in clear."
)


class Requested(msgspec.Struct, frozen=True, kw_only=True):
    at: datetime
    by: str
    reason: str
    position: int


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the user's stream: whoever has the log can compute the hash from its sealed rows."""

    events: int
    position: int
    hash: str


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """The key that sealed what was personal; the epoch that wrapped it goes by the named time at the latest.

    That holds while the service runs. `root_key` is the fingerprint of the root key that wrapped the epoch.
    """

    destroyed_at: datetime
    epoch: int
    epoch_destroyed_by: datetime
    root_key: str


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed, as JSON with sorted keys.

    `removed` counts rows and files by what held them; a step that was interrupted may have removed more than
    it could count, never less.
    """

    version: int = VERSION
    user_id: UUID
    requested: Requested
    completed_at: datetime
    key: Key
    removed: Mapping[str, int]
    messages_overwritten: int
    stream_cleared_at: datetime
    ledger_at: datetime
    log: Chain
    not_covered: str = IN_BACKUPS


class CertificateInvalid(Exception):
    """The text is no certificate, or its signature does not hold."""


def sign(certificate: Certificate, key: SigningKey) -> str:
    """The certificate as a compact JWS that carries the public key it is verified with."""
    return statements.sign(msgspec.json.encode(certificate, order="sorted"), KIND, key)


def verified(text: str) -> tuple[Certificate, str]:
    """A certificate and the id of the key that signed it, which the caller must know.

    Raises CertificateInvalid.
    """
    try:
        payload, kid = statements.verified(text, KIND)
        return msgspec.json.decode(payload, type=Certificate), kid
    except (statements.StatementInvalid, msgspec.MsgspecError, ValueError) as error:
        raise CertificateInvalid(f"this is no certificate of an erasure that holds: {error}") from None
