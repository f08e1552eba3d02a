"""Folders that the servers' own user can reach, and stand-ins that never outlive their test."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infrastructure.embedded import start
from tests.embedded.running_app import App

Launcher = Callable[..., App]


def _open_folder(parent: Path | None) -> Path:
    """An empty folder that every user can pass; pytest's own are closed to other users under root."""
    folder = Path(tempfile.mkdtemp(prefix="usersd-test-", dir=parent)).resolve()
    folder.chmod(0o711)
    return folder


def _fast() -> Path | None:
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30
    return memory if roomy else None


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder to put data folders in."""
    folder = _open_folder(_fast())
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder to put programs in: memory may be mounted so that nothing there can be run."""
    folder = _open_folder(None)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def made_once() -> Iterator[Path]:
    """A data folder after its first start, to copy from."""
    folder = _open_folder(_fast())
    with start(folder / "data", durable=False):
        pass
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def data_dir(home: Path, made_once: Path) -> Path:
    """A data folder that has been used before."""
    subprocess.run(["cp", "-a", str(made_once), str(home / "data")], check=True)
    return home / "data"


@pytest.fixture
def launch(home: Path) -> Iterator[Launcher]:
    """Start a stand-in usersd that is gone, with its servers, when the test is over."""
    apps: list[App] = []

    def launch_one(folder: Path, *arguments: Any, **options: Any) -> App:
        apps.append(App(folder, *arguments, **options))
        return apps[-1]

    yield launch_one
    for app in apps:
        app.kill()
        for pipe in (app.process.stdin, app.process.stdout, app.process.stderr):
            assert pipe is not None
            pipe.close()
    for folder in {app.data_dir for app in apps if app.data_dir.is_dir()}:
        # Owning the folder means that whatever ran in it has gone.
        if os.access(folder, os.W_OK):
            start(folder, postgres=False, nats=False).close()
