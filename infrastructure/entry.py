"""Where the program begins: what runs every few seconds must not load what only a service needs."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """What the installed command `usersd` runs."""
    if sys.argv[1:2] == ["health"]:
        from infrastructure.server.asking import Asking
        from interfaces.cli.health import health

        health(sys.argv[2:], prog_name="usersd health", obj=Asking(os.environ))
    from infrastructure.commandline import main as run

    run()
