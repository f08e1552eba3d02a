"""Scripts of listed web origins may call the service, and those of no others."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from interfaces.http.cors import serialised
from tests.support.service import Client, running_service

LISTED = "https://ui.example.com"
STRANGE = "https://evil.example.com"
SENDS = {"authorization", "content-type", "if-match", "if-none-match", "idempotency-key", "x-request-id"}
READS = {"etag", "location", "link", "x-request-id", "retry-after", "usersd-position", "www-authenticate"}


@pytest.fixture
async def listed(database: str) -> AsyncIterator[Client]:
    async with running_service(database, MG_USERS_CORS_ORIGINS="https://UI.example.com:443") as made:
        yield made


def _words(answer: httpx.Response, header: str) -> set[str]:
    return {word.strip().lower() for word in answer.headers.get(header, "").split(",")}


async def _preflight(client: Client, origin: str, path: str = "/users") -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
    return await client.http.options(path, headers=asked)


def _cors(answer: httpx.Response) -> set[str]:
    return {name for name in answer.headers if name.startswith("access-control-")}


async def test_a_preflight_of_a_listed_origin_is_answered(listed: Client) -> None:
    for path in ("/users", "/users/tokens/issue", "/nowhere"):
        answer = await _preflight(listed, LISTED, path)
        assert answer.status_code == 204
        assert answer.content == b""
        assert answer.headers["access-control-allow-origin"] == LISTED
        assert _words(answer, "access-control-allow-methods") >= {"get", "post", "put", "patch", "delete"}
        assert _words(answer, "access-control-allow-headers") >= SENDS
        assert int(answer.headers["access-control-max-age"]) > 0
        assert "origin" in _words(answer, "vary")
        assert answer.headers["x-request-id"]


async def test_an_answer_to_a_listed_origin_may_be_read_and_so_may_a_refusal(listed: Client) -> None:
    asked = {"Origin": LISTED}
    fine = await listed.http.get("/health", headers=asked)
    unknown = await listed.http.get("/users/profile", headers=asked)
    nowhere = await listed.http.get("/nowhere", headers=asked)
    wrong = await listed.http.post("/users", headers=asked, json=[])
    large = await listed.http.post("/users", headers=asked, json="x" * 300_000)
    answers = [fine, unknown, nowhere, wrong, large]
    assert [answer.status_code for answer in answers] == [200, 401, 404, 400, 413]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == LISTED
        assert _words(answer, "access-control-expose-headers") >= READS
        assert "origin" in _words(answer, "vary")
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "origin", [STRANGE, "null", "https://ui.example.com.evil.org", "http://ui.example.com"]
)
async def test_a_strange_origin_is_allowed_nothing(listed: Client, origin: str) -> None:
    preflight = await _preflight(listed, origin)
    answer = await listed.http.get("/health", headers={"Origin": origin})
    assert not _cors(preflight) | _cors(answer)
    # A cache must not hand this answer to a listed origin.
    assert "origin" in _words(answer, "vary")


async def test_without_an_origin_only_vary_is_told(listed: Client) -> None:
    answer = await listed.http.get("/health")
    assert not _cors(answer)
    assert "origin" in _words(answer, "vary")
    token = await listed.as_admin()
    profile = await listed.http.get("/users/profile", headers=token)
    assert _words(profile, "vary") == {"origin", "authorization"}


async def test_options_without_a_preflight_names_the_methods(listed: Client) -> None:
    answer = await listed.http.options("/users", headers={"Origin": LISTED})
    assert answer.status_code == 204
    assert "POST" in answer.headers["allow"]


async def test_a_star_allows_every_origin_and_never_credentials(database: str) -> None:
    async with running_service(database, MG_USERS_CORS_ORIGINS="*") as client:
        for answer in (
            await client.http.get("/users/profile", headers={"Origin": STRANGE}),
            await _preflight(client, STRANGE),
        ):
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in answer.headers
            assert "origin" not in _words(answer, "vary")


async def test_by_default_no_origin_is_allowed(client: Client) -> None:
    preflight = await _preflight(client, LISTED)
    answer = await client.http.get("/health", headers={"Origin": LISTED})
    assert not _cors(preflight) | _cors(answer)
    assert "vary" not in answer.headers


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://UI.example.com", "https://ui.example.com"),
        ("https://ui.example.com:443", "https://ui.example.com"),
        ("http://ui.example.com:80", "http://ui.example.com"),
        ("http://ui.example.com:443", "http://ui.example.com:443"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://[::1]", "http://[::1]"),
    ],
)
def test_an_origin_is_compared_as_browsers_write_it(given: str, origin: str) -> None:
    assert serialised(given) == origin
