"""deploy/make-secrets: what it makes up, what it is given, and who may read it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.architecture.sources import ROOT

MAKE = ROOT / "deploy" / "make-secrets"
REAL = "nats://ours:$ecret@nats.platform.svc:4222"


def test_what_it_makes_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert _make(folder, "127.0.0.1").returncode == 0
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert (folder / "es_url").read_text().endswith("@127.0.0.1:4222\n")


def test_what_a_server_knows_already_is_taken_from_standard_input_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert _make("--set", "db_password", folder, given="the real one\n").returncode == 0
    assert _make("--set", "es_url", folder, given=REAL).returncode == 0
    assert _make(folder).returncode == 0
    assert (folder / "db_password").read_text() == "the real one\n"
    assert (folder / "es_url").read_text() == f"{REAL}\n"
    # Nothing is made up for a NATS that has users of its own.
    made = {path.name for path in folder.iterdir()}
    assert made == {"db_password", "es_url", "root_key", "admin_password", "grafana_password"}


def test_what_was_made_up_can_be_replaced_by_the_real_one(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert _make(folder).returncode == 0
    set_later = _make("--set", "db_password", folder, given="the real one\n")
    assert set_later.returncode == 0
    assert (folder / "db_password").read_text() == "the real one\n"
    assert "the real one" not in set_later.stderr


def test_a_root_key_is_never_replaced_and_nothing_is_never_taken(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert _make(folder).returncode == 0
    before = {path.name: path.read_text() for path in folder.iterdir()}
    assert _make("--set", "root_key", folder, given="another").returncode == 1
    assert _make("--set", "db_password", folder).returncode == 1
    assert _make("--set", "another", folder, given="x").returncode == 2
    assert _make("--help").returncode == 2
    assert {path.name: path.read_text() for path in folder.iterdir()} == before


def _make(*arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([MAKE, *arguments], check=False, capture_output=True, text=True, input=given)
