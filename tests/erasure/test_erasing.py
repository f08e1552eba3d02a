"""From a request to a certificate: what goes, what stays, and what can be proven."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import psycopg
import pytest

from application.erasures import Verdict
from infrastructure.erasure.certificate import CertificateInvalid, verified
from infrastructure.erasure.verification import verdicts
from infrastructure.tokens.key_store import KeyStore
from projections.catalogue import READ_MODELS
from projections.rebuild import rebuild
from tests.erasure.world import World, running_world
from tests.nats.broker import Broker
from tests.support.databases import ROOT_KEY
from tests.support.truth import check_chain, check_history, check_users, read_log


async def test_an_erasure_ends_with_a_certificate_that_holds(world: World) -> None:
    user_id = await world.registered()
    await world.erase(user_id)
    certificate, kid = verified(await world.certified(user_id))
    assert certificate.user_id == user_id
    assert (certificate.requested.by, certificate.requested.reason) == ("operator", "ticket-7")
    assert certificate.messages_overwritten == 2
    assert certificate.removed["sessions"] == 0, "the append has removed them"
    assert certificate.key.epoch == 1
    assert certificate.key.epoch_destroyed_by - certificate.key.destroyed_at == timedelta(days=31)
    last = world.one(
        "SELECT encode(hash, 'hex') FROM events WHERE stream_id = %s ORDER BY version DESC LIMIT 1", user_id
    )
    assert (certificate.log.hash, certificate.log.events) == (last, 4)
    with psycopg.connect(world.conninfo) as connection:
        ring = world.service.erasure.epochs.keyring
        assert kid in [key.kid for key in KeyStore(connection, ring).all()]


async def test_a_certificate_is_no_access_token_and_cannot_be_changed(world: World) -> None:
    user_id = await world.registered()
    await world.erase(user_id)
    certificate = await world.certified(user_id)
    answer = await world.client.http.get("/users/profile", headers={"Authorization": f"Bearer {certificate}"})
    assert answer.status_code == 401
    head, payload, signature = certificate.split(".")
    for changed in (f"{head}.{payload[:-4]}AAAA.{signature}", f"{head}.{payload}.{signature[:-4]}AAAA", "x"):
        with pytest.raises(CertificateInvalid):
            verified(changed)
    token = (await world.client.login("admin@example.com", "12345678"))["access_token"]
    with pytest.raises(CertificateInvalid):
        verified(token)


async def test_the_stream_keeps_nothing_of_the_user_but_that_they_are_erased(world: World) -> None:
    user_id, other = await world.registered(), await world.registered()
    await world.relayed()
    assert await world.subjects(user_id) == ["registered", "profile_updated"]
    await world.erase(user_id)
    await world.certified(user_id)
    await world.relayed()
    assert await world.subjects(user_id) == ["erased"]
    assert await world.subjects(other) == ["registered", "profile_updated"]


async def test_names_are_free_and_commands_find_nobody(world: World) -> None:
    user = await world.client.register()
    user_id = UUID(user["id"])
    owner = await world.client.as_user(user["email"])
    await world.erase(user_id)
    http, admin = world.client.http, await world.client.as_admin()
    assert (await http.get("/users/profile", headers=owner)).status_code == 401
    for method, path, body in (
        ("PATCH", "", {"first_name": "x"}),
        ("POST", "/enable", None),
        ("POST", "/disable", None),
        ("DELETE", "", None),
        ("PATCH", "/role", {"role": "admin"}),
        ("GET", "", None),
    ):
        answer = await http.request(method, f"/users/{user_id}{path}", json=body, headers=admin)
        assert answer.status_code == 404, f"{method} {path}: {answer.text}"
    await world.client.register(
        email=user["email"], credentials={"username": "ada1", "secret": "changeMe123"}
    )
    await world.certified(user_id)
    assert (await http.get(f"/users/{user_id}", headers=admin)).status_code == 404


async def test_read_models_are_rid_of_the_user_and_a_rebuild_finds_the_same(world: World) -> None:
    user_id, _ = await world.registered(), await world.registered()
    await world.erase(user_id)
    await world.certified(user_id)
    for model in READ_MODELS:
        await rebuild(model, world.reader, world.conninfo)
    assert world.one("SELECT count(*) FROM users_v1 WHERE id = %s", user_id) == 0
    assert world.one("SELECT count(*) FROM history_v1 WHERE user_id = %s", user_id) == 0
    log = await read_log(world.conninfo, ROOT_KEY)
    with psycopg.connect(world.conninfo, autocommit=True) as connection:
        assert check_chain(connection) == len(log)
        check_users(connection, log)
        check_history(connection, log)


async def test_the_ledger_holds_ids_and_times_and_nothing_else(world: World) -> None:
    user_id = await world.registered()
    await world.erase(user_id)
    await world.certified(user_id)
    (line,) = world.ledger.read_text().splitlines()
    entry = msgspec.json.decode(line)
    assert entry.keys() == {"user_id", "requested_at"}
    assert entry["user_id"] == str(user_id)
    assert oct(world.ledger.stat().st_mode & 0o777) == "0o600"


async def test_where_tokens_are_signed_with_a_shared_secret_a_certificate_is_signed_with_a_key(
    database: str, broker: Broker, tmp_path: Path
) -> None:
    ledger, secret = tmp_path / "ledger.ndjson", "s" * 64
    async with running_world(
        database, broker, ledger, MG_USERS_SIGNING_ALGORITHM="HS512", MF_USERS_SECRET_KEY=secret
    ) as world:
        user_id = await world.registered()
        await world.erase(user_id)
        certificate, _ = verified(await world.certified(user_id))
        assert certificate.user_id == user_id


async def test_rows_of_a_parked_stream_and_of_tables_of_another_version_go_too(
    database: str, broker: Broker, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.ndjson"
    async with running_world(database, broker, ledger) as world:
        user_id = await world.registered()
        await world.relayed()
        for model in ("users", "history"):
            world.execute(
                "INSERT INTO parked_streams VALUES (%s, 1, 1, %s, 1, 'users.registered.v1', 'x')",
                model,
                user_id,
            )
        world.execute("CREATE TABLE users_v0_g3 AS SELECT id FROM users_v1")
    async with running_world(database, broker, ledger) as world:
        await world.erase(user_id)
        certificate, _ = verified(await world.certified(user_id))
        assert (certificate.removed["users"], certificate.removed["parked_streams"]) == (2, 2)
        for query in (
            "SELECT count(*) FROM users_v1 WHERE id = %s",
            "SELECT count(*) FROM users_v0_g3 WHERE id = %s",
            "SELECT count(*) FROM history_v1 WHERE user_id = %s",
        ):
            assert world.one(query, user_id) == 0


async def test_a_certificate_is_held_against_the_database_as_it_is(world: World) -> None:
    first, second = await world.registered(), await world.registered()
    for user_id in (first, second):
        await world.erase(user_id)
        await world.certified(user_id)

    def found() -> list[Verdict]:
        with psycopg.connect(world.conninfo, autocommit=True) as connection:
            return list(verdicts(connection))

    assert [verdict.stands for verdict in found()] == [True, True]
    assert {(verdict.epoch, verdict.root_key) for verdict in found()} == {("there", "the same")}
    world.execute("INSERT INTO link_tokens VALUES (%s, 'x', %s, 'x')", first, first)
    assert [verdict.left for verdict in found()] == [1, 0]
    other = world.one("SELECT certificate FROM erasures WHERE user_id = %s", first)
    world.execute("UPDATE erasures SET certificate = %s WHERE user_id = %s", other, second)
    assert [verdict.signature for verdict in found()] == ["holds", "does not hold"]
    world.execute("DELETE FROM signing_keys")
    assert found()[0].signature == "of an unknown key"
    world.execute("ALTER TABLE events DISABLE TRIGGER events_rows_are_final")
    world.execute("UPDATE events SET state = state || ' ' WHERE stream_id = %s AND version = 1", first)
    assert found()[0].chain == "broken"
