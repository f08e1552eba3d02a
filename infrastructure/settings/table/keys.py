"""The keys that are handed in rather than made."""

from __future__ import annotations

from infrastructure.settings import kinds
from infrastructure.settings.variable import Group, Variable, both, ours

KEYS = Group(
    "Keys",
    (
        Variable(
            "root_key",
            ours("ROOT_KEY"),
            kinds.ROOT_KEY,
            None,
            "The key that wraps every other key; a backup is the database and this key.",
            secret=True,
            unset="generated together with an embedded PostgreSQL, refused with any other",
        ),
        Variable(
            "root_key_new",
            ours("ROOT_KEY_NEW"),
            kinds.ROOT_KEY,
            None,
            "The key that takes the place of the root key in `usersd keys rewrap`, and for nothing else.",
            secret=True,
            unset="a random one, where the root key is in the data folder",
        ),
        Variable(
            "secret_key",
            both("USERS_SECRET_KEY"),
            kinds.ANY_TEXT,
            "mainflux",
            "The shared secret of HS512 tokens, for parties that verify with it, and nothing else.",
            secret=True,
        ),
    ),
)
