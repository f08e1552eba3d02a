"""An image built as a folder, and the servers that its programs are started against."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from infrastructure import embedded
from tests.architecture.sources import ROOT, repository_files
from tests.deployment.dockerfile import Builder, context, parse
from tests.deployment.door import port_to
from tests.support.databases import ROOT_KEY
from tests.support.servers import throw_away_folder


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the service's own user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="usersd-image-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def builder(place: Path) -> Builder:
    """A builder that runs every step."""
    return Builder(place, ROOT, sent())


@pytest.fixture
def quick_builder(place: Path) -> Builder:
    """A builder whose environments borrow the dependencies of this one instead of installing them."""
    lent = place / "lent"
    lent.mkdir()
    for path in Path(sys.prefix).glob("lib/python*/site-packages/*"):
        if "usersd" not in path.name:
            (lent / path.name).symlink_to(path)

    def borrow(command: str, root: Path) -> bool:
        if "--require-hashes" not in command:
            return False
        target = root / "opt" / ("usersd" if "--without-pip" in command else "build")
        site = target / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        site.mkdir(parents=True)
        (target / "bin").mkdir()
        (target / "bin" / "python").symlink_to(Path(sys.executable).resolve())
        (target / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
        (site / "lent.pth").write_text(f"{lent}\n")
        return True

    return Builder(place, ROOT, sent(), borrow)


@pytest.fixture
def outside(database: str) -> Iterator[dict[str, str]]:
    """The settings that name a PostgreSQL and a NATS, and what a deployment gives as secrets."""
    parts = conninfo_to_dict(database)
    with (
        port_to(f"{parts['host']}/.s.PGSQL.{parts['port']}") as port,
        # A stream that tells of another log would keep the service from starting.
        throw_away_folder() as folder,
        embedded.start(folder / "data", postgres=False, durable=False) as own,
    ):
        yield {
            "MG_USERS_DB_HOST": "127.0.0.1",
            "MG_USERS_DB_PORT": str(port),
            "MG_USERS_DB_USER": str(parts["user"]),
            "MG_USERS_DB_NAME": str(parts["dbname"]),
            "MG_USERS_ES_URL": str(own.nats),
            "MG_USERS_ROOT_KEY": ROOT_KEY.hex(),
            "MG_USERS_ADMIN_PASSWORD": "not the documented one",
            "MG_USERS_GRPC_ENABLED": "false",
        }


def sent() -> list[Path]:
    assert parse((ROOT / "Dockerfile").read_text())
    return context(repository_files(), ROOT, (ROOT / ".dockerignore").read_text())
