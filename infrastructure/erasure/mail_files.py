"""The mails that were written to files: where no mail server is set, they lie in the data directory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

from infrastructure.mail.outbox import forget


class MailFiles:
    """Implements Files over the folder of mails. Other replicas tidy up theirs by themselves."""

    name = "mail files"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def remove(self, user_id: UUID) -> int:
        return await asyncio.to_thread(forget, self._folder, user_id)
