"""The keys that sign: made, published, rotated, retired, and never taken for one another."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import psycopg
import pytest

from application.key_operations import KEYS_CACHED_FOR, KeyRefused, TooEarly
from domain.errors import InvalidToken
from infrastructure.postgres.notifications import Signal
from infrastructure.tokens import key_watch
from infrastructure.tokens.key_store import PUBLISHED_FOR, SPARE, KeyStore
from infrastructure.tokens.key_watch import KeyWatch
from infrastructure.tokens.local import LocalTokens
from infrastructure.tokens.signing import SigningKey
from tests.support.memory import NOON
from tests.support.waiting import eventually
from tests.tokens.conftest import ACCESS_LIFE, AUDIENCE, ISSUER, Ground
from tests.tokens.signed import signed, tokens_with

ALGORITHMS = ["ES256", "EdDSA", "RS256"]
OTHERS_READ: dict[str, Any] = {
    "algorithms": ALGORITHMS,
    "audience": AUDIENCE,
    "issuer": ISSUER,
    "options": {"verify_exp": False, "verify_iat": False},
}


@pytest.fixture
def store(ground: Ground) -> Iterator[KeyStore]:
    with psycopg.connect(ground.conninfo, autocommit=True) as connection:
        yield KeyStore(connection, ground.keyring)


def ripe(store: KeyStore) -> None:
    """Let the keys have been published for as long as they must."""
    store._connection.execute("UPDATE signing_keys SET created_at = created_at - %s", (PUBLISHED_FOR,))


def states(store: KeyStore) -> list[tuple[str, str]]:
    return [(key.state, key.algorithm) for key in store.all()]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_of_each_algorithm_is_checked_by_us_and_by_others(
    ground: Ground, store: KeyStore, algorithm: str
) -> None:
    store.settle(algorithm)
    tokens = tokens_with(*store.all())
    token = await signed(ground, tokens)
    assert tokens.check_access(token, NOON).user_id == ground.ada
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["typ"]) == (algorithm, "at+jwt")
    published = jwt.PyJWKSet.from_dict(tokens.jwks)[header["kid"]]
    assert jwt.decode(token, published, **OTHERS_READ)["sub"] == str(ground.ada)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_published_holds_nothing_private(algorithm: str) -> None:
    shown = SigningKey.make(algorithm).jwk
    assert not set(shown) & {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}
    assert set(shown) - {"kty", "kid", "alg", "use"} in ({"crv", "x", "y"}, {"crv", "x"}, {"n", "e"})


def test_a_key_id_is_the_thumbprint_of_the_key() -> None:
    # The example of RFC 8037 appendix A.3.
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    d = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    key = SigningKey(serialization_of(d))
    assert (key.jwk["x"], key.kid) == (x, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")


def serialization_of(raw: bytes) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(raw)


async def test_keys_are_made_once_and_stored_sealed(ground: Ground, store: KeyStore) -> None:
    assert store.settle("ES256") == ""
    made = store.all()
    assert store.settle("ES256") == ""
    assert [key.kid for key in store.all()] == [key.kid for key in made]
    assert states(store) == [("active", "ES256"), ("next", "ES256")]
    for key, (wrapped,) in zip(made, await ground.rows("SELECT wrapped FROM signing_keys"), strict=True):
        assert isinstance(wrapped, bytes)
        number = key.private.private_numbers().private_value.to_bytes(32)  # type: ignore[union-attr]
        assert number not in wrapped


async def test_processes_that_start_at_once_make_one_key_of_each_kind(ground: Ground) -> None:
    def start() -> None:
        with psycopg.connect(ground.conninfo, autocommit=True) as connection:
            KeyStore(connection, ground.keyring).settle("ES256")

    await asyncio.gather(*(asyncio.to_thread(start) for _ in range(6)))
    assert len(await ground.rows("SELECT 1 FROM signing_keys")) == 2


def test_the_next_key_is_published_for_longer_than_anybody_caches_keys() -> None:
    assert PUBLISHED_FOR > KEYS_CACHED_FOR >= timedelta(seconds=900)


async def test_the_next_key_signs_only_after_it_was_published_long_enough(
    ground: Ground, store: KeyStore
) -> None:
    store.settle("ES256")
    first, following = store.all()
    with pytest.raises(TooEarly) as refused:
        store.rotate(now=False)
    assert timedelta() < refused.value.wait <= PUBLISHED_FOR
    assert "16 min" in str(refused.value)
    token = await signed(ground, tokens_with(*store.all()))
    ripe(store)
    assert store.rotate(now=False).kid == following.kid
    rotated = tokens_with(*store.all())
    assert [key.state for key in store.all()] == ["active", "next", "retired"]
    assert {first.kid, following.kid} < {key["kid"] for key in rotated.jwks["keys"]}
    assert rotated.check_access(token, NOON).user_id == ground.ada
    assert jwt.get_unverified_header(await signed(ground, rotated))["kid"] == following.kid
    with pytest.raises(TooEarly):
        store.rotate(now=False)


def test_a_rotation_that_cannot_wait_does_not(store: KeyStore) -> None:
    store.settle("ES256")
    following = store.all()[1]
    assert store.rotate(now=True).kid == following.kid


def test_without_keys_there_is_nothing_to_rotate(store: KeyStore) -> None:
    with pytest.raises(KeyRefused, match="no keys yet"):
        store.rotate(now=True)


async def test_a_key_is_retired_when_the_last_of_its_tokens_is_over_or_by_force(
    ground: Ground, store: KeyStore
) -> None:
    store.settle("ES256")
    old = store.all()[0]
    token = await signed(ground, tokens_with(*store.all()))
    with pytest.raises(KeyRefused, match="rotate"):
        store.retire(old.kid, ACCESS_LIFE, force=True)
    store.rotate(now=True)
    with pytest.raises(KeyRefused, match="--force"):
        store.retire(old.kid, ACCESS_LIFE, force=False)
    store._connection.execute(
        "UPDATE signing_keys SET signed_until = signed_until - %s WHERE state = 'retired'",
        (ACCESS_LIFE + SPARE,),
    )
    store.retire(old.kid, ACCESS_LIFE, force=False)
    with pytest.raises(InvalidToken):
        tokens_with(*store.all()).check_access(token, NOON)
    with pytest.raises(KeyRefused, match="no key"):
        store.retire(old.kid, ACCESS_LIFE, force=True)


def test_a_next_key_that_is_retired_has_a_successor(store: KeyStore) -> None:
    store.settle("EdDSA")
    following = store.all()[1]
    store.retire(following.kid, ACCESS_LIFE, force=False)
    assert states(store) == [("active", "EdDSA"), ("next", "EdDSA")]
    assert store.all()[1].kid != following.kid


async def test_another_algorithm_signs_once_its_key_was_published_long_enough(
    ground: Ground, store: KeyStore
) -> None:
    store.settle("ES256")
    token = await signed(ground, tokens_with(*store.all()))
    assert "EdDSA" in store.settle("EdDSA")
    assert states(store) == [("active", "ES256"), ("next", "EdDSA")]
    assert store.settle("EdDSA") == ""
    ripe(store)
    assert "from now on" in store.settle("EdDSA")
    assert states(store) == [("active", "EdDSA"), ("next", "EdDSA"), ("retired", "ES256")]
    assert tokens_with(*store.all()).check_access(token, NOON).user_id == ground.ada


async def test_a_running_process_follows_the_keys(ground: Ground, store: KeyStore) -> None:
    store.settle("ES256")
    tokens, signal = tokens_with(*store.all()), Signal()
    async with KeyWatch(ground.pool, ground.keyring, signal, asyncio.Event(), tokens.use):
        following = store.rotate(now=True)
        signal.fire()

        async def signs() -> bool:
            return tokens.active is not None and tokens.active.kid == following.kid

        await eventually(signs)
        assert len(tokens.jwks["keys"]) == 3


async def test_made_up_key_ids_cost_one_look_a_second_at_the_most(
    ground: Ground, store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_watch, "AT_MOST_EVERY", 3600.0)
    store.settle("ES256")
    wanted = asyncio.Event()
    tokens = LocalTokens(
        store.all(), life=ACCESS_LIFE, issuer=ISSUER, audience=AUDIENCE, unknown_key=wanted.set
    )
    token = await signed(ground, tokens_with(SigningKey.make("ES256")))
    async with KeyWatch(ground.pool, ground.keyring, Signal(), wanted, tokens.use) as watch:
        for _ in range(100):
            with pytest.raises(InvalidToken):
                tokens.check_access(token, NOON)
            await asyncio.sleep(0)

        async def looked() -> bool:
            return watch.looks == 1

        await eventually(looked)
    assert watch.looks == 1


async def test_an_unknown_key_id_makes_a_process_look_for_the_key(ground: Ground, store: KeyStore) -> None:
    store.settle("ES256")
    wanted = asyncio.Event()
    tokens = LocalTokens(
        store.all(), life=ACCESS_LIFE, issuer=ISSUER, audience=AUDIENCE, unknown_key=wanted.set
    )
    async with KeyWatch(ground.pool, ground.keyring, Signal(), wanted, tokens.use):
        for _ in range(2):
            store.rotate(now=True)
        token = await signed(ground, tokens_with(*store.all()))

        async def is_taken() -> bool:
            try:
                return tokens.check_access(token, NOON).user_id == ground.ada
            except InvalidToken:
                return False

        await eventually(is_taken)


async def test_a_token_whose_key_has_gone_is_refused_even_where_it_was_checked_before(
    ground: Ground,
) -> None:
    old, new = SigningKey.make("ES256", "retired"), SigningKey.make("ES256")
    token = await signed(ground, tokens_with(SigningKey(old.private)))
    tokens = tokens_with(new, old)
    assert tokens.check_access(token, NOON).user_id == ground.ada
    tokens.use([new])
    with pytest.raises(InvalidToken):
        tokens.check_access(token, NOON)


async def test_a_life_that_was_shortened_ends_the_tokens_of_the_longer_one(ground: Ground) -> None:
    key = SigningKey.make("ES256")
    long = LocalTokens([key], life=timedelta(days=1), issuer=ISSUER, audience=AUDIENCE)
    token = await signed(ground, long)
    short = tokens_with(key)
    assert short.check_access(token, NOON + ACCESS_LIFE - timedelta(seconds=1)).epoch == 1
    with pytest.raises(InvalidToken):
        short.check_access(token, NOON + ACCESS_LIFE)


def test_no_key_has_an_id_that_a_command_line_takes_for_an_option() -> None:
    assert not [key.kid for key in (SigningKey.make("EdDSA") for _ in range(500)) if key.kid.startswith("-")]
