"""Whatever is registered, changed and asked: every list and every search is what plain Python makes of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.listed import User, contains, listed, searched
from tests.support.service import SECRET, Client, running_service
from tests.support.walking import walked

NAMES = (
    "Ada", "ada", "ADA", "Adam", "Édouard", "e\u0301douard", "EDOUARD", "ﬁnn", "Finn", "FINNEGAN",
    "İpek", "ipek", "Straße", "STRASSE", "strasse", "李小龙", "李小", "小龙女", "100%", "100_", "1000",
    "a\\b", "a_b", "axb", "O'Neil", "ŐRSI", "őrsi", "Ⅷ", "viii", "ﾊﾝｶｸ", "ハンカク", "🦊🦊🦊", "x", "Zoë",
)  # fmt: skip
PIECES = (
    "ada", "AD", "é", "dou", "FINN", "fi", "ﬁ", "i̇pe", "ss", "STRA", "小龙", "李小龙", "0%", "00%", "00_",
    "\\b", "_b", "a_b", "%", "_", "o'n", "vii", "ハンカ", "ﾊﾝ", "🦊🦊🦊", "nobody", "u1", "user", "@exam",
    ".org", "@", "ë",
)  # fmt: skip
TAGS = ("red", "blue", "Blue", "dark red", "dark-red", "grün", "a+b")
METADATA: tuple[dict[str, Any], ...] = (
    {}, {"plan": "basic"}, {"plan": "basic", "site": 1}, {"plan": "gold", "site": 1.0}, {"site": {"id": 1}},
    {"site": {"id": 1, "at": ["x", "y"]}}, {"site": {"at": ["y"]}, "ok": True}, {"ok": 1}, {"plan": None},
    {"größe": "ü"}, {"list": [[1], {"a": 1, "b": 2}]},
)  # fmt: skip
PARTS: tuple[dict[str, Any], ...] = (
    *METADATA[1:], {"site": 1}, {"site": {}}, {"site": {"at": ["x"]}}, {"ok": True}, {"list": [{"a": 1}]},
    {"list": []}, {"no": 1}, {"site": {"at": []}},
)  # fmt: skip


class _Town:
    """Users that are registered and changed at random, and what is known of each."""

    def __init__(self, client: Client, admin: dict[str, str], dice: random.Random) -> None:
        self._client = client
        self._admin = admin
        self._dice = dice
        self.users: dict[str, User] = {}

    async def register(self) -> None:
        dice, number = self._dice, len(self.users)
        body: dict[str, Any] = {
            "first_name": dice.choice(NAMES), "last_name": dice.choice(NAMES),
            "tags": dice.sample(TAGS, dice.randrange(4)), "metadata": dice.choice(METADATA),
            "status": dice.choice(("enabled", "enabled", "disabled")),
            "role": "admin" if dice.random() < 0.1 else "user",
        }  # fmt: skip
        if dice.random() < 0.3:
            identity = f"{dice.choice(('Ada', 'É', 'straße'))}{number}@example.org"
            body |= {"name": dice.choice(NAMES), "credentials": {"identity": identity, "secret": SECRET}}
        else:
            username = dice.choice(("User", "u_", "x-")) + str(number)
            body |= {
                "email": f"U{number}@Example.com",
                "credentials": {"username": username, "secret": SECRET},
            }
        answer = await self._client.http.post("/users", json=body, headers=self._admin)
        assert answer.status_code == 201, answer.text
        self.users[answer.json()["id"]] = answer.json()

    async def change(self) -> None:
        dice, user = self._dice, self._dice.choice(list(self.users.values())[1:])
        changes: tuple[Callable[[], tuple[str, str, Any]], ...] = (
            lambda: ("PATCH", "", {"first_name": dice.choice(NAMES), "metadata": dice.choice(METADATA)}),
            lambda: ("PATCH", "", {"last_name": dice.choice(NAMES)}),
            lambda: ("PATCH", "/tags", {"tags": dice.sample(TAGS, dice.randrange(4))}),
            lambda: ("POST", "/disable" if user["status"] == "enabled" else "/enable", None),
        )
        verb, path, body = dice.choice(changes)()
        target = f"/users/{user['id']}{path}"
        answer = await self._client.http.request(verb, target, json=body, headers=self._admin)
        assert answer.status_code == 200, answer.text
        self.users[user["id"]] = answer.json()


def _question(dice: random.Random, users: list[User]) -> dict[str, str]:
    somebody = dice.choice(users)
    made: dict[str, Callable[[], str]] = {
        "status": lambda: dice.choice(("enabled", "disabled", "deleted", "all", "all")),
        "role": lambda: dice.choice(("user", "admin")),
        "email": lambda: dice.choice(PIECES),
        "username": lambda: dice.choice(PIECES),
        "first_name": lambda: dice.choice((*PIECES, *NAMES)),
        "last_name": lambda: dice.choice((*PIECES, *NAMES)),
        "id": lambda: dice.choice(
            (somebody["id"], somebody["id"][9:15].upper(), somebody["id"][:2], "zz", "-4")
        ),
        "name": lambda: dice.choice(NAMES),
        "identity": lambda: dice.choice((somebody["email"].upper(), "nobody@example.com")),
        "tag": lambda: dice.choice(TAGS),
        "tags": lambda: dice.choice((" + ", ",", "+")).join(dice.sample(TAGS[:-1], dice.randrange(1, 3))),
        "metadata": lambda: json.dumps(dice.choice(PARTS)),
        "created_from": lambda: str(somebody["created_at"]),
        "created_to": lambda: str(somebody["created_at"]),
    }
    chosen = dice.sample(list(made), dice.choice((0, 1, 1, 1, 2, 2, 3)))
    question = {name: made[name]() for name in chosen}
    if dice.random() < 0.8:
        orders = ("created_at", "updated_at", "first_name", "last_name", "username", "email")
        question |= {"order": dice.choice(orders), "dir": dice.choice(("asc", "desc"))}
    return question


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_list_is_what_plain_python_makes_of_the_users(any_database: str, seed: int) -> None:
    dice = random.Random(seed)
    async with running_service(any_database) as client:
        admin = await client.as_admin()
        first = (await client.http.get("/users/profile", headers=admin)).json()
        town = _Town(client, admin, dice)
        town.users[first["id"]] = first
        for round_ in range(3):
            for _ in range(16):
                await town.register()
            for _ in range(20 * round_):
                await town.change()
            users = list(town.users.values())
            for _ in range(40):
                question = _question(dice, users)
                wanted = listed(users, question)
                if "metadata" in question:
                    part = json.loads(question["metadata"])
                    wanted = [user for user in wanted if contains(user.get("metadata", {}), part)]
                await _check(client, admin, "/users", question, wanted, dice)


async def _check(
    client: Client, headers: dict[str, str], path: str, question: dict[str, str], wanted: list[Any],
    dice: random.Random,
) -> None:  # fmt: skip
    limit, offset = dice.choice((1, 3, 7, 100)), dice.choice((0, 0, 1, 5, 60))
    answer = await client.http.get(
        path, params={**question, "limit": limit, "offset": offset}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert (page["total"], page["users"]) == (len(wanted), wanted[offset : offset + limit]), question
    assert ("link" in answer.headers) == (offset + limit < len(wanted)), question
    if dice.random() < 0.4:
        limit = dice.choice((1, 4, 9, 30))
        pages = await walked(client.http, f"{path}?limit={limit}", question, headers)
        assert [user for page in pages for user in page["users"]] == wanted, question
        assert {page["total"] for page in pages} == {len(wanted)}


async def test_every_search_is_what_plain_python_makes_of_the_users(any_database: str) -> None:
    dice = random.Random(3)
    async with running_service(any_database) as client:
        admin = await client.as_admin()
        town = _Town(client, admin, dice)
        for _ in range(40):
            await town.register()
        for _ in range(20):
            await town.change()
        users = list(town.users.values())
        await client.register(email="asks@example.net", credentials={"username": "asks", "secret": SECRET})
        headers = await client.as_user("asks@example.net")
        users.append((await client.http.get("/users/profile", headers=headers)).json())
        for _ in range(60):
            names = dice.sample(("username", "first_name", "last_name", "id"), dice.choice((1, 1, 2)))
            question = {name: value for name in names if (value := dice.choice((*PIECES, *NAMES)))}
            if any(len(question.get(name, "abc")) < 3 for name in ("username", "id")):
                continue
            cards = [
                (await client.http.get(f"/users/{user['id']}", headers=headers)).json()
                for user in searched(users, question)
            ]
            await _check_cards(client, headers, question, cards, users, dice)


async def _check_cards(
    client: Client, headers: dict[str, str], question: dict[str, str], cards: list[User], users: list[User],
    dice: random.Random,
) -> None:  # fmt: skip
    # The caller sees themselves whole by id, and as a card among others.
    private = {"email", "tags", "private_metadata", "profile_picture", "updated_by"}
    zero = {"created_at", "updated_at", "verified_at"}
    cards = [
        {
            key: "0001-01-01T00:00:00Z" if key in zero else value
            for key, value in card.items()
            if key not in private
        }
        for card in cards
    ]
    await _check(client, headers, "/users/search", question, cards, dice)
