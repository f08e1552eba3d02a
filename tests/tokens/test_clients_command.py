"""`usersd clients`: what an operator does with service accounts."""

from __future__ import annotations

import json
from uuid import uuid4

import psycopg

from tests.projections.commanding import usersd


def test_an_operator_adds_rotates_lists_and_revokes_a_service_account(database: str) -> None:
    added = usersd(database, "clients", "add", "gateway", "--scope", "introspect", "--json")
    assert added.code == 0, added.err
    account = json.loads(added.out)
    assert (account["name"], account["scopes"]) == ("gateway", ["introspect"])
    rotated = json.loads(usersd(database, "clients", "rotate", account["id"], "--json").out)
    assert rotated["secret"] != account["secret"]
    assert usersd(database, "clients", "revoke", account["id"]).code == 0
    listed = usersd(database, "clients", "list", "--json")
    (row,) = map(json.loads, listed.out.splitlines())
    assert row["id"] == account["id"]
    assert row["revoked_at"]
    for secret in (account["secret"], rotated["secret"]):
        assert secret not in listed.out
        with psycopg.connect(database, autocommit=True) as connection:
            stored = connection.execute("SELECT clients::text FROM clients").fetchall()
        assert secret not in str(stored)


def test_what_cannot_be_done_is_told_in_one_line(database: str) -> None:
    unknown = usersd(database, "clients", "revoke", str(uuid4()))
    assert unknown.code == 1
    assert "usersd clients list" in unknown.err
    assert usersd(database, "clients", "add", "x", "--scope", "everything").code == 2
    assert usersd(database, "clients", "add", "x").code == 2
    assert usersd(database, "clients", "rotate", "no id").code == 2
