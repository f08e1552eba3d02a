"""What an operator has at hand to take a log out of a test's database, or to bring one in."""

from __future__ import annotations

from pathlib import Path

import msgspec

from application.operations import Progress
from infrastructure.operations.exporting import PostgresExports
from infrastructure.settings import load
from tests.support.databases import standing


def exports(conninfo: str, home: Path, root_key: bytes | None = None) -> PostgresExports:
    """What an operator has at hand on a machine whose data directory is `home`."""
    ground = standing(conninfo)
    if root_key:
        ground = msgspec.structs.replace(ground, root_key=root_key)
    return PostgresExports(ground, load({"MG_USERS_DATA_DIR": str(home)}).settings)


def quietly(step: Progress) -> None:
    """Nobody looks."""
