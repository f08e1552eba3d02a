"""A log with checkpoints, written once for a file of tests: each tampers in a transaction of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from infrastructure.integrity.checkpoint import key_of
from infrastructure.integrity.file import CheckpointFile
from tests.integrity.sealed import SealedLog, checkpointer
from tests.support.databases import Databases
from tests.support.writer import Writer


@pytest.fixture(scope="module")
def sealed(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SealedLog]:
    """Some fifty events under three checkpoints, the last of them at the log's end."""
    path = tmp_path_factory.mktemp("outside") / "checkpoints.jws"

    async def write(conninfo: str) -> str:
        async with Writer(conninfo) as writer:
            takes = checkpointer(writer, path)
            for seed in range(3):
                await writer.random_history(seed, users=4, events_each=4)
                assert await takes.step(now=True)
            return key_of(writer.keys.keyring).kid

    with databases.fresh() as conninfo:
        kid = asyncio.run(write(conninfo))
        yield SealedLog(conninfo, CheckpointFile(path), kid)
