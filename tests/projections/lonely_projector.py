"""A program that projects `users` of the database that its argument names, until it is killed."""

from __future__ import annotations

import asyncio
import sys

from infrastructure.postgres.notifications import Signal
from infrastructure.standing import open_keys
from projections.projector import Projector
from projections.users.projector import Users
from tests.support.databases import standing


def main(conninfo: str) -> None:
    reader = open_keys(standing(conninfo)).reader
    asyncio.run(Projector(Users(), reader, conninfo, Signal()).run())


if __name__ == "__main__":
    main(sys.argv[1])
