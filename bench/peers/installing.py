"""Installs the peers at pinned versions into a cache of their own, away from the service's environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
LATEST = 300
"""Seconds after which an installation is given up."""


class Unavailable(Exception):
    """A peer cannot be had on this machine; the text says why."""


def fastapi_users() -> tuple[str, Path]:
    """Name with version, and the Python that has it. Raises Unavailable."""
    pins = HERE / "fastapi_users" / "requirements.txt"
    folder = _cache("fastapi-users", pins)
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        _run("FastAPI-Users", [sys.executable, "-m", "venv", "--clear", str(folder)], HERE)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run("FastAPI-Users", [*install, "--require-hashes", "-r", str(pins)], HERE)
        (folder / ".ready").touch()
    found = {name: _pinned(pins.read_text(), name) for name in ("fastapi-users", "uvicorn")}
    return f"FastAPI-Users {found['fastapi-users']} on uvicorn {found['uvicorn']}", python


def better_auth() -> tuple[str, Path]:
    """Name with version, and the server's file beside the packages it needs. Raises Unavailable."""
    pins = HERE / "better_auth" / "package.json"
    folder = _cache("better-auth", pins)
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Unavailable("better-auth needs node and npm, which are not on this machine")
    if not (folder / ".ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(pins, folder)
        options = ["--no-package-lock", "--no-audit", "--no-fund", "--omit=dev", "--ignore-scripts"]
        _run("better-auth", [npm, "install", *options], folder)
        (folder / ".ready").touch()
    # Node looks for packages beside the file that asks for them.
    server = Path(shutil.copy(HERE / "better_auth" / "server.mjs", folder))
    version = json.loads(pins.read_text())["dependencies"]["better-auth"]
    running = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return f"better-auth {version} on Node {running.removeprefix('v')}", server


def _cache(name: str, pins: Path) -> Path:
    """A folder for what exactly these pins install."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = sha256(pins.read_bytes()).hexdigest()[:12]
    return home / "usersd-bench" / f"{name}-{digest}"


def _pinned(pins: str, name: str) -> str:
    found = re.search(rf"^{re.escape(name)}(?:\[[^\]]*\])?==([^\s;\\]+)", pins, re.MULTILINE)
    assert found, f"{name} is not pinned"
    return found[1]


def _run(peer: str, command: list[str], folder: Path) -> None:
    # A peer must not find the service's own modules.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        subprocess.run(
            command, cwd=folder, env=environ, check=True, capture_output=True, text=True, timeout=LATEST
        )
    except (OSError, subprocess.SubprocessError) as error:
        told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        last = told[-1][:200] if told else type(error).__name__
        raise Unavailable(f"{peer} could not be installed: {last}") from error
