"""What the append remembers of commands with an idempotency key: one contract, every recorder."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread
from uuid import UUID, uuid4

from msgspec.structs import replace

from domain import events
from infrastructure.event_store.prepared import REMEMBERED_FOR, Outcome, Prepared, RepeatRow
from tests.event_store.recorders import Guarded
from tests.event_store.writing import Writer
from tests.support.memory import NOON, keyring


def keyed(
    prepared: Prepared, key: str, request: bytes = b"request", *, later: timedelta = timedelta()
) -> Prepared:
    """The command with a key, sent so much later than noon."""
    at = NOON + later
    row = RepeatRow(key.encode(), request, 200, at, at + REMEMBERED_FOR)
    return replace(prepared, repeat=row)


def _said(guarded: Guarded, *batch: Prepared) -> list[str]:
    return [outcome.outcome for outcome in guarded.append(batch)]


def test_what_is_stored_with_a_key_is_remembered_with_its_position_and_user(
    guarded: Guarded, writer: Writer
) -> None:
    ada = writer.register("ada", more=(events.TagsChanged(at=NOON, tags=["x"]),))
    assert _said(guarded, writer.register("bob"), keyed(ada, "k")) == ["stored", "stored"]
    assert guarded.repeats() == {b"k": (b"request", 200, ada.stream_id, 3, NOON + REMEMBERED_FOR)}


def test_what_comes_without_a_key_is_not_remembered(guarded: Guarded, writer: Writer) -> None:
    assert _said(guarded, writer.register("ada")) == ["stored"]
    assert guarded.repeats() == {}


def test_a_repeat_stores_nothing_and_changes_nothing_beside_the_log(guarded: Guarded, writer: Writer) -> None:
    ada, again = writer.register("ada"), writer.register("countess")
    assert _said(guarded, keyed(ada, "k")) == ["stored"]
    before = (guarded.names(), guarded.keys(), guarded.repeats())
    assert guarded.append([keyed(again, "k", b"other")]) == [Outcome("repeated")]
    assert (guarded.names(), guarded.keys(), guarded.repeats()) == before
    assert guarded.credential(again.stream_id) is None
    assert len(guarded.log()) == 1


def test_a_repeat_is_told_before_a_name_is_found_taken_or_a_version_gone(
    guarded: Guarded, writer: Writer
) -> None:
    ada = writer.register("ada")
    first, second = writer.tag(ada.stream_id, "a", advance=False), writer.tag(ada.stream_id, "b")
    assert _said(guarded, keyed(ada, "register"), keyed(first, "change")) == ["stored", "stored"]
    assert _said(guarded, keyed(writer.register("ada"), "register"), keyed(second, "change")) == [
        "repeated",
        "repeated",
    ]
    assert _said(guarded, keyed(writer.register("ada"), "other"), keyed(second, "another")) == [
        "taken",
        "conflict",
    ]


def test_of_two_repeats_in_one_batch_the_first_is_stored(guarded: Guarded, writer: Writer) -> None:
    first, second, bob = writer.register("ada"), writer.register("ada"), writer.register("bob")
    assert _said(guarded, keyed(first, "k"), keyed(second, "k"), bob) == ["stored", "repeated", "stored"]
    assert [stream for _, stream, _ in guarded.log()] == [first.stream_id, bob.stream_id]


def test_what_is_refused_is_not_remembered(guarded: Guarded, writer: Writer) -> None:
    ada, thief = writer.register("ada"), writer.register("ada")
    assert _said(guarded, ada, keyed(thief, "k")) == ["stored", "taken"]
    assert guarded.repeats() == {}
    assert _said(guarded, keyed(writer.register("bob"), "k")) == ["stored"]


def test_a_call_that_is_sent_again_is_known_and_not_a_repeat_of_itself(
    guarded: Guarded, writer: Writer
) -> None:
    ada = keyed(writer.register("ada"), "k")
    assert guarded.append([ada]) == [Outcome("stored", None, 1)]
    assert guarded.append([ada]) == [Outcome("known", None, 1)]


def test_a_neighbour_without_a_key_is_unhurt_and_each_key_belongs_to_its_command(
    guarded: Guarded, writer: Writer
) -> None:
    ada, bob, eve = writer.register("ada"), writer.register("bob"), writer.register("eve")
    thief = writer.register("bob")
    batch = [ada, keyed(bob, "b"), keyed(thief, "t"), writer.tag(ada.stream_id), keyed(eve, "e")]
    assert _said(guarded, *batch) == ["stored", "stored", "taken", "stored", "stored"]
    found = {key: (user, position) for key, (_, _, user, position, _) in guarded.repeats().items()}
    assert found == {b"b": (bob.stream_id, 2), b"e": (eve.stream_id, 4)}


def test_a_key_is_free_again_when_it_has_expired_and_not_a_moment_before(
    guarded: Guarded, writer: Writer
) -> None:
    ada = writer.register("ada")
    assert _said(guarded, keyed(ada, "k")) == ["stored"]
    early = keyed(writer.tag(ada.stream_id, advance=False), "k", later=REMEMBERED_FOR - timedelta(seconds=1))
    late = keyed(writer.tag(ada.stream_id), "k", b"another", later=REMEMBERED_FOR)
    assert _said(guarded, early, late) == ["repeated", "stored"]
    assert guarded.repeats() == {b"k": (b"another", 200, ada.stream_id, 2, NOON + 2 * REMEMBERED_FOR)}


def test_of_repeats_from_many_connections_at_once_one_is_stored(guarded: Guarded, writer: Writer) -> None:
    commands = [keyed(writer.register(f"ada{number}"), "k") for number in range(8)]
    together, said = Barrier(len(commands)), list[str]()

    def append(command: Prepared) -> None:
        together.wait()
        said.extend(_said(guarded, command))

    racers = [Thread(target=append, args=[command]) for command in commands]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert sorted(said) == ["repeated"] * 7 + ["stored"]
    assert len(guarded.log()) == 1


def test_keyed_hashes_differ_by_caller_key_and_every_part_of_the_request() -> None:
    keys, caller, request = keyring(), uuid4(), (b"POST", b"/users", b"{}")
    digest, hashed = keys.repeat_digests(caller, "k", request)
    assert keys.repeat_digests(caller, "k", list(request)) == (digest, hashed)

    def differ(caller: UUID | None, key: str, *request: bytes) -> tuple[bool, bool]:
        other = keys.repeat_digests(caller, key, request)
        return other[0] != digest, other[1] != hashed

    assert differ(uuid4(), "k", *request) == (True, True)
    assert differ(None, "k", *request) == (True, True)
    assert differ(caller, "K", *request) == (True, True)
    assert differ(caller, "k", b"PATCH", b"/users", b"{}") == (False, True)
    assert differ(caller, "k", b"POST", b"/users/", b"{}") == (False, True)
    assert differ(caller, "k", b"POST", b"/users{", b"}") == (False, True)
