"""What is made of certificate files is made anew when they change, and stays while they are unfit."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from infrastructure.renewed import Renewed, UnfitFiles, trusting
from tests.support.certificates import self_signed


def test_nothing_is_read_again_while_nothing_has_changed(tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path)
    renewed = Renewed("the neighbour", [certificate, None], lambda: trusting(certificate))
    first = renewed.latest()
    assert renewed.latest() is first
    self_signed(tmp_path)
    second = renewed.latest()
    assert second is not first
    assert renewed.latest() is second


def test_what_is_unfit_changes_nothing_is_told_once_and_looked_at_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, _ = self_signed(tmp_path)
    renewed = Renewed("the neighbour", [certificate], lambda: trusting(certificate))
    first = renewed.latest()
    with caplog.at_level(logging.INFO, "usersd.certificates"):
        certificate.write_text("half of it")
        assert [renewed.latest() for _ in range(3)] == [first] * 3
        certificate.unlink()
        assert renewed.latest() is first
        self_signed(tmp_path)
        assert renewed.latest() is not first
    told = [record.getMessage() for record in caplog.records]
    assert [line.partition(": ")[0] for line in told] == [
        "the certificates for the neighbour stay as they were",
        "the certificates for the neighbour stay as they were",
        "the certificates for the neighbour have changed; new connections use them",
    ]
    assert "half of it" not in caplog.text


def test_files_that_are_unfit_at_the_start_are_for_the_caller_to_tell(tmp_path: Path) -> None:
    with pytest.raises(UnfitFiles, match="No such file"):
        Renewed("the neighbour", [tmp_path / "none"], lambda: trusting(tmp_path / "none"))
