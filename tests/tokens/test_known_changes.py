"""What the memory of changed accounts says of a token, against what the database would say."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.ports import AccessClaims, Credential, Rights
from domain.errors import InvalidToken
from domain.values import Role, Status
from infrastructure.tokens.known import SKEW, Known, Said, rights_of

NOW = 1_000_000.0
ADA, EVE = UUID(int=1), UUID(int=2)
SESSION = UUID(int=100)


def account(user_id: UUID = ADA, epoch: int = 1, **more: object) -> Credential:
    row = {"status": Status.ENABLED, "role": Role.USER, "verified": False, "secret_hash": None} | more
    return Credential(user_id=user_id, epoch=epoch, **row)  # type: ignore[arg-type]


def token(of: Credential, session: UUID = SESSION) -> AccessClaims:
    return AccessClaims(user_id=of.user_id, session_id=session, epoch=of.epoch, expires_at=NOW + 900)


def said(of: Credential, as_of: int) -> Said:
    return Said(Rights(of.role, of.verified), as_of)


def known(reached: int, *changes: tuple[int, Credential], **limits: int) -> Known:
    made = Known(**limits)
    for position, changed in changes:
        made.changed(position, changed)
    made.reached = reached
    return made


def test_a_token_that_was_never_asked_about_is_a_question_for_the_database() -> None:
    assert known(10).verdict(token(account()), None, NOW) is None
    assert known(10, (7, account(epoch=2))).verdict(token(account(epoch=3)), None, NOW) is None


def test_what_was_said_of_an_account_that_has_not_changed_since_is_true() -> None:
    admin = account(role=Role.ADMIN, verified=True)
    assert known(10).verdict(token(admin), said(admin, 5), NOW) == Rights(Role.ADMIN, True)
    assert known(10, (5, admin)).verdict(token(admin), said(admin, 5), NOW) == Rights(Role.ADMIN, True)


def test_a_token_from_before_a_change_has_the_rights_of_after_it() -> None:
    changed = account(role=Role.ADMIN, verified=True)
    assert known(10, (7, changed)).verdict(token(account()), said(account(), 5), NOW) == Rights(
        Role.ADMIN, True
    )


@pytest.mark.parametrize(
    "changed", [account(epoch=2), account(status=Status.DISABLED), account(status=Status.DELETED)]
)
def test_a_token_from_before_what_ended_it_is_worth_nothing(changed: Credential) -> None:
    with pytest.raises(InvalidToken):
        known(10, (7, changed)).verdict(token(account()), said(account(), 5), NOW)


def test_the_session_that_made_a_change_goes_on_and_others_do_not() -> None:
    changed = account(epoch=3, carried_session=SESSION, carried_from=2)
    before = said(account(), 5)
    mine = token(account(epoch=2))
    assert known(10, (7, changed)).verdict(mine, before, NOW) == Rights(Role.USER, False)
    for other in (token(account(epoch=2), UUID(int=101)), token(account(epoch=1))):
        with pytest.raises(InvalidToken):
            known(10, (7, changed)).verdict(other, before, NOW)


def test_what_was_said_later_than_the_last_news_is_believed() -> None:
    newer = account(epoch=2)
    memory = known(10, (7, account(epoch=1)))
    assert memory.verdict(token(newer), said(newer, 12), NOW) == Rights(Role.USER, False)


def test_what_was_said_before_what_the_memory_holds_is_asked_again() -> None:
    memory = known(10)
    memory.floor = 6
    assert memory.verdict(token(account()), said(account(), 5), NOW) is None
    assert memory.verdict(token(account()), said(account(), 6), NOW) is not None


def test_a_full_memory_forgets_the_oldest_change_and_raises_its_floor() -> None:
    memory = known(10, (3, account(ADA, 2)), (5, account(EVE, 2)), max_users=1)
    assert (len(memory), memory.floor) == (1, 3)
    assert memory.verdict(token(account(ADA)), said(account(ADA), 2), NOW) is None
    with pytest.raises(InvalidToken):
        memory.verdict(token(account(EVE)), said(account(EVE), 2), NOW)
    assert memory.verdict(token(account(ADA, 2)), said(account(ADA, 2), 3), NOW) is not None


def test_an_account_that_changes_again_is_remembered_once_and_longer() -> None:
    memory = known(
        10, (3, account(ADA, 2)), (5, account(EVE, 2)), (7, account(ADA, 3)), (8, account(UUID(int=3), 2)),
        max_users=2,
    )  # fmt: skip
    assert (len(memory), memory.floor) == (2, 5)
    with pytest.raises(InvalidToken):
        memory.verdict(token(account(ADA, 2)), said(account(ADA, 2), 4), NOW)


def test_a_session_that_was_ended_takes_its_tokens_with_it_and_no_others() -> None:
    memory, before = known(10), said(account(), 5)
    memory.ended(SESSION, NOW + 900)
    for asked in (before, None):
        with pytest.raises(InvalidToken):
            memory.verdict(token(account()), asked, NOW)
    assert memory.verdict(token(account(), UUID(int=101)), before, NOW) is not None


def test_an_ended_session_is_remembered_for_longer_than_its_tokens_whatever_the_clocks_say() -> None:
    memory = known(10)
    memory.ended(SESSION, NOW)
    memory.forget_sessions(NOW + SKEW)
    assert SESSION in memory.sessions
    memory.forget_sessions(NOW + SKEW + 1)
    assert not memory.sessions


def test_with_more_ended_sessions_than_it_holds_the_database_is_asked_until_their_tokens_are_over() -> None:
    memory = known(10, max_sessions=1)
    memory.ended(SESSION, NOW + 10)
    memory.ended(UUID(int=101), NOW + 20)
    stranger, before = token(account(), UUID(int=102)), said(account(), 5)
    assert memory.verdict(stranger, before, NOW) is None
    assert memory.verdict(stranger, before, NOW + 19 + SKEW) is None
    assert memory.verdict(stranger, before, NOW + 20 + SKEW) is not None


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["login", "login", "epoch", "role", "verified", "status", "follow", "reload"]),
        st.integers(0, 4),
    ),
    max_size=60,
)


class Truth:
    """A database of five accounts, with every state that they have had."""

    def __init__(self) -> None:
        self.head = 5
        self.rows = {UUID(int=number): [(0, account(UUID(int=number)))] for number in range(5)}

    def at(self, user_id: UUID, position: int) -> tuple[int, Credential]:
        return [row for row in self.rows[user_id] if row[0] <= position][-1]

    def change(self, what: str, user_id: UUID) -> None:
        self.head += 1
        was = self.rows[user_id][-1][1]
        shut = was.status is Status.ENABLED
        changed = account(
            user_id,
            was.epoch + (what == "epoch" or (what == "status" and shut)),
            role=Role.ADMIN if (was.role is Role.USER) is (what == "role") else Role.USER,
            verified=was.verified is not (what == "verified"),
            status=(Status.DISABLED if shut else Status.ENABLED) if what == "status" else was.status,
        )
        self.rows[user_id].append((self.head, changed))

    def since(self, position: int) -> list[tuple[int, Credential]]:
        rows = [self.at(user_id, self.head) for user_id in self.rows]
        return sorted((row for row in rows if row[0] > position), key=lambda row: row[0])


def _verdict(of: Credential, claims: AccessClaims) -> Rights | None:
    try:
        return rights_of(of, claims)
    except InvalidToken:
        return None


@given(STEPS, st.integers(1, 6), st.integers(0, 5))
@settings(max_examples=400, deadline=None)
def test_what_the_memory_is_sure_of_is_what_the_database_said(
    steps: list[Step], max_users: int, floor: int
) -> None:
    truth, memory = Truth(), Known(max_users=max_users)
    tokens: dict[AccessClaims, Said] = {}
    memory.floor, memory.reached = floor, truth.head
    for step, number in steps:
        user_id = UUID(int=number)
        row = truth.at(user_id, truth.head)[1]
        if step == "login":
            if row.status is Status.ENABLED:
                tokens[token(row, UUID(int=1000 + len(tokens)))] = said(row, truth.head)
        elif step == "reload":
            memory = Known(max_users=max_users)
            memory.floor = memory.reached = truth.head - min(number, truth.head)
            tokens = {
                claims: said(now, truth.head)
                for claims in tokens
                if _verdict(now := truth.at(claims.user_id, truth.head)[1], claims)
            }
        elif step != "follow":
            truth.change(step, user_id)
        if step in ("reload", "follow"):
            for position, changed in truth.since(memory.reached):
                memory.changed(position, changed)
            memory.reached = truth.head
        for claims, before in tokens.items():
            then = truth.at(claims.user_id, max(memory.reached, before.as_of))[1]
            try:
                sure = memory.verdict(claims, before, NOW)
            except InvalidToken:
                assert _verdict(then, claims) is None
            else:
                assert sure is None or sure == _verdict(then, claims)
