"""Hashing secrets: right and wrong ones, nobody's, long ones, and too many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from domain.errors import Overloaded
from infrastructure.accounts.passwords import BcryptHasher


@pytest.fixture
def hasher() -> Iterator[BcryptHasher]:
    """bcrypt at its cheapest."""
    made = BcryptHasher(4)
    yield made
    made.close()


async def test_a_secret_matches_its_hash_and_no_other_does(hasher: BcryptHasher) -> None:
    hashed = await hasher.hash("correct horse")
    assert await hasher.verify("correct horse", hashed)
    assert not await hasher.verify("Correct horse", hashed)
    assert not await hasher.verify("", hashed)
    assert await hasher.hash("correct horse") != hashed


async def test_nobody_has_a_secret(hasher: BcryptHasher) -> None:
    assert not await hasher.verify("anything", None)


async def test_a_secret_is_never_cut(hasher: BcryptHasher) -> None:
    hashed = await hasher.hash("x" * 72)
    assert await hasher.verify("x" * 72, hashed)
    assert not await hasher.verify("x" * 73, hashed)
    assert not await hasher.verify("x" * 71, hashed)
    with pytest.raises(ValueError, match="72"):
        await hasher.hash("x" * 73)


@pytest.mark.parametrize("broken", ["", "x", "$2b$04$short", "$argon2id$v=19$m=65536"])
async def test_a_hash_that_cannot_be_read_matches_nothing(hasher: BcryptHasher, broken: str) -> None:
    assert not await hasher.verify("anything", broken)


async def test_a_hash_of_another_cost_is_outdated(hasher: BcryptHasher) -> None:
    hashed = await hasher.hash("correct horse")
    assert not hasher.outdated(hashed)
    stronger = BcryptHasher(5)
    assert stronger.outdated(hashed)
    stronger.close()


async def test_too_many_at_once_are_turned_away_and_the_rest_are_served(hasher: BcryptHasher) -> None:
    hasher._limit = 3
    answers = await asyncio.gather(*(hasher.hash(f"{n}") for n in range(5)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [str, str, str, Overloaded, Overloaded]
    assert hasher.waiting == 0
    assert await hasher.hash("later")
