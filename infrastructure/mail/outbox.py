"""Where mails go without a mail server: files in the data directory, and the console of a developer.

The files hold addresses and links that work: nobody but the service's own user can read them, and they go
after a week, or as soon as their user is erased.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec

from infrastructure.mail.composing import Composed
from infrastructure.mail.transport import Forgotten, NotNow

KEPT_FOR = timedelta(days=7)
ENDING = ".eml"


class Outbox:
    """Implements Transport: one file for each mail, named `<user id>.<mail id>.eml`.

    Each is told in a line of JSON. Only where `shows_all` does the line hold the address and the link.
    """

    def __init__(
        self,
        folder: Path,
        say: Callable[[str], object],
        *,
        shows_all: bool,
        marks: Mapping[str, str] | None = None,
    ) -> None:
        self._marks = marks or {}
        self._folder = folder
        self._say = say
        self._shows_all = shows_all

    async def deliver(self, composed: Composed) -> None:
        try:
            file = await asyncio.to_thread(self._write, composed)
        except OSError as error:
            raise NotNow(type(error).__name__) from None
        line = {
            "time": datetime.now(UTC),
            "level": "INFO",
            "msg": "a mail was written to a file, since MG_EMAIL_HOST is not set",
            "logger": "usersd.mail",
            **self._marks,
            "kind": composed.mail.kind,
            "file": str(file),
        }
        if self._shows_all:
            line |= {"to": composed.recipient, "subject": str(composed.message["Subject"])}
            line |= {"link": composed.link} if composed.link else {}
        self._say(msgspec.json.encode(line).decode() + "\n")

    async def tidy(self, now: datetime, forgotten: Forgotten) -> None:
        files = await asyncio.to_thread(lambda: list(self._files()))
        gone = await forgotten(sorted({user_id for user_id, _ in files})) if files else set()
        oldest = (now - KEPT_FOR).timestamp()
        await asyncio.to_thread(_remove, [(file, user_id in gone) for user_id, file in files], oldest)

    def _write(self, composed: Composed) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mail = composed.mail
        file = self._folder / f"{mail.user_id}.{mail.id}{ENDING}"
        unfinished = file.with_suffix(f".{os.getpid()}.part")
        unfinished.unlink(missing_ok=True)
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(composed.message.as_bytes())
        unfinished.replace(file)
        return file

    def _files(self) -> Iterator[tuple[UUID, Path]]:
        if not self._folder.is_dir():
            return
        for file in self._folder.iterdir():
            try:
                yield UUID(file.name.partition(".")[0]), file
            except ValueError:
                continue


def forget(folder: Path, user_id: UUID) -> int:
    """Remove every mail to a user that lies in a folder; how many there were."""
    files = list(folder.glob(f"{user_id}.*"))
    for file in files:
        file.unlink(missing_ok=True)
    return len(files)


def _remove(files: list[tuple[Path, bool]], oldest: float) -> None:
    for file, forgotten in files:
        try:
            if forgotten or file.stat().st_mtime < oldest:
                file.unlink()
        except FileNotFoundError:
            continue
