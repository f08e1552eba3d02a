"""Tokens that are not ours, not of this kind, not any more: 401, whatever is asked for."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from application.ports import SessionGrant
from infrastructure.tokens.local import LocalTokens
from infrastructure.tokens.signing import SigningKey
from tests.http.answers import accepted, refused
from tests.http.conftest import Cast
from tests.support.service import bearer

Forgery = Callable[[Cast, dict[str, Any], dict[str, Any]], str]


def signed_by_us(cast: Cast, claims: dict[str, Any], header: dict[str, Any]) -> str:
    return jwt.encode(claims, key_of(cast).private, "ES256", header)


def key_of(cast: Cast) -> SigningKey:
    tokens = cast.client.service.tokens
    assert isinstance(tokens, LocalTokens)
    key = tokens.active
    assert key is not None
    return key


def with_claims(**changes: Any) -> Forgery:
    """Signed by ourselves, with claims that we would not make; None removes one."""

    def forge(cast: Cast, claims: dict[str, Any], header: dict[str, Any]) -> str:
        changed = {name: value for name, value in (claims | changes).items() if value is not None}
        return signed_by_us(cast, changed, header)

    return forge


def with_header(**changes: Any) -> Forgery:
    return lambda cast, claims, header: signed_by_us(cast, claims, header | changes)


def of_no_algorithm(cast: Cast, claims: dict[str, Any], header: dict[str, Any]) -> str:
    return jwt.encode(claims, "", "none", header | {"alg": "none"})


def by_another_key(cast: Cast, claims: dict[str, Any], header: dict[str, Any]) -> str:
    return jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", header)


def by_hmac_with_the_public_key(cast: Cast, claims: dict[str, Any], header: dict[str, Any]) -> str:
    pem = key_of(cast).public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = base64.urlsafe_b64encode(json.dumps(header | {"alg": "HS256"}).encode()).rstrip(b"=")
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        head + b"." + body, pem
    )
    return b".".join((head, body, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()


def spliced(cast: Cast, claims: dict[str, Any], header: dict[str, Any]) -> str:
    """The signature of one token under the claims of another."""
    mine, admins = signed_by_us(cast, claims, header), cast.admin["Authorization"].split(" ")[1]
    head, _, signature = mine.split(".")
    return ".".join((head, admins.split(".")[1], signature))


def signed_with_nothing(cast: Cast, claims: dict[str, Any], header: dict[str, Any]) -> str:
    return signed_by_us(cast, claims, header).rpartition(".")[0] + "."


FORGERIES: dict[str, Forgery] = {
    "no algorithm": of_no_algorithm,
    "another key": by_another_key,
    "HMAC with the public key": by_hmac_with_the_public_key,
    "claims of another token": spliced,
    "no signature": signed_with_nothing,
    "unknown key id": with_header(kid="nobody"),
    "key id that is no text": with_header(kid="1" * 3000),
    "typ of a plain JWT": with_header(typ="JWT"),
    "typ of a refresh token": with_header(typ="rt+jwt"),
    "another audience": with_claims(aud="elsewhere"),
    "no audience": with_claims(aud=None),
    "another issuer": with_claims(iss="elsewhere"),
    "no expiry": with_claims(exp=None),
    "expired": with_claims(exp=1_000_000_000),
    "expiry that is no number": with_claims(exp="soon"),
    "issued tomorrow": with_claims(iat=4_000_000_000),
    "type of a refresh token": with_claims(type=1),
    "no type": with_claims(type=None),
    "no session": with_claims(sid=None),
    "session that is no id": with_claims(sid=7),
    "subject that is no id": with_claims(sub="nobody"),
    "subject who does not exist": with_claims(sub=str(uuid4())),
    "no epoch": with_claims(epoch=None),
    "epoch that is no number": with_claims(epoch="x"),
    "epoch of the future": with_claims(epoch=2),
    "epoch beyond bounds": with_claims(epoch=10**30),
    "overlong": with_claims(more="x" * 5000),
}

NO_TOKENS = [
    "x", "a.b.c", "..", "a.b", "a.b.c.d", "e30.e30.", "\x7f", "ÿ", "x" * 100_000, "null", "a b",
    "e30=.e30=.e30=", "%00", "' OR 1=1--",
]  # fmt: skip


async def test_a_forger_with_our_key_would_get_in(cast: Cast) -> None:
    """So that the forgeries below are refused for what is wrong with them and not for their making."""
    token = signed_by_us(cast, *_parts(cast))
    accepted(await cast.client.http.get("/users/profile", headers=bearer(token)))


@pytest.mark.parametrize("kind", FORGERIES)
async def test_a_forged_token_is_refused_as_access_and_as_refresh(
    cast: Cast, nothing_stored: None, kind: str
) -> None:
    token = FORGERIES[kind](cast, *_parts(cast))
    await _is_refused_everywhere(cast, token)


@pytest.mark.parametrize("token", NO_TOKENS, ids=lambda token: token[:12].encode("unicode_escape").decode())
async def test_what_is_no_token_is_refused(cast: Cast, nothing_stored: None, token: str) -> None:
    await _is_refused_everywhere(cast, token)


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic dTpw", "Token x", "Bearer:x"])
async def test_another_scheme_or_none_counts_as_no_token(cast: Cast, value: str) -> None:
    answer = await cast.client.http.get("/users/profile", headers={"Authorization": value})
    refused(answer, 401, "unauthenticated")


async def test_a_refresh_token_is_never_an_access_token_and_the_reverse(cast: Cast) -> None:
    tokens = await cast.client.login(cast.user["email"])
    answer = await cast.client.http.get("/users/profile", headers=bearer(tokens["refresh_token"]))
    refused(answer, 401, "invalid_token")
    answer = await cast.client.http.post("/users/tokens/refresh", headers=bearer(tokens["access_token"]))
    refused(answer, 401, "invalid_token")


async def test_a_token_of_ours_that_has_expired_is_refused(cast: Cast) -> None:
    ports = cast.client.service.bus.ports
    user_id = UUID(cast.user["id"])
    credential = await ports.accounts.of(user_id)
    assert credential is not None
    grant = SessionGrant(user_id=user_id, session_id=uuid4(), epoch=credential.epoch)
    for age, status in ((timedelta(minutes=14), 200), (timedelta(minutes=16), 401)):
        token = await ports.tokens.access_token(grant, credential, datetime.now(UTC) - age)
        answer = await cast.client.http.get("/users/profile", headers=bearer(token))
        assert answer.status_code == status


async def test_a_refresh_token_that_was_tampered_with_is_refused(cast: Cast) -> None:
    token = (await cast.client.login(cast.user["email"]))["refresh_token"]
    head, claims, signature = token.split(".")
    forged = jwt.decode(token, options={"verify_signature": False}) | {"role": 2}
    body = base64.urlsafe_b64encode(json.dumps(forged).encode()).rstrip(b"=").decode()
    for bad in (f"{head}.{body}.{signature}", f"{head}.{claims}.{signature[:-4]}AAAA", f"{head}.{claims}."):
        answer = await cast.client.http.post("/users/tokens/refresh", headers=bearer(bad))
        refused(answer, 401, "invalid_token")
    accepted(await cast.client.http.post("/users/tokens/refresh", headers=bearer(token)), 201)


def _parts(cast: Cast) -> tuple[dict[str, Any], dict[str, Any]]:
    token = cast.user_headers["Authorization"].split(" ")[1]
    header = jwt.get_unverified_header(token)
    return jwt.decode(token, options={"verify_signature": False}), {
        "kid": header["kid"], "typ": header["typ"]
    }  # fmt: skip


async def _is_refused_everywhere(cast: Cast, token: str) -> None:
    http = cast.client.http
    headers = {b"Authorization": f"Bearer {token}".encode()}
    for answer in (
        await http.get("/users/profile", headers=headers),
        await http.patch(cast.path, json={"first_name": "X"}, headers=headers),
        await http.get("/users", headers=headers),
        await http.post("/users/tokens/refresh", headers=headers),
    ):
        refused(answer, 401, "invalid_token")
