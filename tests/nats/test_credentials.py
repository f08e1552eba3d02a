"""Every way of being known to a NATS server works, and what is wrong with one is told without showing it."""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infrastructure.nats.connection import BrokerUnreachable, close, connect
from infrastructure.nats.credentials import Access, BadCredentials, Proof, key_of, seed_of
from tests.nats.broker import Broker
from tests.support.certificates import self_signed
from tests.support.waiting import eventually


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Broker]:
    """One that a test configures before it starts it."""
    made = Broker(tmp_path)
    yield made
    made.kill()


def bare(server: Broker, scheme: str = "nats") -> str:
    return f"{scheme}://{server.url.rpartition('@')[2]}"


async def connects(url: str, access: Access) -> None:
    client = await connect(url, name="test", within=5, access=access)
    assert client.is_connected
    await client.jetstream().account_info()
    await close(client)


async def refused(url: str, access: Access, words: str) -> str:
    with pytest.raises(BrokerUnreachable, match=words) as refusal:
        await connect(url, name="test", within=1, access=access)
    return str(refusal.value)


def test_a_seed_is_read_as_the_other_tools_of_nats_write_it() -> None:
    key = Ed25519PrivateKey.generate()
    seed = seed_of(key)
    assert seed.startswith("SU")
    assert len(seed) == 58
    assert seed_of(key_of(f" {seed}\n")) == seed
    assert Proof(key).public.startswith("U")
    assert len(Proof(key).public) == 56


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda seed: seed[:-1], "damaged|base32"),
        (lambda seed: seed[:10] + ("A" if seed[10] != "A" else "B") + seed[11:], "damaged"),
        (lambda seed: "not a seed", "base32"),
        (lambda seed: "", "damaged"),
    ],
    ids=["cut", "changed", "nonsense", "empty"],
)
def test_a_damaged_seed_is_refused_and_not_repeated(change: object, words: str) -> None:
    assert callable(change)
    seed = str(change(seed_of(Ed25519PrivateKey.generate())))
    with pytest.raises(BadCredentials, match=words) as refusal:
        key_of(seed)
    assert not seed or seed not in str(refusal.value)


async def test_an_nkey_opens_its_account_and_another_does_not(server: Broker) -> None:
    key = Ed25519PrivateKey.generate()
    server.start(f'authorization {{ users: [ {{ nkey: "{Proof(key).public}" }} ] }}')
    await connects(bare(server), Access(nkey_seed=seed_of(key)))
    other = seed_of(Ed25519PrivateKey.generate())
    words = await refused(bare(server), Access(nkey_seed=other), "Authorization Violation")
    assert other not in words


async def test_a_token_in_the_url_opens_its_account(server: Broker) -> None:
    server.start("authorization { token: hush-hush }")
    await connects(bare(server).replace("//", "//hush-hush@"), Access())
    await refused(bare(server), Access(), "Authorization Violation")


async def test_creds_open_their_account_and_are_read_anew_for_every_connection(
    server: Broker, tmp_path: Path
) -> None:
    operator, account, system, user = (Ed25519PrivateKey.generate() for _ in range(4))
    owner = {"type": "operator", "version": 2, "system_account": public(system, "A")}
    kept = [
        f"{public(key, 'A')}: {jwt(operator, 'O', key, 'A', claims)}"
        for key, claims in ((account, _ACCOUNT | _EVERYTHING), (system, _ACCOUNT))
    ]
    server.start(
        f"operator: {jwt(operator, 'O', operator, 'O', owner)}\nsystem_account: {public(system, 'A')}\n"
        f"resolver: MEMORY\nresolver_preload: {{ {', '.join(kept)} }}\n"
    )
    user_jwt = jwt(
        account, "A", user, "U", {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}
    )
    file = tmp_path / "usersd.creds"
    file.write_text("")
    await refused(bare(server), Access(creds=file), "does not hold both")
    file.write_text(
        f"-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed_of(user)}\n------END USER NKEY SEED------\n"
    )
    await connects(bare(server), Access(creds=file))


_ACCOUNT = {"type": "account", "version": 2}
_UNLIMITED = (
    "subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage", "streams",
    "consumer",
)  # fmt: skip
_EVERYTHING = {"limits": dict.fromkeys(_UNLIMITED, -1) | {"wildcards": True}}


def public(key: Ed25519PrivateKey, kind: str) -> str:
    """The public key of an operator, an account or a user, as NATS writes it."""
    raw = bytes([{"O": 14 << 3, "A": 0, "U": 20 << 3}[kind]]) + key.public_key().public_bytes_raw()
    return base64.b32encode(raw + struct.pack("<H", binascii.crc_hqx(raw, 0))).decode().rstrip("=")


def jwt(
    issuer: Ed25519PrivateKey,
    issued_by: str,
    subject: Ed25519PrivateKey,
    kind: str,
    claims: dict[str, object],
) -> str:
    """A token of NATS (JWT v2)."""
    payload = {
        "jti": "X" * 52, "iat": 1, "iss": public(issuer, issued_by), "name": "test",
        "sub": public(subject, kind), "nats": claims,
    }  # fmt: skip
    parts = [{"typ": "JWT", "alg": "ed25519-nkey"}, payload]
    text = ".".join(_base64(msgspec.json.encode(part)) for part in parts)
    return f"{text}.{_base64(issuer.sign(text.encode()))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


async def test_tls_checks_the_server_and_shows_a_certificate_where_one_is_asked_for(
    server: Broker, tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    server.start(
        f'tls {{ cert_file: "{certificate}", key_file: "{key}", ca_file: "{certificate}", verify: true }}'
    )
    access = Access(ca_certs=certificate, client_cert=certificate, client_key=key)
    await connects(bare(server), access)
    await connects(bare(server, "tls"), access)
    await refused(bare(server), Access(ca_certs=certificate), "127.0.0.1")
    await refused(bare(server, "tls"), Access(), "TLS: .*self.signed")


async def test_where_tls_was_asked_for_nothing_is_said_in_clear(server: Broker, tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path)
    server.start("authorization { token: hush-hush }")
    for url, access in (
        (bare(server, "tls").replace("//", "//hush-hush@"), Access()),
        (bare(server).replace("//", "//hush-hush@"), Access(ca_certs=certificate)),
    ):
        assert "hush" not in await refused(url, access, "TLS was asked for")


async def test_certificates_that_cannot_be_used_are_told_at_once(server: Broker, tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    await refused(bare(server), Access(ca_certs=nonsense), "the certificates for NATS cannot be used")


async def test_a_connection_that_comes_back_goes_by_the_certificates_of_then(
    server: Broker, tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    tls = f'tls {{ cert_file: "{certificate}", key_file: "{key}", ca_file: "{certificate}", verify: true }}'
    server.start(tls)
    access = Access(ca_certs=certificate, client_cert=certificate, client_key=key)
    client = await connect(bare(server), name="test", within=5, access=access)
    server.kill()
    self_signed(tmp_path)
    server.start(tls)

    async def back() -> bool:
        return bool(client.is_connected and client.stats["reconnects"])

    await eventually(back, within=30)
    await client.flush()
    await close(client)
