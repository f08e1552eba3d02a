"""A consumer of Magistrala's or Mainflux's events goes on working: requests over HTTP, messages decoded."""

from __future__ import annotations

from typing import Any

from infrastructure.standing import prepare
from tests.nats.broker import Broker
from tests.nats.old_consumer import decode
from tests.nats.old_stream import SUBJECTS
from tests.nats.service import until
from tests.support.databases import standing
from tests.support.service import SECRET, Client, running_service

# What is asked for of the account, and by whom, in order; and the operation that each consumer hears of.
REQUESTS: list[tuple[str, str, str, dict[str, Any] | None, str, str]] = [
    ("owner", "PATCH", "", {"first_name": "Augusta", "metadata": {"floor": 4}}, "update", "update"),
    ("owner", "PATCH", "/tags", {"tags": ["a", "b"]}, "update_tags", "update_tags"),
    ("owner", "PATCH", "/picture", {"profile_picture": "https://example.com/a.png"},
     "update_profile_picture", "update"),
    ("owner", "PATCH", "/username", {"username": "augusta"}, "update_username", "update"),
    ("admin", "PATCH", "/role", {"role": "admin"}, "update_role", "update"),
    ("admin", "POST", "/disable", None, "disable", "remove"),
    ("admin", "POST", "/enable", None, "enable", "remove"),
    ("admin", "DELETE", "", None, "delete", "remove"),
    ("admin", "POST", "/enable", None, "enable", "remove"),
]  # fmt: skip


async def lived(client: Client) -> dict[str, Any]:
    """An account to which everything happens; as it was registered."""
    user = await client.register(first_name="Ada", tags=["engine"], private_metadata={"canary": "canary"})
    by = {"owner": await client.as_user(user["email"]), "admin": await client.as_admin()}
    for who, method, path, body, *_ in REQUESTS:
        answer = await client.http.request(method, f"/users/{user['id']}{path}", json=body, headers=by[who])
        assert answer.status_code in (200, 204), answer.text
    again = await client.as_user(user["email"])
    answer = await client.http.patch(
        "/users/secret", json={"old_secret": SECRET, "new_secret": "another-secret-1"}, headers=again
    )
    assert answer.status_code == 200, answer.text
    return user


async def heard_of(broker: Broker, form: str, user_id: str, count: int) -> list[dict[str, Any]]:
    async def everything() -> list[dict[str, Any]]:
        payloads = [decode(form, message.body) for message in await broker.under(SUBJECTS[form])]
        mine = [payload for payload in payloads if payload.get("id") == user_id]
        return mine if len(mine) >= count else []

    found: list[dict[str, Any]] = await until(everything, f"{count} messages in the form of {form}")
    return found


async def test_old_consumers_hear_of_every_change_that_requests_make(database: str, broker: Broker) -> None:
    prepare(standing(database))
    async with running_service(database, broker.url, MG_USERS_EVENTS_FORMAT="magistrala, mainflux") as client:
        user = await lived(client)
        told = len(REQUESTS) + 2
        magistrala = await heard_of(broker, "magistrala", user["id"], told)
        mainflux = await heard_of(broker, "mainflux", user["id"], told)
        # Only what is switched on is told.
        assert await broker.last_sequence() == 0
    names = [payload["operation"].removeprefix("user.") for payload in magistrala]
    assert names == ["create", *(request[4] for request in REQUESTS), "update_secret"]
    names = [payload["operation"].removeprefix("user.") for payload in mainflux]
    assert names == ["create", *(request[5] for request in REQUESTS), "update_secret"]
    assert "canary" not in str(magistrala) + str(mainflux)
    assert SECRET not in str(magistrala) + str(mainflux)
    assert magistrala[1]["metadata"] == {"floor": 4}
    assert magistrala[1]["updated_by"] == user["id"]
    assert magistrala[5]["super_admin"] is True
    assert [payload["status"] for payload in mainflux if payload["operation"] == "user.remove"] == [
        "disabled", "enabled", "disabled", "enabled"
    ]  # fmt: skip
