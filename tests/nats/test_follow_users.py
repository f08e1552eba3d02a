"""The example consumer prints what happened and goes on where it stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from tests.nats.service import Service

EXAMPLE = Path(__file__).parents[2] / "examples" / "follow_users.py"


async def follow(*options: str, **environment: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), "--until-caught-up", *options,
        stdout=asyncio.subprocess.PIPE, env=os.environ | environment,
    )  # fmt: skip
    printed, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    return printed.decode().splitlines()


async def test_it_prints_each_message_once_and_resumes_where_it_stopped(service: Service) -> None:
    async with service.relaying():
        (user,) = await service.register()
        await service.rename(user, 2)
        await service.relayed()
        assert await follow(NATS_URL=service.nats_url) == [
            f"1 registered {user}",
            f"2 profile_updated {user}",
            f"3 profile_updated {user}",
        ]
        await service.rename(user, 1)
        await service.relayed()
        assert await follow(NATS_URL=service.nats_url) == [f"4 profile_updated {user}"]
        assert len(await follow("--durable", "another", NATS_URL=service.nats_url)) == 4


async def test_it_finds_the_broker_in_the_data_folder(service: Service, tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text(json.dumps({"nats": service.nats_url, "http": None}))
    async with service.relaying():
        (user,) = await service.register()
        await service.relayed()
    printed = await follow(MG_USERS_DATA_DIR=str(tmp_path), NATS_URL="")
    assert printed == [f"1 registered {user}"]


async def test_ctrl_c_ends_it_cleanly(service: Service) -> None:
    async with service.relaying():
        await service.register()
        await service.relayed()
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"NATS_URL": service.nats_url},
    )  # fmt: skip
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.readline(), 20)
    process.send_signal(signal.SIGINT)
    _, errors = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0
    assert errors == b""
