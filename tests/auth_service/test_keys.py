"""The public keys of the Auth service: when they are fetched, and which of them check anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from domain.errors import InvalidToken, Unavailable
from infrastructure.auth_service.keys import FLOOR, FRESH, USABLE, PublicKeys
from tests.support.platform.keys_page import KeysPage
from tests.support.waiting import eventually


def published(kid: str = "one", **changes: Any) -> dict[str, Any]:
    jwk = OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key(), as_dict=True)
    return {"kid": kid, "use": "sig", **jwk, **changes}


class Clock:
    """Time that a test moves on by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Book:
    """What is published, and who looks it up."""

    def __init__(self) -> None:
        self.keys: Any = {"keys": [published()]}
        self.page = KeysPage(lambda: self.keys)
        self.clock = Clock()
        self.found = PublicKeys(self.page.url, timeout=10, clock=self.clock)

    def pass_by(self, seconds: float) -> None:
        self.clock.now += seconds


@pytest.fixture
async def book() -> AsyncIterator[Book]:
    made = Book()
    yield made
    await made.found.close()
    made.page.close()


async def test_many_who_ask_at_once_share_one_fetch(book: Book) -> None:
    keys = await asyncio.gather(*(book.found.find("one") for _ in range(50)))
    assert len({key.key_id for key in keys}) == 1
    assert book.page.asked == 1


async def test_an_unknown_key_is_looked_for_and_then_there_is_none(book: Book) -> None:
    await book.found.find("one")
    book.pass_by(FLOOR)
    with pytest.raises(InvalidToken):
        await book.found.find("two")
    assert book.page.asked == 2


async def test_keys_are_fetched_anew_in_passing_once_they_are_not_fresh(book: Book) -> None:
    await book.found.find("one")
    book.keys = {"keys": [published("one"), published("two")]}
    book.pass_by(FRESH + 1)
    assert book.found.at_hand("one")

    async def there() -> bool:
        return book.found.at_hand("two") is not None

    await eventually(there)
    assert book.page.asked == 2


async def test_during_an_outage_keys_go_on_for_an_hour_and_then_nobody_can_say(book: Book) -> None:
    await book.found.find("one")
    book.page.status = 500
    book.pass_by(USABLE - 1)
    assert book.found.at_hand("one")
    book.pass_by(2)
    with pytest.raises(Unavailable):
        await book.found.find("one")
    book.page.status = 200
    book.pass_by(FLOOR)
    await book.found.find("one")


async def test_a_withdrawn_key_checks_nothing_any_more(book: Book) -> None:
    await book.found.find("one")
    generation = book.found.generation
    book.keys = {"keys": [published("two")]}
    book.pass_by(FLOOR)
    await book.found.find("two")
    assert book.found.generation > generation
    assert book.found.at_hand("one") is None


def weak() -> Iterator[tuple[str, dict[str, Any]]]:
    curve = ec.generate_private_key(ec.SECP384R1()).public_key()
    short = rsa.generate_private_key(65537, 1024).public_key()
    yield "another curve", ECAlgorithm.to_jwk(curve, as_dict=True)
    yield "a short key", RSAAlgorithm.to_jwk(short, as_dict=True)
    yield "a secret", {"kty": "oct", "k": "c2VjcmV0"}
    yield "a private key", OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=True)
    yield "for encryption", published(use="enc")
    yield "torn", {"kty": "OKP", "crv": "Ed25519", "x": "!"}


async def test_what_is_no_public_key_of_a_good_kind_is_left_out(book: Book) -> None:
    for what, key in weak():
        book.keys = {"keys": [published("good"), {"kid": "one", **key}]}
        book.pass_by(FLOOR + FRESH)
        found = PublicKeys(book.page.url, timeout=10)
        await found.find("good")
        assert found.at_hand("one") is None, what


@pytest.mark.parametrize("kind", ["OKP", "EC", "RSA"])
async def test_each_good_kind_checks_by_its_own_algorithm(book: Book, kind: str) -> None:
    made: dict[str, tuple[str, Any, Any]] = {
        "OKP": ("EdDSA", Ed25519PrivateKey.generate(), OKPAlgorithm),
        "EC": ("ES256", ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
        "RSA": ("RS256", rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    }
    algorithm, key, form = made[kind]
    # Whatever name the issuer has for the algorithm, such as Ed25519.
    book.keys = {"keys": [{"kid": "k", **form.to_jwk(key.public_key(), as_dict=True), "alg": "Ed25519"}]}
    found = await book.found.find("k")
    token = jwt.encode({"sub": "ada"}, key, algorithm)
    assert jwt.decode(token, found.key, algorithms=[algorithm]) == {"sub": "ada"}


@pytest.mark.parametrize("answer", [{}, {"keys": 7}, [], "x", {"keys": [{"kty": []}]}], ids=str)
async def test_an_answer_that_is_no_key_set_is_an_outage(book: Book, answer: Any) -> None:
    book.keys = answer
    with pytest.raises((Unavailable, InvalidToken)):
        await book.found.find("one")
    assert book.found.jwks == {"keys": []}


async def test_an_issuer_that_publishes_none_has_none(book: Book) -> None:
    book.keys = {"keys": None}
    with pytest.raises(InvalidToken):
        await book.found.find("one")


def told(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize(
    ("says", "then"),
    [
        (b"no page at all\r\n\r\n", b""),
        (told(b'{"keys":["one"]}'), b""),
        (told(b'{"keys":{"one":1}}'), b""),
        (told(b"null"), b""),
        (told(b"[" * 100_000), b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
    ],
    ids=["noise", "words", "object", "null", "too deep", "drop by drop"],
)
async def test_what_is_no_list_of_keys_is_an_outage_and_never_waited_for_long(
    says: bytes, then: bytes
) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(says)
        while then and not reader.at_eof() and not writer.is_closing():
            writer.write(then)
            await asyncio.sleep(0.05)
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        found = PublicKeys(f"http://127.0.0.1:{port}/", timeout=0.3)
        async with asyncio.timeout(20):
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await found.find("one")
        await found.close()


async def test_a_key_that_cannot_be_read_takes_nothing_from_the_others(book: Book) -> None:
    book.keys = {"keys": [published("odd", x=5), {"kty": ["OKP"], "kid": "odder"}, published("one")]}
    assert (await book.found.find("one")).key_id == "one"
