"""The database's files are made on first use, whole or not at all."""

import os
import shutil
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path

from infrastructure.embedded.errors import EmbeddedError
from infrastructure.embedded.folder import Folder
from infrastructure.embedded.identity import Account
from infrastructure.embedded.server import ENVIRONMENT

VERSION = "18"

# Written into postgresql.conf, where an operator may change them.
_DEFAULTS = {
    "max_connections": "100",
    "wal_compression": "on",
    # Fewer checkpoints while much is written: each one makes whole pages be logged anew.
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The detail of a refused row quotes the row, and rows here are about people.
    "log_error_verbosity": "terse",
}

_MEBIBYTE = 2**20
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")

# The usual name first; macOS and slim images know others.
_CTYPES = ("C.UTF-8", "UTF-8", "en_US.UTF-8", "C")

_FIRST_STATEMENTS = b"CREATE ROLE usersd LOGIN CREATEDB;\nCREATE DATABASE users OWNER usersd;\n"


def ensure(folder: Folder, programs: Path, account: Account, *, durable: bool) -> Path:
    """The cluster's folder, after making the cluster if there is none."""
    cluster = folder.path / "pg"
    # What a run left behind that was killed while it made its cluster.
    for leftover in folder.path.glob("pg.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    if not _is_cluster(cluster):
        # Made beside its place and renamed, so that a cluster that is there is a whole one. The mark in its
        # path and the lock it inherits let the next start end it, should this one be killed.
        fresh = cluster.with_name(f"pg.new-{folder.mark}")
        _fill(fresh, programs, account, folder.descriptor, durable=durable)
        os.rename(fresh, cluster)
        _flush_folder(cluster.parent)
    return cluster


def shared_buffers() -> int:
    """An eighth of the memory there is, from 128 to 1,024 MiB: with a million users the indexes fit."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        memory = min(memory, int(_CGROUP_LIMIT.read_text("ascii")))
    return min(max(memory // 8 // _MEBIBYTE, 128), 1024)


def _fill(fresh: Path, programs: Path, account: Account, lock: int, *, durable: bool) -> None:
    run = partial(_run, account=account, lock=lock)
    initdb = [str(programs / "initdb"), "-D", str(fresh), "-U", "postgres", "-E", "UTF8"]
    initdb += ["--auth-local=trust", "--auth-host=reject"]
    # The builtin provider sorts alike on every system and needs no installed locale.
    initdb += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--lc-collate=C"]
    defaults = _DEFAULTS | {"shared_buffers": f"{shared_buffers()}MB" if durable else "128MB"}
    initdb += [part for name, value in defaults.items() for part in ("-c", f"{name}={value}")]
    if not durable:
        initdb.append("--no-sync")
    for ctype in _CTYPES:
        shutil.rmtree(fresh, ignore_errors=True)
        account.own(fresh)
        made = run([*initdb, f"--lc-ctype={ctype}"])
        if b"invalid locale name" not in made.stderr:
            break
    if made.returncode == 0:
        alone = [str(programs / "postgres"), "--single", "-D", str(fresh), "-c", "exit_on_error=on"]
        made = run([*alone, "template1"], given=_FIRST_STATEMENTS)
    if made.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise EmbeddedError(
            "The database could not be created.",
            meaning=f"PostgreSQL said: {made.stderr.decode(errors='replace').strip()[-2000:]}",
            remedy=f"Check that {fresh.parent} has room and that the user {account.name} exists.",
        )


def _run(
    command: list[str], *, account: Account, lock: int, given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command, input=given, capture_output=True, check=False, cwd="/", env=ENVIRONMENT, pass_fds=[lock],
        user=account.uid, group=account.gid, extra_groups=account.extra_groups, umask=0o077,
    )  # fmt: skip


def _is_cluster(cluster: Path) -> bool:
    """Whether there is a cluster; refuses what is neither nothing nor a cluster of this version."""
    if not cluster.is_dir() or not any(cluster.iterdir()):
        return False
    try:
        version = (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError as error:
        raise EmbeddedError(
            f"The folder {cluster} is not empty and holds no PostgreSQL database.",
            meaning="Something else put files there, and they are left alone.",
            remedy="Move it away, or choose another data folder.",
        ) from error
    if version != VERSION:
        raise EmbeddedError(
            f"The database in {cluster} was made by PostgreSQL {version}; this is PostgreSQL {VERSION}.",
            meaning="One major version cannot read another's files.",
            remedy=f"Dump it with PostgreSQL {version}, move the folder away, start, and load the dump.",
        )
    return True


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
