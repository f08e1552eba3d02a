"""Holds certificates against the database as it is: signature, chain, what is left, which keys are gone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier

from application.erasures import Verdict
from infrastructure.erasure.certificate import Certificate, CertificateInvalid, verified
from infrastructure.erasure.erasers import ERASERS, GENERATIONS

Signature = Literal["holds", "of an unknown key", "does not hold"]

_CERTIFICATES = (
    "SELECT user_id, certificate, key_epoch FROM erasures WHERE certificate IS NOT NULL ORDER BY position"
)
_STREAM = "SELECT version, name, state, prev_hash, hash FROM events WHERE stream_id = %s ORDER BY version"
_EPOCH = "SELECT count(*) FROM keyring WHERE purpose = 'seal' AND epoch <= %s AND wrapped IS NOT NULL"
_NAMED = "SELECT kid FROM signing_keys UNION SELECT kid FROM retired_signing_keys"


_NOT_BARE = """
SELECT (SELECT count(*) FROM user_keys WHERE user_id = %s AND wrapped IS NOT NULL)
     + (SELECT count(*) FROM credentials
        WHERE user_id = %s AND (secret_hash IS NOT NULL OR status <> 'erased'))"""


def verdicts(connection: psycopg.Connection) -> Iterator[Verdict]:
    """One verdict for each certificate of the database."""
    known = {kid for (kid,) in connection.execute(_NAMED)}
    (fingerprint,) = connection.execute("SELECT encode(fingerprint, 'hex') FROM root_key").fetchone() or ("",)
    for user_id, text, epoch in connection.execute(_CERTIFICATES).fetchall():
        certificate, signature = _read(text, user_id, known)
        there = connection.execute(_EPOCH, (epoch,)).fetchone()
        yield Verdict(
            user_id=user_id,
            signature=signature,
            chain="whole" if certificate and _whole(connection, certificate) else "broken",
            left=_left(connection, user_id),
            epoch="there" if there and there[0] else "destroyed",
            root_key="the same" if certificate and certificate.key.root_key == fingerprint else "replaced",
        )


def _read(text: str, user_id: UUID, known: set[str]) -> tuple[Certificate | None, Signature]:
    try:
        certificate, kid = verified(text)
    except CertificateInvalid:
        return None, "does not hold"
    if certificate.user_id != user_id:
        return None, "does not hold"
    return certificate, "holds" if kid in known else "of an unknown key"


def _whole(connection: psycopg.Connection, certificate: Certificate) -> bool:
    """Whether the user's stream chains from its first event to the one that the certificate names."""
    link, count = b"", 0
    for version, name, state, previous, found in connection.execute(_STREAM, (certificate.user_id,)):
        stored = link + certificate.user_id.bytes + version.to_bytes(8) + name.encode() + b"\0" + state
        count += 1
        if (version, previous or b"", found) != (count, link, hashlib.sha256(stored).digest()):
            return False
        link = found
        if count == certificate.log.events:
            break
    return (count, link.hex()) == (certificate.log.events, certificate.log.hash)


def _left(connection: psycopg.Connection, user_id: UUID) -> int:
    """How many rows of the user there are where there should be none, or that should be bare and are not."""
    bare = connection.execute(_NOT_BARE, (user_id, user_id)).fetchone()
    left = int(bare[0]) if bare else 0
    for eraser in ERASERS:
        if eraser.what != "rows go":
            continue
        names = [eraser.table]
        if eraser.family:
            names = [name for (name,) in connection.execute(GENERATIONS, (eraser.table,))]
        for name in names:
            where = SQL("SELECT count(*) FROM {} WHERE {} = %s").format(
                Identifier(name), Identifier(eraser.column)
            )
            row = connection.execute(where + SQL(eraser.only), (user_id,)).fetchone()
            left += row[0] if row else 0
    return left
