"""A stand-in for usersd that owns a data folder until its input closes, so that tests can kill it."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from infrastructure.embedded import EmbeddedError, start


def main() -> int:
    options: dict[str, Any] = json.loads(sys.argv[1])
    forks = options.pop("forks", False)
    for name in ("data_dir", "postgres_programs", "nats_program"):
        if name in options:
            options[name] = Path(options[name])
    try:
        servers = start(**options)
    except EmbeddedError as error:
        _say({"refused": type(error).__name__, "message": str(error)})
        return 1
    child = os.fork() if forks else None
    if child == 0:
        signal.pause()
    with servers:
        _say({"postgres": servers.postgres, "nats": servers.nats, "child": child})
        sys.stdin.read()
    return 0


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    sys.exit(main())
