"""PostgreSQL and NATS inside the data folder, so that one command runs the whole service."""

import sys

from infrastructure.embedded.errors import EmbeddedError, FolderInUse

if sys.platform == "win32":
    raise EmbeddedError(
        "The embedded servers do not run on Windows.",
        meaning="They need file locks and unix sockets that Windows lacks.",
        remedy="Run usersd inside WSL or a container.",
    )

from infrastructure.embedded.folder import Endpoints, running
from infrastructure.embedded.supervisor import EmbeddedServers, start

__all__ = ["EmbeddedError", "EmbeddedServers", "Endpoints", "FolderInUse", "running", "start"]
