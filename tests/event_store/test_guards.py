"""What an append refuses and what it writes beside the events: one contract, every recorder."""

from __future__ import annotations

from threading import Barrier, Thread
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from domain import events
from domain.values import Role
from infrastructure.event_store.prepared import CredentialRow, Outcome, Prepared
from tests.event_store.recorders import Guarded
from tests.event_store.writing import HASH, Writer
from tests.support.memory import NOON


def _said(guarded: Guarded, *batch: Prepared) -> list[str]:
    return [outcome.outcome for outcome in guarded.append(batch)]


def _ids(*batch: Prepared) -> list[UUID]:
    return [item.stream_id for item in batch]


def test_a_registration_is_stored_with_its_names_credentials_and_key(
    guarded: Guarded, writer: Writer
) -> None:
    ada = writer.register("ada")
    assert guarded.append([ada]) == [Outcome("stored", None, 1)]
    assert guarded.log() == [(1, ada.stream_id, 1)]
    assert guarded.names() == {(name.kind, name.digest): ada.stream_id for name in ada.names}
    assert len(guarded.names()) == 2
    assert guarded.credential(ada.stream_id) == CredentialRow(HASH, 1, "enabled", "user", False)
    assert guarded.keys() == {ada.stream_id}


def test_positions_count_events_over_all_commands(guarded: Guarded, writer: Writer) -> None:
    ada = writer.register("ada", more=(events.TagsChanged(at=NOON, tags=["x"]),))
    bob = writer.register("bob")
    assert [outcome.position for outcome in guarded.append([ada, bob, writer.tag(ada.stream_id)])] == [
        2,
        3,
        4,
    ]
    assert guarded.log() == [
        (1, ada.stream_id, 1),
        (2, ada.stream_id, 2),
        (3, bob.stream_id, 1),
        (4, ada.stream_id, 3),
    ]


def test_an_empty_batch_stores_nothing(guarded: Guarded) -> None:
    assert guarded.append([]) == []
    assert guarded.log() == []


def test_a_version_that_is_taken_is_a_conflict(guarded: Guarded, writer: Writer) -> None:
    ada = writer.register("ada")
    first, second = writer.tag(ada.stream_id, "a", advance=False), writer.tag(ada.stream_id, "b")
    assert guarded.append([ada, first, second])[2] == Outcome("conflict")
    assert len(guarded.log()) == 2


@pytest.mark.parametrize("missing", [1, 2])
def test_a_gap_in_versions_is_a_conflict(guarded: Guarded, writer: Writer, missing: int) -> None:
    ada = writer.register("ada")
    skipped = [writer.tag(ada.stream_id) for _ in range(missing)]
    assert len(skipped) == missing
    assert _said(guarded, ada, writer.tag(ada.stream_id)) == ["stored", "conflict"]


def test_a_stream_does_not_begin_in_its_middle(guarded: Guarded, writer: Writer) -> None:
    ada = writer.register("ada")
    assert _said(guarded, writer.tag(ada.stream_id)) == ["conflict"]
    assert guarded.log() == []


def test_the_same_bytes_again_are_known_at_the_same_position(guarded: Guarded, writer: Writer) -> None:
    ada = writer.register("ada", more=(events.TagsChanged(at=NOON, tags=["x"]),))
    change = writer.email(ada.stream_id, "countess")
    stored = guarded.append([ada, writer.register("bob"), change])
    assert _said(guarded, writer.tag(ada.stream_id)) == ["stored"]
    again = guarded.append([ada, change])
    assert again == [Outcome("known", None, stored[0].position), Outcome("known", None, stored[2].position)]
    assert len(guarded.log()) == 5


def test_what_is_known_is_not_written_beside_the_log_again(guarded: Guarded, writer: Writer) -> None:
    ada = writer.register("ada")
    changed = writer.email(ada.stream_id, "countess")
    assert _said(guarded, ada, changed) == ["stored", "stored"]
    names, credential = guarded.names(), guarded.credential(ada.stream_id)
    assert _said(guarded, ada) == ["known"]
    assert guarded.names() == names
    assert guarded.credential(ada.stream_id) == credential


def test_a_name_of_somebody_else_is_taken_and_its_kind_is_told(guarded: Guarded, writer: Writer) -> None:
    assert _said(guarded, writer.register("ada")) == ["stored"]
    email_only = writer.register("ada")
    email_only = replace(email_only, names=[name for name in email_only.names if name.kind == "email"])
    username_only = writer.register("ada")
    username_only = replace(
        username_only, names=[name for name in username_only.names if name.kind == "username"]
    )
    refused = guarded.append([email_only, username_only])
    assert refused == [Outcome("taken", "email"), Outcome("taken", "username")]


def test_a_refused_command_leaves_nothing_behind(guarded: Guarded, writer: Writer) -> None:
    ada, thief = writer.register("ada"), writer.register("ADA")
    assert _said(guarded, ada, thief) == ["stored", "taken"]
    assert guarded.credential(thief.stream_id) is None
    assert guarded.keys() == {ada.stream_id}
    assert set(guarded.names().values()) == {ada.stream_id}
    assert [stream for _, stream, _ in guarded.log()] == [ada.stream_id]


def test_neighbours_in_a_batch_are_unhurt_by_every_kind_of_refusal(guarded: Guarded, writer: Writer) -> None:
    admin = writer.register("root", Role.ADMIN)
    ada, thief, bob, eve = (writer.register(name) for name in ("ada", "Ada", "bob", "eve"))
    stale = writer.tag(bob.stream_id, "stale", advance=False)
    fine = writer.tag(bob.stream_id, "fine")
    batch = [admin, ada, thief, bob, fine, stale, writer.demote(admin.stream_id), eve]
    assert _said(guarded, *batch) == [
        "stored",
        "stored",
        "taken",
        "stored",
        "stored",
        "conflict",
        "last_admin",
        "stored",
    ]
    assert guarded.keys() == set(_ids(admin, ada, bob, eve))
    assert [position for position, _, _ in guarded.log()] == [1, 2, 3, 4, 5]
    credential = guarded.credential(eve.stream_id)
    assert credential is not None
    assert credential.role == "user"


def test_of_two_claims_of_one_name_in_a_batch_the_first_wins(guarded: Guarded, writer: Writer) -> None:
    first, second, third = writer.register("ada"), writer.register("ada"), writer.register("ada")
    assert _said(guarded, first, second, third) == ["stored", "taken", "taken"]
    assert guarded.names()[writer.digest("ada")] == first.stream_id


def test_a_name_is_given_up_and_another_taken_in_one_command(guarded: Guarded, writer: Writer) -> None:
    ada = writer.register("ada")
    assert _said(guarded, ada, writer.email(ada.stream_id, "countess")) == ["stored", "stored"]
    assert writer.digest("ada") not in guarded.names()
    assert guarded.names()[writer.digest("countess")] == ada.stream_id


def test_a_name_given_up_earlier_in_the_batch_is_free(guarded: Guarded, writer: Writer) -> None:
    ada = writer.register("ada")
    claim = writer.register("ada")
    claim = replace(claim, names=[name for name in claim.names if name.kind == "email"])
    assert _said(guarded, ada, writer.email(ada.stream_id, "countess"), claim) == ["stored"] * 3
    assert guarded.names()[writer.digest("ada")] == claim.stream_id


def test_a_refused_change_of_email_keeps_the_old_one(guarded: Guarded, writer: Writer) -> None:
    ada, bob = writer.register("ada"), writer.register("bob")
    assert _said(guarded, ada, bob, writer.email(ada.stream_id, "bob")) == ["stored", "stored", "taken"]
    assert guarded.names()[writer.digest("ada")] == ada.stream_id


def test_the_spelling_of_ones_own_name_may_change(guarded: Guarded, writer: Writer) -> None:
    ada = writer.register("ada")
    assert _said(guarded, ada, writer.email(ada.stream_id, "ADA")) == ["stored", "stored"]
    assert guarded.names()[writer.digest("ada")] == ada.stream_id


def test_a_claim_of_what_is_ones_own_already_is_no_theft(guarded: Guarded, writer: Writer) -> None:
    ada = writer.register("ada")
    claim = replace(writer.tag(ada.stream_id), names=ada.names)
    assert _said(guarded, ada, claim) == ["stored", "stored"]
    assert set(guarded.names().values()) == {ada.stream_id}


def test_nobody_gives_up_a_name_of_somebody_else(guarded: Guarded, writer: Writer) -> None:
    ada, bob = writer.register("ada"), writer.register("bob")
    theft = replace(writer.tag(bob.stream_id), names=[replace(name, claims=False) for name in ada.names])
    assert _said(guarded, ada, bob, theft) == ["stored"] * 3
    assert guarded.names()[writer.digest("ada")] == ada.stream_id


def test_the_last_enabled_admin_is_neither_demoted_nor_disabled_nor_deleted(
    guarded: Guarded, writer: Writer
) -> None:
    admin = writer.register("root", Role.ADMIN)
    assert _said(guarded, admin, writer.register("ada")) == ["stored", "stored"]
    for change in (
        events.RoleChanged(at=NOON, role=Role.USER),
        events.Disabled(at=NOON),
        events.Deleted(at=NOON),
        events.ErasureRequested(at=NOON),
    ):
        assert _said(guarded, writer.change(admin.stream_id, change, advance=False)) == ["last_admin"]
    assert _said(guarded, writer.tag(admin.stream_id)) == ["stored"]


def test_a_disabled_admin_does_not_count_as_one(guarded: Guarded, writer: Writer) -> None:
    one, other = writer.register("one", Role.ADMIN), writer.register("other", Role.ADMIN)
    assert _said(guarded, one, other, writer.disable(other.stream_id)) == ["stored"] * 3
    assert _said(guarded, writer.demote(one.stream_id)) == ["last_admin"]


def test_two_admins_in_one_batch_do_not_both_go(guarded: Guarded, writer: Writer) -> None:
    one, other = writer.register("one", Role.ADMIN), writer.register("other", Role.ADMIN)
    batch = [one, other, writer.demote(one.stream_id), writer.disable(other.stream_id)]
    assert _said(guarded, *batch) == ["stored", "stored", "stored", "last_admin"]


def test_two_admins_who_demote_each_other_at_the_same_moment_do_not_both_succeed(
    guarded: Guarded, writer: Writer
) -> None:
    for _ in range(5):
        one, other = writer.register(f"{uuid4()}", Role.ADMIN), writer.register(f"{uuid4()}", Role.ADMIN)
        guarded.append([one, other])
        for _, user_id, _ in guarded.log():
            if user_id not in _ids(one, other) and _is_admin(guarded, user_id):
                guarded.append([writer.demote(user_id)])
        said: list[str] = []
        together = Barrier(2)

        def demote(change: Prepared, said: list[str] = said, together: Barrier = together) -> None:
            together.wait()
            said.extend(_said(guarded, change))

        def demotion(who: Prepared) -> Prepared:
            return writer.change(who.stream_id, events.RoleChanged(at=NOON, role=Role.USER), advance=False)

        racers = [Thread(target=demote, args=[demotion(who)]) for who in (one, other)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert sorted(said) == ["last_admin", "stored"]


def _is_admin(guarded: Guarded, user_id: UUID) -> bool:
    credential = guarded.credential(user_id)
    return credential is not None and (credential.role, credential.status) == ("admin", "enabled")


def test_there_is_a_first_admin_only_once(guarded: Guarded, writer: Writer) -> None:
    first = writer.register("root", Role.ADMIN, first_admin=True)
    second = writer.register("other", Role.ADMIN, first_admin=True)
    assert guarded.append([first, second]) == [Outcome("stored", None, 1), Outcome("taken", "first_admin")]
    assert _said(guarded, writer.register("another", Role.ADMIN)) == ["stored"]


def test_a_promotion_before_it_forbids_a_first_admin(guarded: Guarded, writer: Writer) -> None:
    ada = writer.register("ada")
    promoted = writer.change(ada.stream_id, events.RoleChanged(at=NOON, role=Role.ADMIN))
    late = writer.register("root", Role.ADMIN, first_admin=True)
    assert _said(guarded, ada, promoted, late) == ["stored", "stored", "taken"]


def test_credentials_follow_and_keep_the_hash_where_none_is_given(guarded: Guarded, writer: Writer) -> None:
    ada = writer.register("ada")
    guarded.append([ada, writer.disable(ada.stream_id)])
    assert guarded.credential(ada.stream_id) == CredentialRow(HASH, 2, "disabled", "user", False)
    changed = writer.change(ada.stream_id, events.Enabled(at=NOON), events.SecretChanged(at=NOON))
    assert changed.credentials is not None
    guarded.append([replace(changed, credentials=replace(changed.credentials, secret_hash="new"))])
    assert guarded.credential(ada.stream_id) == CredentialRow("new", 3, "enabled", "user", False)
