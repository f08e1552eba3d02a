"""Bodies that nobody should send: always a 4xx with every fault listed, and nothing stored."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.http.answers import accepted, refused
from tests.http.conftest import Cast
from tests.support.service import SECRET

JSON = {"Content-Type": "application/json"}

NOT_JSON = {
    "empty": b"",
    "blank": b"  ",
    "cut short": b'{"first_name": "A',
    "single quotes": b"{'first_name': 'Ada'}",
    "trailing comma": b'{"first_name": "Ada",}',
    "trailing bytes": b"{} x",
    "two values": b"{}{}",
    "trailing NUL": b"{}\x00",
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"first_name": "Ada"}'.encode("utf-16"),
    "invalid UTF-8": b'{"first_name": "\xff\xfe"}',
    "invalid UTF-8 in a key": b'{"\xc3\x28": 1}',
    "overlong UTF-8": b'{"first_name": "\xc0\xaf"}',
    "surrogate in UTF-8": b'{"first_name": "\xed\xa0\x80"}',
    "lone high surrogate": b'{"first_name": "\\ud800"}',
    "lone low surrogate": b'{"first_name": "\\udc00x"}',
    "surrogates the wrong way round": b'{"metadata": {"a": "\\udc00\\ud800"}}',
    "control character in a text": b'{"first_name": "a\nb"}',
    "NaN": b'{"metadata": {"n": NaN}}',
    "Infinity": b'{"metadata": {"n": -Infinity}}',
    "1e400": b'{"metadata": {"n": 1e400}}',
    "5000 digits": b'{"metadata": {"n": ' + b"1" * 5000 + b"}}",
    "nested 30000 deep, open": b'{"metadata":' + b"[" * 30_000,
    "nested 30000 deep": b'{"metadata":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "objects nested 30000 deep": b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
    "array": b"[]",
    "null": b"null",
    "number": b"1",
    "text": b'"{}"',
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_what_is_no_json_object_is_refused_everywhere(
    cast: Cast, nothing_stored: None, body: bytes
) -> None:
    http, headers = cast.client.http, cast.admin | JSON
    for method, path in (
        ("POST", "/users"),
        ("POST", "/users/tokens/issue"),
        ("PATCH", cast.path),
        ("PATCH", f"{cast.path}/role"),
        ("PATCH", "/users/secret"),
    ):
        answer = await http.request(method, path, content=body, headers=headers)
        assert len(refused(answer, 400, "invalid_request", "")) == 1


DEEP: Any = 1
for _ in range(900):
    DEEP = [DEEP]

FAULTY: list[tuple[dict[str, Any], list[str]]] = [
    ({"first_name": 1}, ["/first_name"]),
    ({"first_name": ""}, ["/first_name"]),
    ({"last_name": "x" * 255}, ["/last_name"]),
    ({"first_name": "a\x00b"}, ["/first_name"]),
    ({"last_name": "a\x1bb"}, ["/last_name"]),
    ({"email": "a\x00b@example.com"}, ["/email"]),
    ({"email": "no at sign"}, ["/email"]),
    ({"email": "Bob <b@example.com>"}, ["/email"]),
    ({"email": "a@b\n"}, ["/email"]),
    ({"email": "a@" + "b" * 253}, ["/email"]),
    ({"email": ["a@example.com"]}, ["/email"]),
    ({"tags": "a"}, ["/tags"]),
    ({"tags": ["a", 1]}, ["/tags/1"]),
    ({"tags": ["a", None]}, ["/tags/1"]),
    ({"tags": ["a\x00", "b", "c\x00"]}, ["/tags/0", "/tags/2"]),
    ({"tags": ["x"] * 101}, ["/tags"]),
    ({"tags": ["x" * 255]}, ["/tags/0"]),
    ({"tags": DEEP}, ["/tags/0"]),
    ({"metadata": []}, ["/metadata"]),
    ({"metadata": "{}"}, ["/metadata"]),
    ({"metadata": {"a\x00": 1}}, ["/metadata"]),
    ({"metadata": {"a": {"b": ["x", "y\x00"]}}}, ["/metadata/a/b/1"]),
    ({"metadata": {"a/b~c": "\x00"}}, ["/metadata/a~1b~0c"]),
    ({"metadata": {"n": 10**20}}, ["/metadata/n"]),
    ({"metadata": {"n": -(10**20)}}, ["/metadata/n"]),
    ({"metadata": {"n": 2**63}}, ["/metadata/n"]),
    ({"metadata": {"n": DEEP}}, ["/metadata/n" + "/0" * 32]),
    ({"private_metadata": {"": "\x00"}}, ["/private_metadata"]),
    ({"profile_picture": "http://a\x00b"}, ["/profile_picture"]),
    ({"profile_picture": "x" * 2049}, ["/profile_picture"]),
    ({"status": "deleted"}, ["/status"]),
    ({"status": "ENABLED"}, ["/status"]),
    ({"role": "all"}, ["/role"]),
    ({"role": ["admin"]}, ["/role"]),
    ({"credentials": []}, ["/credentials"]),
    ({"credentials": "x"}, ["/credentials"]),
    ({"credentials": {}}, ["/credentials/secret", "/credentials/username"]),
    ({"credentials": {"username": 5, "secret": {}}}, ["/credentials/secret", "/credentials/username"]),
    *(
        ({"credentials": {"username": name, "secret": SECRET}}, ["/credentials/username"])
        for name in ("", "a b", "_a", "a__b", "a--b", "a" * 33, "a\x00", "ab\n", "ada@example.com", "äda")
    ),
    *(
        ({"credentials": {"username": "fine", "secret": secret}}, ["/credentials/secret"])
        for secret in ("", "short", "x" * 73, "é" * 37, "longEnough\x00", 12345678)
    ),
    ({"credentials": {"identity": "nobody", "secret": SECRET}}, ["/credentials/identity"]),
]


@pytest.mark.parametrize(("changes", "pointers"), FAULTY)
async def test_a_faulty_field_of_a_registration_is_refused_and_pointed_at(
    cast: Cast, nothing_stored: None, changes: dict[str, Any], pointers: list[str]
) -> None:
    answer = await cast.client.http.post("/users", json=cast.client.account(**changes))
    refused(answer, 400, "invalid_request", *pointers)


async def test_all_faults_of_one_request_are_reported_at_once(cast: Cast, nothing_stored: None) -> None:
    body = {
        "first_name": 1,
        "email": "nobody",
        "credentials": {"username": "a b", "secret": "x"},
        "tags": ["a", {}],
        "metadata": {"n": 10**20, "m": ["\x00"]},
        "status": 1,
        "role": "root",
    }
    answer = await cast.client.http.post("/users", json=body)
    refused(
        answer, 400, "invalid_request",
        "/first_name", "/last_name", "/email", "/credentials/username", "/credentials/secret",
        "/tags/1", "/metadata/n", "/metadata/m/0", "/status", "/role",
    )  # fmt: skip
    both = await cast.client.http.patch(
        "/users/secret", json={"new_secret": "short"}, headers=cast.user_headers
    )
    refused(both, 400, "invalid_request", "/old_secret", "/new_secret")


async def test_a_single_fault_is_also_the_detail(cast: Cast, nothing_stored: None) -> None:
    answer = await cast.client.http.post("/users", json=cast.client.account(email="nobody"))
    (message,) = refused(answer, 400, "invalid_request", "/email")
    assert answer.json()["detail"] == message


async def test_a_small_request_with_many_faults_gets_no_large_answer(
    cast: Cast, nothing_stored: None
) -> None:
    body = cast.client.account(metadata={"n": [10**20] * 10_000})
    answer = await cast.client.http.post("/users", json=body)
    assert answer.status_code == 400
    assert len(answer.json()["errors"]) == 100


async def test_a_secret_of_72_bytes_is_taken_whole_and_73_say_why_not(cast: Cast) -> None:
    for number, secret in enumerate(("x" * 72, "é" * 36)):
        account = cast.client.account(credentials={"username": f"whole{number}", "secret": secret})
        user = accepted(await cast.client.http.post("/users", json=account), 201)
        await cast.client.login(user["email"], secret)
        body = {"identity": user["email"], "secret": secret + "x"}
        refused(await cast.client.http.post("/users/tokens/issue", json=body), 401, "wrong_credentials")
        change = {"old_secret": secret, "new_secret": secret + "x"}
        headers = await cast.client.as_user(user["email"], secret)
        answer = await cast.client.http.patch("/users/secret", json=change, headers=headers)
        (message,) = refused(answer, 400, "invalid_request", "/new_secret")
        assert "72 bytes" in message


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/username", "/password"]),
        ({"username": "a"}, ["/password"]),
        ({"secret": "a"}, ["/username"]),
        ({"username": 1, "password": []}, ["/username", "/password"]),
        ({"username": "ﷺ" * 80_000, "password": "x"}, ["/username"]),
        ({"identity": "a@" + "b" * 253, "secret": "x"}, ["/identity"]),
        ({"username": "a", "password": "x", "description": "\x00"}, ["/description"]),
        ({"username": "a", "password": "x", "description": "x" * 255}, ["/description"]),
    ],
)
async def test_a_faulty_login_is_refused(cast: Cast, body: dict[str, Any], pointers: list[str]) -> None:
    content = json.dumps(body, ensure_ascii=False).encode()
    answer = await cast.client.http.post("/users/tokens/issue", content=content, headers=JSON)
    refused(answer, 400, "invalid_request", *pointers)


@pytest.mark.parametrize("text", ["a\x00b", "x" * 10_000, "\u202eadmin", "🙂" * 1000])
async def test_odd_secrets_and_logins_are_wrong_and_nothing_worse(cast: Cast, text: str) -> None:
    login = {"username": cast.user["email"], "password": text}
    refused(await cast.client.http.post("/users/tokens/issue", json=login), 401, "wrong_credentials")
    login = {"username": text[:50], "password": SECRET}
    refused(await cast.client.http.post("/users/tokens/issue", json=login), 401, "wrong_credentials")
    change = {"old_secret": text, "new_secret": SECRET}
    answer = await cast.client.http.patch("/users/secret", json=change, headers=cast.user_headers)
    refused(answer, 401, "wrong_credentials")


async def test_10_megabytes_are_413_announced_or_not_but_401_first(cast: Cast, nothing_stored: None) -> None:
    async def drip() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    http, large = cast.client.http, b"x" * 10_000_000
    for path in ("/users", "/users/tokens/issue"):
        refused(await http.post(path, content=large, headers=JSON), 413, "body_too_large")
        refused(await http.post(path, content=drip(), headers=JSON), 413, "body_too_large")
    refused(await http.patch(cast.path, content=large, headers=JSON), 401, "unauthenticated")
    answer = await http.patch(cast.path, content=drip(), headers=cast.admin | JSON)
    refused(answer, 413, "body_too_large")


@pytest.mark.parametrize("length", ["abc", "1e3", "0x10", ""])
async def test_a_length_that_is_no_number_is_refused(cast: Cast, nothing_stored: None, length: str) -> None:
    headers = JSON | {"Content-Length": length}
    answer = await cast.client.http.post("/users", content=b"{}", headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize("body", [{}, {"role": ""}, {"role": None}, {"role": "Admin"}, {"role": "all"}])
async def test_a_change_of_role_names_one_of_the_two(
    cast: Cast, nothing_stored: None, body: dict[str, Any]
) -> None:
    answer = await cast.client.http.patch(f"{cast.path}/role", json=body, headers=cast.admin)
    refused(answer, 400, "invalid_request", "/role")
