"""The rolling hash over the whole log, which every checkpoint signs.

R(n) = SHA-256(R(n-1) || hash of the event at position n), where R(0) is 32 zero bytes. An event's own hash
covers its content and its place in its stream; this one covers the order of all of them.
"""

from __future__ import annotations

import hashlib

import msgspec
import psycopg

SIZE = 32
BEGINNING = bytes(SIZE)
PAGE = 10_000

_PAGE = """
SELECT count(*), max(position), string_agg(hash, ''::bytea ORDER BY position)
FROM (SELECT position, hash FROM events
      WHERE position > %s AND position <= %s ORDER BY position LIMIT %s) AS page"""


class Rolled(msgspec.Struct, frozen=True):
    """The rolling hash at a position."""

    position: int
    hash: bytes


class PositionsMissing(Exception):
    """There is a gap in the log, or an event whose hash is none."""

    def __init__(self, after: int) -> None:
        super().__init__(f"the log is not gapless behind position {after}")
        self.after = after


def roll(link: bytes, hashes: bytes) -> bytes:
    """The rolling hash after some events' hashes, one behind the other."""
    sha256 = hashlib.sha256
    for start in range(0, len(hashes), SIZE):
        link = sha256(link + hashes[start : start + SIZE]).digest()
    return link


def rolled_on(connection: psycopg.Connection, since: Rolled, until: int) -> Rolled:
    """The rolling hash at a later position, or at the log's end where that comes first.

    Hashes come as one value a page: nothing of the events themselves leaves the database. Raises
    PositionsMissing.
    """
    position, link = since.position, since.hash
    while position < until:
        row = connection.execute(_PAGE, (position, until, PAGE), binary=True).fetchone()
        assert row is not None
        count, reached, hashes = row
        if not count:
            break
        if reached - position != count or len(hashes) != SIZE * count:
            raise PositionsMissing(position)
        position, link = reached, roll(link, hashes)
    return Rolled(position, link)
