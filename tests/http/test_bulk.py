"""Many accounts at once: a line each, each with an answer of its own, in order and never twice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from interfaces.http.bulk_answers import MAX_LINE_BYTES
from tests.http.answers import accepted, refused
from tests.http.bulks import NDJSON, in_lines, send
from tests.http.conftest import Cast, checked_service
from tests.support.service import SECRET


async def test_each_line_registers_an_account_in_either_form_and_lists_show_them_at_once(cast: Cast) -> None:
    mainflux = {"name": "Alan", "credentials": {"identity": "alan@example.com", "secret": SECRET}}
    admin = cast.client.account(role="admin", status="disabled")
    first, second, last = await send(cast.client, in_lines(mainflux, admin), cast.admin)
    assert [line["line"] for line in (first, second)] == [1, 2]
    assert [(line["status"], line["version"]) for line in (first, second)] == [(201, 1), (201, 1)]
    head = await cast.head()
    assert last == {"complete": True, "lines": 2, "created": 2, "refused": 0, "position": head}
    shown = accepted(await cast.client.http.get(f"/users/{first['id']}", headers=cast.admin))
    assert (shown["name"], shown["credentials"]) == ("Alan", {"identity": "alan@example.com"})
    page = accepted(await cast.client.http.get("/users?status=all&limit=2", headers=cast.admin))
    assert {user["id"] for user in page["users"]} == {first["id"], second["id"]}
    assert (await cast.client.login("alan@example.com"))["access_token"]
    who = accepted(await cast.client.http.get("/users/profile", headers=cast.admin))
    reader = cast.admin | {"Usersd-Position": str(last["position"])}
    history = accepted(await cast.client.http.get(f"/users/{first['id']}/history", headers=reader))
    (entry,) = history["history"]
    assert (entry["event"], entry["by"]) == ("registered", {"kind": "user", "id": who["id"]})


async def test_a_line_that_is_refused_says_why_and_the_others_go_on(cast: Cast) -> None:
    good = [cast.client.account() for _ in range(3)]
    again = cast.client.account(email=good[0]["email"].upper())
    faulty = cast.client.account(email="nobody", first_name="")
    lines = [
        json.dumps(good[0]).encode(),
        b"",
        b'{"first_name":',
        b" \t\r",
        b"[1]",
        json.dumps(faulty).encode() + b"\r",
        b'{"x":"' + b"y" * MAX_LINE_BYTES + b'"}',
        json.dumps(again).encode(),
        json.dumps(good[1]).encode(),
        b"\xff\xfe",
        json.dumps(good[2]).encode(),
    ]
    *answers, last = await send(cast.client, b"\n".join(lines), cast.admin)
    told = [(answer["line"], answer["status"], answer.get("code")) for answer in answers]
    assert told == [
        (1, 201, None),
        (3, 400, "invalid_request"),
        (5, 400, "invalid_request"),
        (6, 400, "invalid_request"),
        (7, 413, "line_too_long"),
        (8, 409, "email_taken"),
        (9, 201, None),
        (10, 400, "invalid_request"),
        (11, 201, None),
    ]
    assert {fault["pointer"] for fault in answers[3]["errors"]} == {"/email", "/first_name"}
    assert answers[5]["title"] == "Conflict"
    assert (last["complete"], last["lines"], last["created"], last["refused"]) == (True, 9, 3, 6)


@pytest.mark.parametrize("shared", ["email", "username"])
async def test_of_lines_that_share_a_name_the_first_is_registered(cast: Cast, shared: str) -> None:
    first = cast.client.account()
    others = [cast.client.account() for _ in range(5)]
    for number, other in enumerate(others):
        if shared == "email":
            other["email"] = first["email"].upper() if number % 2 else first["email"]
        else:
            other["credentials"]["username"] = first["credentials"]["username"]
    *answers, _ = await send(cast.client, in_lines(first, *others), cast.admin)
    assert [answer["status"] for answer in answers] == [201, 409, 409, 409, 409, 409]


async def test_what_is_no_ndjson_is_415_and_its_other_names_are_known(cast: Cast) -> None:
    for known in ("application/jsonl", "application/x-jsonlines; charset=utf-8", "Application/NDJSON"):
        lines = await send(cast.client, b"", cast.admin, **{"Content-Type": known})
        assert lines == [{"complete": True, "lines": 0, "created": 0, "refused": 0, "position": 0}]
    for other in ("application/json", "application/json-seq", "text/plain"):
        headers = cast.admin | {"Content-Type": other}
        answer = await cast.client.http.post("/users/bulk", content=b"", headers=headers)
        refused(answer, 415, "unsupported_media_type")


async def test_a_bulk_that_is_sent_again_with_its_key_creates_nobody_twice(cast: Cast) -> None:
    bodies = [cast.client.account() for _ in range(4)]
    key = {"Idempotency-Key": '"first try"'}
    *first, _ = await send(cast.client, in_lines(*bodies[:2]), cast.admin, **key)
    head = await cast.head()
    *again, last = await send(cast.client, in_lines(*bodies[:2]), cast.admin, **key)
    assert [line["id"] for line in again] == [line["id"] for line in first]
    assert [(line["status"], line["replayed"]) for line in again] == [(201, True)] * 2
    assert (last["created"], await cast.head()) == (2, head)
    # As after a connection that broke off: what came through is repeated, and the rest carried out.
    *rest, last = await send(cast.client, in_lines(*bodies), cast.admin, **key)
    assert [line["id"] for line in rest[:2]] == [line["id"] for line in first]
    assert [line.get("replayed", False) for line in rest] == [True, True, False, False]
    changed = in_lines(cast.client.account(), bodies[1])
    *told, _ = await send(cast.client, changed, cast.admin, **key)
    assert (told[0]["status"], told[0]["code"]) == (422, "idempotency_key_reused")
    assert told[1]["id"] == first[1]["id"]


async def test_the_key_of_a_line_is_never_that_of_a_request(cast: Cast) -> None:
    body = cast.client.account()
    await send(cast.client, in_lines(body), cast.admin, **{"Idempotency-Key": "k"})
    other = cast.client.account()
    for key in ("k", '"k 1"', "k1"):
        headers = cast.admin | {"Idempotency-Key": key}
        answer = await cast.client.http.post("/users", json=other, headers=headers)
        assert answer.status_code == 201
        other = cast.client.account()
    headers = cast.admin | NDJSON | {"Idempotency-Key": "k" * 300}
    answer = await cast.client.http.post("/users/bulk", content=b"", headers=headers)
    refused(answer, 400, "invalid_request", "")


async def test_more_than_a_request_may_have_is_left_out_and_told(database: str) -> None:
    limits = {"MG_USERS_BULK_MAX_LINES": "3", "MG_USERS_BULK_MAX_BYTES": "1024"}
    async with checked_service(database, **limits) as client:
        admin = await client.as_admin()
        bodies = [{"credentials": {"identity": f"{n}@x.org", "secret": SECRET}} for n in range(5)]
        *answers, last = await send(client, in_lines(*bodies[:3], {}, bodies[3]).replace(b"{}", b""), admin)
        assert [answer["status"] for answer in answers] == [201] * 3
        assert (last["complete"], last["status"], last["code"]) == (False, 413, "too_many_lines")
        assert (last["lines"], last["created"]) == (3, 3)
        (last,) = await send(client, b"\n" * 31, admin)
        assert (last["complete"], last["code"]) == (False, "too_many_lines"), "empty lines count too"
        large = await client.http.post("/users/bulk", content=b"x" * 1025, headers=admin | NDJSON)
        refused(large, 413, "body_too_large")

        async def in_pieces() -> AsyncIterator[bytes]:
            yield in_lines(bodies[4])
            yield b" " * 1024

        *answers, last = await send(client, in_pieces(), admin)
        assert [answer["status"] for answer in answers] == [201]
        assert (last["complete"], last["status"], last["code"]) == (False, 413, "body_too_large")


async def test_a_fault_of_ours_is_told_of_one_line_without_its_inside(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(secret: str) -> str:
        raise RuntimeError(f"inside: {secret}")

    monkeypatch.setattr(cast.client.service.bus.ports.hasher, "hash", broken)
    answer, last = await send(cast.client, in_lines(cast.client.account()), cast.admin)
    assert (answer["line"], answer["status"], answer["code"]) == (1, 500, "internal_error")
    assert "inside" not in json.dumps(answer)
    assert last["complete"]
