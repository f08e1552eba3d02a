"""Idempotency-Key: a request that is sent again has its effect once, and the same outcome."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.http.answers import accepted, refused
from tests.http.conftest import Cast
from tests.http.repeating import head_of, keyed, same_outcome
from tests.support.service import SECRET, Client

CHANGES: dict[str, tuple[str, str, Any]] = {
    "profile": ("PATCH", "", {"first_name": "Augusta", "metadata": {"a": 1}}),
    "username": ("PATCH", "/username", {"username": "countess-of-lovelace"}),
    "email": ("PATCH", "/email", {"email": "countess@example.com"}),
    "identity": ("PATCH", "/identity", {"identity": "countess@example.org"}),
    "tags": ("PATCH", "/tags", {"tags": ["x"]}),
    "picture": ("PATCH", "/picture", {"profile_picture": "https://example.com/a.png"}),
    "role": ("PATCH", "/role", {"role": "admin"}),
    "disable": ("POST", "/disable", None),
    "enable": ("POST", "/enable", None),
}


async def test_a_registration_that_is_sent_again_opens_no_second_account(client: Client) -> None:
    account, headers = client.account(), keyed()
    first = await client.http.post("/users", json=account, headers=headers)
    accepted(first, 201)
    assert "idempotency-replayed" not in first.headers
    head = await head_of(client)
    same_outcome(first, await client.http.post("/users", json=account, headers=headers))
    same_outcome(first, await client.http.post("/users/", json=account, headers=headers))
    assert await head_of(client) == head
    refused(await client.http.post("/users", json=account), 409, "email_taken")


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_that_is_sent_again_is_made_once(cast: Cast, change: str) -> None:
    method, place, body = CHANGES[change]
    user = await cast.client.register()
    path = f"/users/{user['id']}"
    if change == "enable":
        accepted(await cast.client.http.post(f"{path}/disable", headers=cast.admin))
    headers = keyed(cast.admin | {"If-Match": '"2"' if change == "enable" else '"1"'})
    first = await cast.client.http.request(method, path + place, json=body, headers=headers)
    accepted(first)
    head = await cast.head()
    same_outcome(first, await cast.client.http.request(method, path + place, json=body, headers=headers))
    assert await cast.head() == head
    fresh = cast.admin | {"If-Match": headers["If-Match"]}
    refused(
        await cast.client.http.request(method, path + place, json=body, headers=fresh), 412, "stale_version"
    )


async def test_a_key_with_another_body_method_or_path_is_refused(cast: Cast) -> None:
    http, headers = cast.client.http, keyed(cast.user_headers)
    accepted(await http.patch(f"{cast.path}/tags", json={"tags": ["a"]}, headers=headers))
    head = await cast.head()
    for method, path, body in (
        ("PATCH", f"{cast.path}/tags", {"tags": ["b"]}),
        ("PATCH", cast.path, {"tags": ["a"]}),
        ("POST", f"{cast.path}/disable", {"tags": ["a"]}),
    ):
        answer = await http.request(method, path, json=body, headers=headers)
        refused(answer, 422, "idempotency_key_reused")
    refused(
        await http.post("/users", json=cast.client.account(), headers=headers), 422, "idempotency_key_reused"
    )
    assert await cast.head() == head


async def test_a_stranger_who_guesses_the_key_of_a_registration_learns_only_that_it_is_used(
    cast: Cast,
) -> None:
    account, headers = cast.client.account(), keyed()
    accepted(await cast.client.http.post("/users", json=account, headers=headers), 201)
    guess = account | {"credentials": account["credentials"] | {"secret": "anotherSecret1"}}
    answer = await cast.client.http.post("/users", json=guess, headers=headers)
    refused(answer, 422, "idempotency_key_reused")
    assert account["email"] not in answer.text
    assert not {"location", "usersd-position", "etag"} & answer.headers.keys()


async def test_a_repeated_registration_shows_the_card_once_its_secret_opens_nothing(cast: Cast) -> None:
    account, headers = cast.client.account(), keyed()
    first = await cast.client.http.post("/users", json=account, headers=headers)
    owner = await cast.client.as_user(account["email"])
    change = {"old_secret": SECRET, "new_secret": f"{SECRET}4"}
    accepted(await cast.client.http.patch("/users/secret", json=change, headers=owner))
    again = await cast.client.http.post("/users", json=account, headers=headers)
    assert accepted(again, 201)["id"] == first.json()["id"]
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["usersd-position"] == first.headers["usersd-position"]
    assert account["email"] not in again.text
    assert "etag" not in again.headers


async def test_a_key_belongs_to_its_caller(cast: Cast) -> None:
    key = str(uuid4())
    for path, headers in ((cast.path, cast.user_headers), (f"/users/{cast.other['id']}", cast.other_headers)):
        answer = await cast.client.http.patch(
            f"{path}/tags", json={"tags": [key[:8]]}, headers=keyed(headers, key)
        )
        assert accepted(answer)["tags"] == [key[:8]]
        assert "idempotency-replayed" not in answer.headers


async def test_a_repeat_shows_the_user_as_they_are_now_and_does_not_change_them_back(cast: Cast) -> None:
    http, headers, path = cast.client.http, keyed(cast.user_headers), f"{cast.path}/tags"
    first = await http.patch(path, json={"tags": ["first"]}, headers=headers)
    later = await http.patch(path, json={"tags": ["later"]}, headers=cast.user_headers)
    again = await http.patch(path, json={"tags": ["first"]}, headers=headers)
    assert accepted(again)["tags"] == ["later"]
    assert again.headers["usersd-position"] == first.headers["usersd-position"]
    assert again.headers["etag"] == later.headers["etag"]


async def test_a_refusal_is_decided_anew(cast: Cast) -> None:
    holder, wanting = await cast.client.register(), await cast.client.register()
    headers = keyed(await cast.client.as_user(wanting["email"]))
    path, body = f"/users/{wanting['id']}/username", {"username": holder["credentials"]["username"]}
    refused(await cast.client.http.patch(path, json=body, headers=headers), 409, "username_taken")
    other = f"/users/{holder['id']}/username"
    accepted(
        await cast.client.http.patch(other, json={"username": f"x{uuid4().hex[:20]}"}, headers=cast.admin)
    )
    answer = await cast.client.http.patch(path, json=body, headers=headers)
    assert accepted(answer)["credentials"] == body
    assert "idempotency-replayed" not in answer.headers


@pytest.mark.parametrize("other", ['"{}"', "{}", "  {}  "])
async def test_a_key_may_come_with_quotes_and_without(cast: Cast, other: str) -> None:
    key, body = str(uuid4()), {"metadata": {"key": other}}
    first = await cast.client.http.patch(cast.path, json=body, headers=keyed(cast.user_headers, f'"{key}"'))
    again = await cast.client.http.patch(
        cast.path, json=body, headers=keyed(cast.user_headers, other.format(key))
    )
    same_outcome(first, again)


@pytest.mark.parametrize("key", [r'"a \"b\" \\ c"', '"a, b; c"', "!#$%&'()*+-./:<=>?@[]^_`{|}~", "k" * 255])
async def test_any_printable_ascii_makes_a_key(cast: Cast, key: str) -> None:
    body = {"metadata": {"key": key}}
    first = await cast.client.http.patch(cast.path, json=body, headers=keyed(cast.user_headers, key))
    same_outcome(
        first, await cast.client.http.patch(cast.path, json=body, headers=keyed(cast.user_headers, key))
    )


@pytest.mark.usefixtures("nothing_stored")
@pytest.mark.parametrize(
    "key",
    [b'""', b'"', b"two words", b'"a', b'a"', b'"a" "b"', b"a,b", b"a;b", b'"a";p=1', rb'"\a"', b"\xfc",
     b"\x7f", b'"\t"', b"k" * 256, b'"' + b"k" * 256 + b'"', b""],
)  # fmt: skip
async def test_what_is_no_key_is_refused(cast: Cast, key: bytes) -> None:
    headers = {name.encode(): value.encode() for name, value in cast.user_headers.items()}
    for method, path in (
        ("PATCH", f"{cast.path}/tags"),
        ("POST", f"{cast.path}/disable"),
        ("POST", "/users"),
    ):
        body = cast.client.account() if path == "/users" else {"tags": ["never"]}
        sent = headers | {b"Idempotency-Key": key}
        (message,) = refused(
            await cast.client.http.request(method, path, json=body, headers=sent), 400, "invalid_request", ""
        )
        assert message.startswith("Idempotency-Key")


@pytest.mark.usefixtures("nothing_stored")
async def test_two_keys_are_none(cast: Cast) -> None:
    headers = [*cast.user_headers.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = await cast.client.http.patch(cast.path, json={"first_name": "never"}, headers=headers)
    refused(answer, 400, "invalid_request", "")


async def test_tokens_and_secrets_hear_no_key(cast: Cast) -> None:
    user, headers = await cast.client.register(), keyed(key='"')
    login = {"identity": user["email"], "secret": SECRET}
    first = accepted(await cast.client.http.post("/users/tokens/issue", json=login, headers=headers), 201)
    again = accepted(await cast.client.http.post("/users/tokens/issue", json=login, headers=headers), 201)
    assert first["refresh_token"] != again["refresh_token"]
    owner = {"Authorization": f"Bearer {first['access_token']}"} | headers
    change = {"old_secret": SECRET, "new_secret": f"{SECRET}4"}
    assert (
        "idempotency-replayed"
        not in (await cast.client.http.patch("/users/secret", json=change, headers=owner)).headers
    )
    await cast.client.login(user["email"], f"{SECRET}4")


async def test_nothing_of_a_request_its_key_or_its_caller_can_be_read_in_the_database(
    client: Client, database: str
) -> None:
    account, key = client.account(), f"canary-{uuid4()}"
    answer = await client.http.post("/users", json=account, headers=keyed(key=key))
    owner = await client.as_user(account["email"])
    path = answer.headers["location"]
    accepted(await client.http.patch(path, json={"metadata": {"a": "b"}}, headers=keyed(owner, key)))
    async with await psycopg.AsyncConnection.connect(database) as connection:
        rows = await (await connection.execute("SELECT * FROM idempotency_keys")).fetchall()
        assert len(rows) == 2
        assert {(len(row[0]), len(row[1]), row[2], str(row[4])) for row in rows} == {
            (32, 32, 201, answer.json()["id"]),
            (32, 32, 200, answer.json()["id"]),
        }
        assert len({bytes(row[0]) for row in rows}) == 2
