"""Whatever is done to the log behind its back is found, and told with the place."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infrastructure.integrity import verification
from infrastructure.integrity.checkpoint import following, signed
from infrastructure.tokens.signing import SigningKey
from tests.integrity.sealed import SealedLog
from tests.integrity.tampering import MANIPULATIONS, Tamperer

TRACKS = ("left", "hidden")


def cover(tamperer: Tamperer) -> None:
    """What somebody does who knows how the log is checked: no gap and no broken chain is left."""
    tamperer.renumber()
    tamperer.rechain()


def test_a_log_that_nobody_touched_is_whole(sealed: SealedLog) -> None:
    with sealed.tampered() as tamperer:
        found = sealed.verify(tamperer.connection)
    assert found.whole, found.findings
    assert (found.checkpoints, found.void, found.notes) == (3, 0, [])
    assert found.covered == found.events > 20


@pytest.mark.parametrize("tracks", TRACKS)
@pytest.mark.parametrize("what", MANIPULATIONS)
def test_a_manipulation_is_found(sealed: SealedLog, what: str, tracks: str) -> None:
    for seed in range(2):
        with sealed.tampered(seed) as tamperer:
            before = tamperer.rows()
            MANIPULATIONS[what](tamperer)
            if tracks == "hidden":
                cover(tamperer)
            found = sealed.verify(tamperer.connection)
            assert found.whole == (tamperer.rows() == before), (seed, found)


@given(
    seed=st.integers(0, 2**32),
    what=st.sampled_from(sorted(MANIPULATIONS)),
    tracks=st.sampled_from(TRACKS),
    checkpoints_go=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_no_random_manipulation_stays_hidden_from_the_checkpoints_outside(
    sealed: SealedLog, seed: int, what: str, tracks: str, checkpoints_go: bool
) -> None:
    with sealed.tampered(seed) as tamperer:
        before = tamperer.rows()
        MANIPULATIONS[what](tamperer)
        if tracks == "hidden":
            cover(tamperer)
        if checkpoints_go:
            tamperer.forget_checkpoints()
        found = sealed.verify(tamperer.connection)
        assert found.whole == (tamperer.rows() == before and not checkpoints_go), found


def test_a_finding_names_position_and_user(sealed: SealedLog) -> None:
    with sealed.tampered() as tamperer:
        position, user_id, version, *_ = tamperer.rows()[6]
        tamperer.connection.execute("UPDATE events SET state = '{}' WHERE position = 7")
        (finding,) = sealed.verify(tamperer.connection).findings
    assert (finding.kind, finding.position, finding.user_id) == ("event", position, user_id)
    assert finding.meaning == (
        f"version {version} is not what was hashed when it was written: it was changed"
    )


def test_what_checkpoints_cover_is_looked_at_interval_by_interval(sealed: SealedLog) -> None:
    with sealed.tampered() as tamperer:
        tamperer.connection.execute("UPDATE events SET state = '{}' WHERE position = 3")
        tamperer.rechain()
        kinds = [finding.kind for finding in sealed.verify(tamperer.connection).findings]
    # The two intervals that nobody touched are told apart from the one that somebody did.
    assert kinds == ["order"]


def test_removed_events_are_one_finding_and_the_end_that_is_gone_another(sealed: SealedLog) -> None:
    with sealed.tampered() as tamperer:
        head = tamperer.positions[-1]
        tamperer.connection.execute(
            "DELETE FROM events WHERE position BETWEEN 4 AND 6 OR position > %s", (head - 2,)
        )
        findings = sealed.verify(tamperer.connection).findings
    assert "positions 4 to 6 are missing" in next(f.meaning for f in findings if f.kind == "missing")
    end = next(finding for finding in findings if finding.kind == "end")
    assert end.position == head - 2
    assert f"was signed at {head}" in end.meaning


def test_without_a_file_the_end_can_go_together_with_its_checkpoints_and_a_note_says_so(
    sealed: SealedLog,
) -> None:
    with sealed.tampered() as tamperer:
        tamperer.connection.execute("DELETE FROM log_checkpoints WHERE number > 2")
        covered = sealed.verify(tamperer.connection, outside=False).covered
        tamperer.connection.execute("DELETE FROM events WHERE position > %s", (covered,))
        inside = sealed.verify(tamperer.connection, outside=False)
        outside = sealed.verify(tamperer.connection)
    assert inside.whole
    assert "No checkpoint from outside" in inside.notes[0]
    assert {finding.kind for finding in outside.findings} == {"end", "checkpoint"}


@pytest.mark.parametrize(
    ("statement", "meaning"),
    [
        ("DELETE FROM log_checkpoints WHERE number = 2", "stands in the file and not in the database"),
        ("UPDATE log_checkpoints SET checkpoint = 'x.y.z' WHERE number = 2", "is not the one that stands"),
        ("UPDATE log_checkpoints SET checkpoint = (SELECT checkpoint FROM log_checkpoints WHERE number = 1)"
         " WHERE number = 2", "is not the one that stands"),
    ],
    ids=["removed", "unreadable", "replaced"],
)  # fmt: skip
def test_a_checkpoint_of_the_database_that_is_not_the_files_is_told(
    sealed: SealedLog, statement: str, meaning: str
) -> None:
    with sealed.tampered() as tamperer:
        tamperer.connection.execute(statement.encode())
        (finding,) = sealed.verify(tamperer.connection).findings
        inside = sealed.verify(tamperer.connection, outside=False)
    assert finding.kind == "checkpoint"
    assert meaning in finding.meaning
    assert not inside.whole


def test_a_checkpoint_of_anybody_elses_key_is_not_believed(sealed: SealedLog) -> None:
    last = next(sealed.file.newest_first())
    forged = signed(following(last, last.checkpoint.rolled, last.checkpoint.at), SigningKey.make("EdDSA"))
    with sealed.tampered() as tamperer:
        tamperer.connection.execute(
            "INSERT INTO log_checkpoints VALUES (%s, %s)", (forged.checkpoint.number, forged.text)
        )
        (finding,) = sealed.verify(tamperer.connection).findings
    assert "signed by a key that is not this service's" in finding.meaning


def test_pages_and_their_edges_are_no_finding(sealed: SealedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    size = random.Random(7).randint(1, 9)
    monkeypatch.setattr(verification, "PAGE", size)
    with sealed.tampered() as tamperer:
        assert sealed.verify(tamperer.connection).whole
        tamperer.connection.execute("DELETE FROM events WHERE position BETWEEN %s AND %s", (size, 2 * size))
        assert not sealed.verify(tamperer.connection).whole


def test_more_findings_than_anybody_reads_are_counted(
    sealed: SealedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "LISTED", 5)
    with sealed.tampered() as tamperer:
        tamperer.connection.execute("UPDATE events SET state = '{}'")
        found = sealed.verify(tamperer.connection)
    assert (len(found.findings), found.more) == (5, found.events - 5)
