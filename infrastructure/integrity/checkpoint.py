"""A checkpoint: position, count and rolling hash of the log at a moment, signed, chained to the one before.

It is a compact JWS (RFC 7515) over JSON with sorted keys. The key is made for this alone and wrapped by the
root key, so that the keys that sign tokens come and go without it: docs/adr/0014-signed-checkpoints.md.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infrastructure.event_store.keyring import Keyring
from infrastructure.integrity.rolling import BEGINNING, Rolled
from infrastructure.keys import statements
from infrastructure.tokens.signing import SigningKey

KIND = "usersd-log-checkpoint+json"
VERSION = 1


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """An operator has accepted a log that is behind: earlier checkpoints beyond `agrees_until` are void.

    `lost_until` is the highest position that anything outside the log knew of.
    """

    agrees_until: int
    lost_until: int
    reason: str


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed: `hash` is the rolling hash, `previous` the SHA-256 of the text before it, both in hex.

    Positions are gap-free, so that `count` equals `position`; it is named for those who only count.
    """

    version: int = VERSION
    number: int
    position: int
    count: int
    hash: str
    at: datetime
    previous: str
    restored: Restored | None = None

    @property
    def rolled(self) -> Rolled:
        return Rolled(self.position, bytes.fromhex(self.hash))


class Signed(msgspec.Struct, frozen=True):
    """A checkpoint, its text, and the id of the key that signed it."""

    checkpoint: Checkpoint
    text: str
    kid: str


class CheckpointInvalid(Exception):
    """The text is no checkpoint, or its signature does not hold."""


NOTHING = Rolled(0, BEGINNING)


def key_of(keyring: Keyring) -> SigningKey:
    """The key that signs checkpoints."""
    return SigningKey(Ed25519PrivateKey.from_private_bytes(keyring.checkpoint_key))


def signed(checkpoint: Checkpoint, key: SigningKey) -> Signed:
    text = statements.sign(msgspec.json.encode(checkpoint, order="sorted"), KIND, key)
    return Signed(checkpoint, text, key.kid)


def verified(text: str) -> Signed:
    """A checkpoint whose signature holds; whose key it is, the caller must ask. Raises CheckpointInvalid."""
    try:
        payload, kid = statements.verified(text, KIND)
        checkpoint = msgspec.json.decode(payload, type=Checkpoint)
        if len(checkpoint.rolled.hash) != len(BEGINNING):
            raise CheckpointInvalid("the rolling hash has another length")
        return Signed(checkpoint, text, kid)
    except (statements.StatementInvalid, msgspec.MsgspecError, ValueError) as error:
        raise CheckpointInvalid(str(error)) from None


def following(
    last: Signed | None, rolled: Rolled, at: datetime, restored: Restored | None = None
) -> Checkpoint:
    """The checkpoint that comes behind another one, or the first."""
    return Checkpoint(
        number=last.checkpoint.number + 1 if last else 1,
        position=rolled.position,
        count=rolled.position,
        hash=rolled.hash.hex(),
        at=at,
        previous=link_to(last.text) if last else "",
        restored=restored,
    )


def link_to(text: str) -> str:
    """What the checkpoint behind a text says of it."""
    return hashlib.sha256(text.encode()).hexdigest()


class Voids:
    """Which checkpoints still hold: an accepted restore voids earlier ones beyond where the logs agree."""

    def __init__(self) -> None:
        self._restores: list[tuple[int, int]] = []

    def note(self, checkpoint: Checkpoint) -> None:
        """Hear of a checkpoint, in whatever order."""
        if checkpoint.restored:
            self._restores.append((checkpoint.number, checkpoint.restored.agrees_until))

    def covers(self, number: int, position: int) -> bool:
        return any(number < since and position > agrees for since, agrees in self._restores)
