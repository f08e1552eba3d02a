"""Two accounts never have one name or one id: who comes, who is kept out, and that a rehearsal knows it."""

from __future__ import annotations

import psycopg
import pytest

from tests.importing.accounts import SECRET, brought, imports_in, row
from tests.support.service import Client

TWICE = [
    row(1),
    row(2, email="USER1@EXAMPLE.COM"),
    row(3, username="uſer1"),
    row(4),
    row(4),
    row(4, first_name="Other"),
    row(5, username="ﬁve"),
    row(6, username="FIVE"),
    row(7, username="five", email="fi.ve@example.com"),
    row(8, email="user7@example.com"),
]
EXPECTED = ["imported", "email_taken", "username_taken", "imported", "already", "changed", "imported",
            "username_taken", "username_taken", "imported"]  # fmt: skip


async def test_names_that_differ_only_in_their_spelling_come_once(database: str) -> None:
    dry = await brought(database, TWICE, dry_run=True)
    assert (await imports_in(database)) == {}
    assert [code.replace("would_import", "imported") for code in dry.codes] == EXPECTED
    real = await brought(database, TWICE)
    assert real.codes == EXPECTED
    assert [each.place for each in real.settled] == list(range(1, len(TWICE) + 1))
    again = await brought(database, TWICE, dry_run=True)
    assert again.codes == [code.replace("imported", "already") for code in EXPECTED]


async def test_a_rehearsal_decides_against_the_accounts_that_are_there(client: Client, database: str) -> None:
    body = await client.register(
        email="Ada@example.com", credentials={"username": "ada", "secret": "12345678"}
    )
    rows = [
        row(1, email="ada@EXAMPLE.com"),
        row(2, username="ADA"),
        row(3, id=body["id"]),
        row(4, email="ada@example.com", username="ada"),
        row(5),
    ]
    dry, real = await brought(database, rows, dry_run=True), await brought(database, rows)
    assert dry.codes == ["email_taken", "username_taken", "id_taken", "email_taken", "would_import"]
    assert real.codes == [*dry.codes[:4], "imported"]
    assert [fault.pointer for fault in dry.settled[3].faults] == ["/email", "/username"]


async def test_an_account_that_was_erased_does_not_come_back(database: str) -> None:
    await brought(database, [row(1), row(2)])
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "UPDATE user_keys SET wrapped = NULL, destroyed_at = now() WHERE user_id = %s", (row(1)["id"],)
        )
    assert (await brought(database, [row(1), row(2)])).codes == ["erased", "already"]
    assert (await brought(database, [row(1)], dry_run=True)).codes == ["erased"]


async def test_an_account_that_went_on_living_is_there_already(client: Client, database: str) -> None:
    await brought(database, [row(1)])
    headers = await client.as_user("user1", SECRET)
    answer = await client.http.patch(f"/users/{row(1)['id']}", json={"first_name": "New"}, headers=headers)
    assert answer.status_code == 200
    assert (await brought(database, [row(1)])).codes == ["already"]


@pytest.mark.parametrize("many", [2000, pytest.param(100_000, marks=pytest.mark.system)])
async def test_collisions_are_each_named_however_many(many: int, database: str) -> None:
    rows = [row(number, email="one@example.com") for number in range(many + 1)]
    dry, real = await brought(database, rows, dry_run=True), await brought(database, rows)
    for run in (dry, real):
        assert run.brought.refused == many
        assert run.codes[1:] == ["email_taken"] * many
        assert sum(reason.rows for reason in run.brought.reasons.values()) == many
        assert all(len(reason.places) <= 20 for reason in run.brought.reasons.values())
    assert len(await imports_in(database)) == 1
