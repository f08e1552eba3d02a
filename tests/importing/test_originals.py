"""The tables of the services before this one are read whatever their release, and whatever stands in them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from application.importing import Account, Offered, SourceLost
from infrastructure.importing import originals
from infrastructure.importing.original_rows import offered_by
from infrastructure.importing.originals import NotAnOriginal, source_of
from tests.importing.original_crowd import SHAPES, Row, crowd, original
from tests.support.databases import Databases

ID = "0d10ef5a-037c-43ad-8c4c-5626bbd223ff"
NOBODY_THERE = "postgresql://ada:hush-hush@127.0.0.1:1/users"


@pytest.fixture(scope="module")
def late_magistrala(databases: Databases) -> Iterator[str]:
    """The database of a late Magistrala."""
    with original(databases, "magistrala_users", []) as dsn:
        yield dsn


@pytest.fixture
def magistrala(late_magistrala: str) -> str:
    """The same without an account."""
    with psycopg.connect(late_magistrala) as connection:
        connection.execute("DELETE FROM users")
    return late_magistrala


def insert(dsn: str, **row: object) -> None:
    """One row, of which the rest is as the table has it by itself."""
    row = {"id": ID, "email": "ada@example.com", "secret": "$2a$04$x"} | row
    with psycopg.connect(dsn) as connection:
        columns = ", ".join(row)
        values = ", ".join(f"%({name})s" for name in row)
        connection.execute(f"INSERT INTO users ({columns}) VALUES ({values})".encode(), row)


def only(dsn: str) -> Offered:
    (offered,) = source_of(dsn, "magistrala").offered()
    return offered


def account(dsn: str) -> Account:
    offered = only(dsn)
    assert offered.account, offered.faults
    return offered.account


@pytest.mark.parametrize("shape", SHAPES)
def test_every_released_shape_offers_every_row_once_in_the_order_of_the_ids(
    databases: Databases, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(originals, "PAGE", 7)
    rows = crowd(60)
    with original(databases, shape, rows) as dsn:
        source = source_of(dsn, SHAPES[shape])
        offered = list(source.offered())
        assert source.size == 60
        assert list(source.offered(after=50)) == offered[50:]
    assert [one.place for one in offered] == list(range(1, 61))
    assert [str(one.account.id) for one in offered if one.account] == sorted(row["id"] for row in rows)


def test_nulls_everywhere_are_an_account_all_the_same(magistrala: str) -> None:
    insert(magistrala, secret=None, status=0, role=None)
    found = account(magistrala)
    assert found == Account(id=found.id, email="ada@example.com", created_at=datetime(1970, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "time", ["0001-01-01 00:00:00+00", "infinity", "-infinity", "12000-01-01", "0044-03-15 BC"]
)
def test_a_time_that_no_clock_has_shown_is_none(magistrala: str, time: str) -> None:
    insert(magistrala, created_at="2020-05-01 12:00:00+02", updated_at=time, verified_at=time)
    found = account(magistrala)
    assert (found.updated_at, found.verified_at) == (None, None)
    assert found.created_at == datetime(2020, 5, 1, 10, tzinfo=UTC)


def test_times_without_a_zone_are_utc_wherever_the_server_stands(databases: Databases) -> None:
    rows = crowd(1)
    rows[0] |= {"created_at": "2020-05-01 12:00:00", "updated_at": "2020-05-02 12:00:00.000001"}
    with original(databases, "magistrala_clients", rows) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            name = connection.info.dbname
            connection.execute(f"ALTER DATABASE {name} SET timezone TO 'Pacific/Kiritimati'".encode())
        found = account(dsn)
    assert found.created_at == datetime(2020, 5, 1, 12, tzinfo=UTC)
    assert found.updated_at == datetime(2020, 5, 2, 12, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(("number", "status"), [(0, "enabled"), (1, "disabled"), (2, "deleted")])
def test_a_status_is_a_number_there(magistrala: str, number: int, status: str) -> None:
    insert(magistrala, status=number, role=1)
    assert (account(magistrala).status, account(magistrala).role) == (status, "admin")


@pytest.mark.parametrize(
    ("row", "pointer"),
    [
        ({"id": "not-a-uuid"}, "/id"),
        ({"id": ID.upper()}, "/id"),
        ({"email": ""}, "/email"),
        ({"status": 7}, "/status"),
        ({"role": 9}, "/role"),
        ({"metadata": "[1]"}, "/metadata"),
        ({"private_metadata": "17"}, "/private_metadata"),
        ({"tags": [["a", "b"], ["c", "d"]]}, "/tags"),
    ],
    ids=[
        "no uuid",
        "an upper-case id",
        "no email",
        "a status",
        "a role",
        "a list",
        "a number",
        "lists of tags",
    ],
)
def test_a_row_that_cannot_be_an_account_is_named_by_its_field(
    magistrala: str, row: Row, pointer: str
) -> None:
    insert(magistrala, **row)
    offered = only(magistrala)
    assert offered.account is None
    assert [fault.pointer for fault in offered.faults] == [pointer]
    assert offered.raw is not None
    assert b"$2a$04$x" in offered.raw


@pytest.mark.parametrize("field", ["status", "role"])
def test_what_nobody_knows_is_named_by_its_field_and_not_repeated(field: str) -> None:
    row = {"id": ID, "email": "ada@example.com", "secret": None, "is_too_wide": False, field: "+4940765"}
    (fault,) = offered_by(1, row, "magistrala").faults
    assert fault.pointer == f"/{field}"
    assert "4940765" not in fault.message


def test_what_has_no_place_here_is_named(magistrala: str) -> None:
    insert(magistrala, role=2, domain_id=ID, tags=["a", None])
    offered = only(magistrala)
    assert offered.unkept == ("a tag without a text", "the role all", "domain_id")
    assert offered.account is not None
    assert (offered.account.role, offered.account.tags) == ("user", ["a"])


def test_an_email_that_was_verified_is_known_from_either_place(databases: Databases) -> None:
    with original(databases, "magistrala_users_before_verification", crowd(2)) as dsn:
        with psycopg.connect(dsn) as connection:
            connection.execute(
                "CREATE TABLE users_verifications AS "
                "SELECT id AS user_id, email, now() AS used_at FROM users LIMIT 1"
            )
        verified = [one.account.verified_at for one in source_of(dsn, "magistrala").offered() if one.account]
    assert sorted(time is not None for time in verified) == [False, True]


@pytest.mark.parametrize("time", ["12026-01-01", "infinity", "-infinity", "0044-03-15 BC"])
def test_a_verification_at_a_time_that_no_clock_has_shown_is_none(databases: Databases, time: str) -> None:
    with original(databases, "magistrala_users_before_verification", crowd(2)) as dsn:
        with psycopg.connect(dsn) as connection:
            connection.execute(
                "CREATE TABLE users_verifications AS "
                "SELECT id AS user_id, email, %s::timestamptz AS used_at FROM users",
                (time,),
            )
        verified = [one.account.verified_at for one in source_of(dsn, "magistrala").offered() if one.account]
    assert verified == [None, None]


def test_the_accounts_of_an_early_magistrala_keep_the_form_in_which_clients_know_them(
    databases: Databases,
) -> None:
    with original(databases, "magistrala_clients", crowd(3)) as dsn:
        assert {one.account.dialect for one in source_of(dsn, "magistrala").offered() if one.account} == {
            "mainflux"
        }


def test_a_connection_that_is_cut_between_pages_costs_no_row(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(originals, "PAGE", 10)
    with original(databases, "magistrala_users", crowd(35)) as dsn:
        places = []
        for offered in source_of(dsn, "magistrala").offered():
            places.append(offered.place)
            cut(dsn)
    assert places == list(range(1, 36))


def cut(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'usersd import' AND datname = current_database()"
        )


def test_between_two_pages_no_transaction_is_open(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(originals, "PAGE", 10)
    with (
        original(databases, "magistrala_users", crowd(20)) as dsn,
        psycopg.connect(dsn, autocommit=True) as other,
    ):
        rows = source_of(dsn, "magistrala").offered()
        next(rows)
        states = other.execute(
            "SELECT state, backend_xmin FROM pg_stat_activity "
            "WHERE application_name = 'usersd import' AND datname = current_database()"
        ).fetchall()
        assert states == [("idle", None)]
        other.execute("SET lock_timeout = '2s'; ALTER TABLE users ADD COLUMN more int")
        assert len(list(rows)) == 19


def test_a_database_that_stays_away_is_told_with_what_to_do(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(originals, "PAGE", 10)
    with original(databases, "magistrala_users", crowd(20)) as dsn:
        rows = source_of(dsn, "magistrala", patience=0.2).offered()
        for _ in range(10):
            next(rows)
        with psycopg.connect(make_conninfo(dsn, dbname="postgres"), autocommit=True) as connection:
            name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            connection.execute(f"CREATE DATABASE {name}".encode())
        with pytest.raises(SourceLost, match="What was taken stays; run the same command again"):
            next(rows)


def test_a_user_who_may_only_read_is_enough(databases: Databases) -> None:
    with (
        original(databases, "mainflux_clients", crowd(5)) as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        connection.execute("REVOKE ALL ON clients FROM CURRENT_USER; GRANT SELECT ON clients TO CURRENT_USER")
        source = source_of(dsn, "mainflux")
        assert len(list(source.offered())) == 5
        connection.execute("REVOKE SELECT ON clients FROM CURRENT_USER")
        with pytest.raises(SourceLost, match="closed to this user"):
            list(source.offered())
        with pytest.raises(NotAnOriginal, match="GRANT SELECT"):
            source_of(dsn, "mainflux")


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ("SELECT 1", "no table `users` or `clients`"),
        ("CREATE TABLE users (id uuid PRIMARY KEY, nick text)", "no column for email and secret"),
        ("CREATE TABLE users (id bigint PRIMARY KEY, email text, password text)", "of the type bigint"),
        ("CREATE TABLE users (id uuid, email text, password text)", "has an id of its own"),
        (
            "CREATE TABLE users (id uuid PRIMARY KEY, email text, password text);"
            "CREATE TABLE clients (id uuid PRIMARY KEY, identity text, secret text)",
            "Both public.clients and public.users",
        ),
    ],
    ids=["none", "no secrets", "numbers", "no key", "two"],
)
def test_a_database_without_such_a_table_is_refused(
    databases: Databases, tables: str, complaint: str
) -> None:
    with databases.unmigrated() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(tables.encode())
        with pytest.raises(NotAnOriginal, match=complaint):
            source_of(dsn, "mainflux")


def test_usernames_and_the_dialect_of_mainflux_contradict_each_other(magistrala: str) -> None:
    with pytest.raises(NotAnOriginal, match="say --dialect magistrala"):
        source_of(magistrala, "mainflux")


@pytest.mark.parametrize("dsn", [NOBODY_THERE, "postgresql://ada:hush-hush@[", "host=x password=hush hush=1"])
def test_no_refusal_repeats_the_password(dsn: str) -> None:
    with pytest.raises(NotAnOriginal) as refused:
        source_of(dsn, "magistrala")
    assert "hush" not in str(refused.value)
    assert refused.value.__cause__ is None
