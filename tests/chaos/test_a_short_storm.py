"""A short storm over a small deployment: nothing is found in it, and whatever is spoilt afterwards is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import nats
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from infrastructure.nats.stream import STREAM
from tests.chaos.book import Write
from tests.chaos.broken import BREAKAGES, FOUND_AS
from tests.chaos.campaign import Aftermath, stormed
from tests.chaos.faults import KINDS, plan
from tests.chaos.measures import SMALL, Measures, Report

SEED = 1


SHORT = Measures(
    seconds=8, seed=SEED, roles=SMALL, clients=4, enough=40, every=0.5, longest=1.5, erases=False
)  # fmt: skip


@pytest.fixture(scope="module")
def aftermath() -> Iterator[Aftermath]:
    with stormed(SHORT) as left:
        yield left


def test_nothing_that_was_promised_is_broken(aftermath: Aftermath) -> None:
    report = aftermath.report
    assert not report.wrong, "\n".join(report.wrong)
    # Where little happened, little was shown.
    assert report.faults.total() >= 8, report
    assert report.acknowledged >= 30, report
    assert report.revoked >= 20, report
    assert report.mails > 0, report
    assert report.checkpoints > 0, report
    assert report.messages > 30, report


def _in_the_database(aftermath: Aftermath, *statements: str) -> None:
    # As the superuser, whom no trigger keeps from anything.
    conninfo = make_conninfo(aftermath.ground.postgres, user="postgres")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            connection.execute(statement.encode())


def _acknowledge_more_than_was_stored(aftermath: Aftermath) -> None:
    write = aftermath.book.writes[0]
    aftermath.book.writes.append(Write(write.user_id, write.event, 10**6))


def _acknowledge_one_write_as_two(aftermath: Aftermath) -> None:
    aftermath.book.writes.append(aftermath.book.writes[0])


def _refuse_what_was_stored(aftermath: Aftermath) -> None:
    aftermath.book.refused.add(next(write.mark for write in aftermath.book.writes if write.mark))


def _take_a_message_out(aftermath: Aftermath) -> None:
    async def take() -> None:
        async with await nats.connect(aftermath.ground.nats) as connection:
            await connection.jetstream().delete_msg(STREAM, 5)

    asyncio.run(take())


def _lose_a_mail(aftermath: Aftermath) -> None:
    next(aftermath.ground.folder.glob("mailer*/mail/*.eml")).unlink()


def _change_a_row(aftermath: Aftermath) -> None:
    _in_the_database(
        aftermath, "UPDATE users_v1 SET first_name = 'x' WHERE id = (SELECT id FROM users_v1 LIMIT 1)"
    )


def _give_a_name_to_another(aftermath: Aftermath) -> None:
    _in_the_database(
        aftermath,
        "UPDATE names SET user_id = gen_random_uuid() WHERE kind = 'email' AND user_id = "
        "(SELECT user_id FROM names WHERE kind = 'email' LIMIT 1)",
    )


def _shut_the_admin_out(aftermath: Aftermath) -> None:
    _in_the_database(aftermath, "UPDATE credentials SET status = 'disabled' WHERE role = 'admin'")


def _break_the_chain(aftermath: Aftermath) -> None:
    _in_the_database(aftermath, "UPDATE events SET hash = sha256('x') WHERE position = 3")


SPOILT: dict[str, tuple[Callable[[Aftermath], None], str]] = {
    "a write that was acknowledged and not stored": (
        _acknowledge_more_than_was_stored,
        "acknowledged, and not",
    ),
    "two writes at one position": (_acknowledge_one_write_as_two, "2 writes were acknowledged"),
    "a write that was refused and stored": (_refuse_what_was_stored, "refused, and stored"),
    "a message that is missing": (_take_a_message_out, "1 are missing"),
    "a mail that is missing": (_lose_a_mail, "is said to be sent, and was not"),
    "a row that is wrong": (_change_a_row, "users: "),
    "a name of somebody else": (_give_a_name_to_another, "names: "),
    "no admin": (_shut_the_admin_out, "no enabled admin"),
    "a chain that is broken": (_break_the_chain, "the log: check_chain"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_the_judge_finds(aftermath: Aftermath, what: str) -> None:
    spoil, words = SPOILT[what]
    before = aftermath.judge.found(Report(SHORT), asks_the_service=False)
    assert not any(words in found for found in before)
    spoil(aftermath)
    found = aftermath.judge.found(Report(SHORT), asks_the_service=False)
    assert any(words in one for one in found), found


@pytest.mark.system
@pytest.mark.timeout(900)
def test_every_role_that_is_wrong_on_purpose_is_found_out() -> None:
    with stormed(
        # A reader that is stuck is one of the findings, and need not be waited for.
        replace(SHORT, seconds=40, patience=20, clients=6, enough=100, every=1.0, broken=tuple(BREAKAGES))
    ) as left:
        wrong = left.report.wrong
    for name, words in FOUND_AS.items():
        assert any(words in found for found in wrong), f"{name} was not found among {wrong}"


def test_every_way_to_be_wrong_is_expected_to_be_found() -> None:
    assert FOUND_AS.keys() == BREAKAGES.keys()


def test_a_seed_makes_one_plan_of_every_kind_of_fault() -> None:
    assert plan(7, 200, 1.0) == plan(7, 200, 1.0) != plan(8, 200, 1.0)
    assert {fault.kind for fault in plan(7, 200, 1.0)} == KINDS.keys()
