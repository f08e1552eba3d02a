"""Imports point inwards; the contracts in pyproject.toml say what that means."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.architecture.sources import ROOT


def test_every_import_contract_holds(tmp_path: Path) -> None:
    checked = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--cache-dir", str(tmp_path), "--no-logo"],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
