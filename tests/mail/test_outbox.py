"""Without a mail server: files that nobody else can read, and the console of a developer."""

from __future__ import annotations

import email
import email.policy
import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from infrastructure.mail.mailer import prefixes
from infrastructure.mail.outbox import KEPT_FOR, Outbox, forget
from infrastructure.settings import load
from tests.mail.asking import request_reset, until
from tests.support.mail_server import link_in, token_in
from tests.support.service import SECRET, running_service

LOOPBACK: dict[str, Any] = {"MG_USERS_HTTP_HOST": "127.0.0.1", "MG_USERS_HTTP_PORT": "9002"}
BEYOND: dict[str, Any] = {
    "MG_USERS_HTTP_HOST": "0.0.0.0",
    "MG_USERS_EMBEDDED": "true",
    "MG_USERS_ADMIN_PASSWORD": "a password of my own",
}


def lines(told: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, told.splitlines()) if line["logger"] == "usersd.mail"]


async def test_mails_lie_in_the_data_directory_and_are_told_on_the_console(
    database: str, rows: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_service(
        database, mail=True, MG_USERS_DATA_DIR=str(tmp_path / "data"), **LOOPBACK
    ) as client:
        user = await client.register()
        await request_reset(client, user["email"])
        await until(rows, "state = 'sent'")
        (file,) = (tmp_path / "data" / "mail").iterdir()
        assert file.name.startswith(f"{user['id']}.")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        link = link_in(mail)
        assert link.startswith("http://localhost:9002/password/reset?token=")
        (line,) = [line for line in lines(capsys.readouterr().out) if "file" in line]
        assert (line["to"], line["link"], line["file"]) == (user["email"], link, str(file))
        assert line["subject"] == mail["Subject"] == "Password Reset Request"
        # A developer reads the file with their own eyes.
        assert link.encode() in file.read_bytes()
        body = {"token": token_in(mail), "password": f"{SECRET}4", "confirm_password": f"{SECRET}4"}
        assert (await client.http.put("/password/reset", json=body)).status_code == 201


async def test_beyond_this_machine_the_console_holds_no_address_and_no_link(
    database: str, rows: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_service(database, mail=True, MG_USERS_DATA_DIR=str(tmp_path), **BEYOND) as client:
        user = await client.register(email="canary@example.com")
        await request_reset(client, user["email"])
        await until(rows, "state = 'sent'")
        (file,) = (tmp_path / "mail").iterdir()
        told = capsys.readouterr().out
        (line,) = [line for line in lines(told) if "file" in line]
        assert line["file"] == str(file)
        assert "canary" not in told
        assert "token=" not in told


async def test_a_folder_that_cannot_be_written_loses_no_mail(
    database: str, rows: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "mail").write_text("in the way")
    async with running_service(database, mail=True, MG_USERS_DATA_DIR=str(tmp_path), **LOOPBACK) as client:
        user = await client.register()
        await request_reset(client, user["email"])
        await until(rows, "state = 'due' AND last_error = 'FileExistsError'")
        (tmp_path / "mail").unlink()
        await rows("UPDATE mails SET due_at = '-infinity'")
        await until(rows, "state = 'sent'")
        assert len(list((tmp_path / "mail").iterdir())) == 1


async def test_files_go_when_they_are_old_or_their_user_is_erased(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ada, bob = UUID(int=1), UUID(int=2)
    asked: list[Any] = []

    async def forgotten(users: Any) -> set[UUID]:
        asked.append(users)
        return {ada}

    outbox = Outbox(tmp_path / "mail", print, shows_all=False)
    await outbox.tidy(now, forgotten)
    (tmp_path / "mail").mkdir()
    for name in (f"{ada}.x.eml", f"{bob}.old.eml", f"{bob}.new.eml", "a note of the operator"):
        (tmp_path / "mail" / name).write_text("x")
    old = (now - KEPT_FOR - timedelta(minutes=1)).timestamp()
    os.utime(tmp_path / "mail" / f"{bob}.old.eml", (old, old))
    await outbox.tidy(now, forgotten)
    assert asked == [[ada, bob]]
    left = {file.name for file in (tmp_path / "mail").iterdir()}
    assert left == {f"{bob}.new.eml", "a note of the operator"}
    assert forget(tmp_path / "mail", bob) == 1
    assert forget(tmp_path / "nowhere", bob) == 0


@pytest.mark.parametrize(
    ("environ", "reset", "verification"),
    [
        (LOOPBACK, "http://localhost:9002/password/reset", "http://localhost:9002/verify-email"),
        (
            {"MG_USERS_PUBLIC_URL": "https://id.example/base/"},
            "https://id.example/base/password/reset",
            "https://id.example/base/verify-email",
        ),
        (
            {"MG_PASSWORD_RESET_URL_PREFIX": "https://ui.example/reset", "MG_USERS_PUBLIC_URL": "http://i.e"},
            "https://ui.example/reset",
            "http://i.e/verify-email",
        ),
        (
            {"MF_TOKEN_RESET_ENDPOINT": "/reset-request", "MG_USERS_PUBLIC_URL": "http://i.e"},
            "http://i.e/reset-request",
            "http://i.e/verify-email",
        ),
    ],
)
def test_links_begin_as_configured_else_with_our_own_address(
    environ: dict[str, str], reset: str, verification: str
) -> None:
    found = prefixes(load(environ).settings, 9002)
    assert found == {"password_reset": reset, "verification": verification}
