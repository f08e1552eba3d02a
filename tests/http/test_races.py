"""Real races over one service: names, versions and the last admin hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx

from application.commands.change_email import ChangeEmail
from application.messages import Context, Receipt
from domain.access import Actor
from domain.errors import EmailTaken
from tests.http.answers import accepted, refused
from tests.support.service import SECRET, Client

EMAIL = "racing@example.com"


def in_cases(text: str, number: int) -> str:
    """One of the ways to write a text in upper and lower case."""
    return "".join(c.upper() if number >> i & 1 else c for i, c in enumerate(text))


def codes(answers: list[httpx.Response]) -> Counter[tuple[int, str]]:
    return Counter((a.status_code, "" if a.status_code < 300 else a.json()["code"]) for a in answers)


async def head_of(client: Client) -> int:
    return await client.service.bus.ports.log.head()


async def test_of_64_registrations_of_one_email_one_wins(client: Client) -> None:
    before = await head_of(client)
    accounts = [client.account(email=in_cases(EMAIL, number)) for number in range(64)]
    assert len({account["email"] for account in accounts}) == 64
    answers = await asyncio.gather(*(client.http.post("/users", json=account) for account in accounts))
    assert codes(answers) == {(201, ""): 1, (409, "email_taken"): 63}
    assert await head_of(client) == before + 1
    (winner,) = [answer.json() for answer in answers if answer.status_code == 201]
    admin = await client.as_admin()
    page = accepted(await client.http.get(f"/users?email={EMAIL}", headers=admin))
    assert page["users"] == [winner]
    assert accepted(await client.http.get("/users/profile", headers=await client.as_user(EMAIL))) == winner


async def test_of_64_registrations_of_one_username_one_wins_and_the_others_hold_no_email(
    client: Client,
) -> None:
    before = await head_of(client)
    accounts = [
        client.account(credentials={"username": in_cases("racing-ada", number), "secret": SECRET})
        for number in range(64)
    ]
    answers = await asyncio.gather(*(client.http.post("/users", json=account) for account in accounts))
    assert codes(answers) == {(201, ""): 1, (409, "username_taken"): 63}
    assert await head_of(client) == before + 1
    losers = [a for a, answer in zip(accounts, answers, strict=True) if answer.status_code != 201]
    again = losers[0] | {"credentials": {"username": "somebody-else", "secret": SECRET}}
    accepted(await client.http.post("/users", json=again), 201)


async def test_the_same_email_in_another_unicode_form_is_the_same_email(client: Client) -> None:
    forms = ["straße@example.com", "STRASSE@example.com", "ｓtrasse@example.com", "strasse＠example.com"]
    accounts = [client.account(email=form) for form in forms[:3]]
    answers = await asyncio.gather(*(client.http.post("/users", json=account) for account in accounts))
    assert codes(answers) == {(201, ""): 1, (409, "email_taken"): 2}


async def test_a_registration_and_a_change_of_email_cannot_both_get_it(client: Client) -> None:
    for number in range(8):
        wanted = f"wanted{number}@example.com"
        user = await client.register()
        answer, change = await asyncio.gather(
            client.http.post("/users", json=client.account(email=wanted.upper())),
            change_email(client, user["id"], wanted),
        )
        outcomes = {answer.status_code, "taken" if isinstance(change, EmailTaken) else "changed"}
        assert outcomes in ({201, "taken"}, {409, "changed"})
        shown = accepted(await client.http.get(f"/users/{user['id']}", headers=await client.as_admin()))
        assert shown["email"] == (wanted if 409 in outcomes else user["email"])


async def change_email(client: Client, user_id: str, email: str) -> Receipt | EmailTaken:
    command_id = uuid4()
    context = Context(
        actor=Actor("user", UUID(user_id)),
        at=datetime.now(UTC),
        command_id=command_id,
        correlation_id=command_id,
    )
    try:
        return await client.service.bus.dispatch(ChangeEmail(user_id=UUID(user_id), email=email), context)
    except EmailTaken as refusal:
        return refusal


async def test_of_32_changes_at_once_none_is_refused_and_none_is_lost(client: Client) -> None:
    user = await client.register()
    headers, path = await client.as_user(user["email"]), f"/users/{user['id']}"
    answers = await asyncio.gather(
        *(
            client.http.patch(path, json={"metadata": {f"key{number}": number}}, headers=headers)
            for number in range(32)
        )
    )
    assert codes(answers) == {(200, ""): 32}
    assert len({answer.headers["usersd-position"] for answer in answers}) == 32
    head = max(int(answer.headers["usersd-position"]) for answer in answers)
    page = await whole_history(client, path, headers | {"Usersd-Position": str(head)})
    assert [entry["version"] for entry in page] == list(range(33, 0, -1))
    written = [entry["data"]["metadata"] for entry in page[:-1]]
    assert sorted(map(str, written)) == sorted(str({f"key{number}": number}) for number in range(32))
    shown = await client.http.get(path, headers=headers)
    assert accepted(shown)["metadata"] == written[0]
    assert shown.headers["etag"] == '"33"'


async def whole_history(client: Client, path: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    answer = await client.http.get(f"{path}/history?limit=100", headers=headers)
    history: list[dict[str, Any]] = accepted(answer)["history"]
    return history


async def test_of_32_changes_with_one_if_match_one_is_made(client: Client) -> None:
    user = await client.register()
    headers, path = await client.as_user(user["email"]) | {"If-Match": '"1"'}, f"/users/{user['id']}"
    answers = await asyncio.gather(
        *(client.http.patch(path, json={"metadata": {"by": number}}, headers=headers) for number in range(32))
    )
    assert codes(answers) == {(200, ""): 1, (412, "stale_version"): 31}
    (made,) = [answer for answer in answers if answer.status_code == 200]
    shown = await client.http.get(path, headers=headers)
    assert (shown.json(), shown.headers["etag"]) == (made.json(), '"2"')


async def test_the_last_admin_can_be_neither_demoted_nor_disabled(client: Client) -> None:
    admin = await client.as_admin()
    path = f"/users/{accepted(await client.http.get('/users/profile', headers=admin))['id']}"
    before = await head_of(client)
    demoted = await client.http.patch(f"{path}/role", json={"role": "user"}, headers=admin)
    refused(demoted, 409, "last_admin")
    refused(await client.http.post(f"{path}/disable", headers=admin), 409, "last_admin")
    assert await head_of(client) == before
    accepted(await client.http.get("/users", headers=admin))


async def test_a_disabled_admin_does_not_count_as_the_one_who_stays(client: Client) -> None:
    first, second = await client.as_admin(), await client.register()
    path = f"/users/{second['id']}"
    accepted(await client.http.patch(f"{path}/role", json={"role": "admin"}, headers=first))
    accepted(await client.http.post(f"{path}/disable", headers=first))
    me = accepted(await client.http.get("/users/profile", headers=first))["id"]
    refused(await client.http.post(f"/users/{me}/disable", headers=first), 409, "last_admin")


async def test_two_admins_who_demote_or_disable_each_other_or_themselves_leave_one(client: Client) -> None:
    secrets = {}
    first = accepted(await client.http.get("/users/profile", headers=await client.as_admin()))
    second = await client.register()
    secrets = {first["id"]: ("admin@example.com", "12345678"), second["id"]: (second["email"], SECRET)}
    keeper = first["id"]
    for verb, crossed in (("role", True), ("disable", True), ("role", False), ("disable", False)):
        ids = list(secrets)
        boss = await client.as_user(*secrets[keeper])
        for user_id in ids:
            await client.http.post(f"/users/{user_id}/enable", headers=boss)
            await client.http.patch(f"/users/{user_id}/role", json={"role": "admin"}, headers=boss)
        signed_in = [await client.as_user(*secrets[user_id]) for user_id in ids]
        for headers in signed_in:
            accepted(await client.http.get("/users", headers=headers))
        targets = ids[::-1] if crossed else ids
        answers = await asyncio.gather(
            *(
                client.http.patch(f"/users/{target}/role", json={"role": "user"}, headers=headers)
                if verb == "role"
                else client.http.post(f"/users/{target}/disable", headers=headers)
                for target, headers in zip(targets, signed_in, strict=True)
            )
        )
        assert codes(answers) == {(200, ""): 1, (409, "last_admin"): 1}, (verb, crossed)
        (keeper,) = [t for t, a in zip(targets, answers, strict=True) if a.status_code == 409]
        boss = await client.as_user(*secrets[keeper])
        page = accepted(await client.http.get("/users?role=admin", headers=boss))
        assert [user["id"] for user in page["users"]] == [keeper]


async def test_of_two_changes_of_secret_with_the_old_one_one_is_made(client: Client) -> None:
    user = await client.register()
    headers = await client.as_user(user["email"])
    answers = await asyncio.gather(
        *(
            client.http.patch(
                "/users/secret",
                json={"old_secret": SECRET, "new_secret": f"{SECRET}{number}"},
                headers=headers,
            )
            for number in range(4)
        )
    )
    assert sorted(codes(answers).items())[0] == ((200, ""), 1)
    (winner,) = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    await client.login(user["email"], f"{SECRET}{winner}")


async def test_honest_concurrent_refreshes_get_the_same_successor(client: Client) -> None:
    user = await client.register()
    token = (await client.login(user["email"]))["refresh_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answers = await asyncio.gather(
        *(client.http.post("/users/tokens/refresh", headers=headers) for _ in range(8))
    )
    assert codes(answers) == {(201, ""): 8}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
