"""Keys and seals: what opens, what does not, and how the log tells the difference."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from cryptography.exceptions import InvalidTag

from domain import events
from domain.errors import UnknownEvent
from infrastructure.event_store.keyring import Keyring, WrongRootKey, open_keyring
from infrastructure.event_store.mapper import EventMapper, SealBroken
from tests.event_store.writing import Writer
from tests.support.databases import ROOT_KEY
from tests.support.memory import NOON, keyring

USER = uuid4()
ID = str(USER).encode()


def test_the_keyring_of_a_database_is_made_once_and_opens_again(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        one, again = open_keyring(connection, ROOT_KEY), open_keyring(connection, ROOT_KEY)
        purposes = connection.execute("SELECT purpose FROM keyring ORDER BY 1").fetchall()
    assert one.digest("email", "a@b") == again.digest("email", "a@b")
    assert one.refresh_key == again.refresh_key
    made = one.new_user_key(USER)
    again.user_key(USER, made.epoch, made.wrapped)
    assert purposes == [("checkpoint",), ("cursor",), ("lookup",), ("mail",), ("refresh",), ("seal",)]


def test_a_wrong_root_key_is_refused_and_changes_nothing(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        open_keyring(connection, ROOT_KEY)
        before = connection.execute("SELECT * FROM keyring").fetchall()
        with pytest.raises(WrongRootKey):
            open_keyring(connection, b"x" * 32)
        assert connection.execute("SELECT * FROM keyring").fetchall() == before


def test_a_wrong_root_key_is_found_out_even_where_its_fingerprint_was_put_right(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        open_keyring(connection, ROOT_KEY)
        connection.execute("DELETE FROM root_key")
        wrapped = connection.execute("SELECT purpose, epoch, wrapped FROM keyring").fetchall()
        connection.execute("DELETE FROM keyring")
        open_keyring(connection, b"x" * 32)
        for purpose, epoch, key in wrapped:
            connection.execute(
                "UPDATE keyring SET wrapped = %s WHERE purpose = %s AND epoch = %s", (key, purpose, epoch)
            )
        with pytest.raises(WrongRootKey):
            open_keyring(connection, b"x" * 32)


def test_two_databases_have_nothing_in_common_under_one_root_key(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        one = open_keyring(connection, ROOT_KEY)
        connection.execute("DELETE FROM root_key")
        connection.execute("DELETE FROM keyring")
        other = open_keyring(connection, ROOT_KEY)
    assert one.digest("email", "a@b") != other.digest("email", "a@b")
    with pytest.raises(InvalidTag):
        other.user_key(USER, 1, one.new_user_key(USER).wrapped)


def test_a_users_key_is_bound_to_its_user_and_epoch() -> None:
    keys = Keyring(
        b"r" * 32, b"l" * 32, b"f" * 32, {1: b"s" * 32, 2: b"s" * 32}, b"c" * 32, b"m" * 32, b"k" * 32
    )
    made = keys.new_user_key(USER)
    assert made.epoch == 2
    keys.user_key(USER, 2, made.wrapped)
    with pytest.raises(InvalidTag):
        keys.user_key(uuid4(), 2, made.wrapped)
    with pytest.raises(InvalidTag):
        keys.user_key(USER, 1, made.wrapped)
    with pytest.raises(KeyError):
        keys.user_key(USER, 3, made.wrapped)


def test_a_digest_is_the_same_for_every_spelling_and_differs_by_kind() -> None:
    keys = keyring()
    assert keys.digest("email", "ADA@b") == keys.digest("email", "ａda@b")
    assert keys.digest("email", "ada") != keys.digest("username", "ada")


@pytest.mark.parametrize("moved", ["version", "stream", "name", "key"])
def test_a_seal_that_was_moved_does_not_open(writer: Writer, moved: str) -> None:
    ada = writer.register("ada")
    row, key = ada.events[0], ada.new_key
    assert key is not None
    mapper = EventMapper()
    assert mapper.open(ada.stream_id, 1, row.topic, row.state, key).version == 1
    with pytest.raises(SealBroken):
        mapper.open(
            uuid4() if moved == "stream" else ada.stream_id,
            2 if moved == "version" else 1,
            "users.email_changed.v1" if moved == "name" else row.topic,
            row.state,
            writer.keys.new_user_key(ada.stream_id) if moved == "key" else key,
        )


def test_a_name_of_a_newer_version_is_never_guessed_at(writer: Writer) -> None:
    ada = writer.register("ada")
    assert ada.new_key
    with pytest.raises(UnknownEvent):
        EventMapper().open(ada.stream_id, 1, "users.registered.v2", ada.events[0].state, ada.new_key)


def test_an_event_of_an_older_version_is_read_through_its_upcaster(writer: Writer) -> None:
    writer.mapper.upcast(
        "users.username_given.v1", events.UsernameChanged, lambda fields: {"username": fields["nickname"]}
    )
    key = writer.keys.new_user_key(USER)
    old = b'{"id":"%b","at":"2026-03-01T12:00:00Z","actor":{"kind":"system"},"command":"%b",' % (ID, ID)
    old += b'"correlation":"%b","data":{"nickname":"ada"}}' % ID
    opened = writer.mapper.open(USER, 2, "users.username_given.v1", old, key)
    assert opened.event == events.UsernameChanged(at=NOON, username="ada")
