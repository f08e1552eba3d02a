"""What the nanny and the supervisor need to know about a server, whichever it is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

# A clean environment keeps PGPORT, LD_LIBRARY_PATH and an uninstalled locale of the caller out.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True)
class Server:
    """One server: how to launch it, where it answers, how it stops."""

    name: str
    title: str
    argv: list[str]
    log: Path
    endpoint: str
    stop_signal: int
    ready: Callable[[], bool]
    stale: list[Path] = field(default_factory=list)
