"""A data folder that nobody can write to, or that has no room left: told plainly, and whole again afterwards.

File systems are mounted for it, which takes root.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.load import SECRET
from tests.support.program import Ended, Program, program
from tests.support.waiting import at_last

pytestmark = pytest.mark.system

ROOMY, NARROW = "300m", "8m"
PATIENCE = 90.0


class Disk:
    """A file system of its own that holds the data folder of a program."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._ballast = place / "ballast"

    def mount(self, size: str) -> None:
        self._place.mkdir(mode=0o711)
        _do("mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "tmpfs", str(self._place))

    def unmount(self) -> None:
        _do("umount", "--lazy", str(self._place))

    def again(self, options: str) -> None:
        """Mount it anew where it is: `size=300m`, `ro`, `rw`."""
        _do("mount", "-o", f"remount,{options}", str(self._place))

    def fill(self) -> None:
        """Take all the room there is."""
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={self._ballast}", "bs=64k"], check=False, stderr=subprocess.DEVNULL
        )

    def free(self) -> None:
        self._ballast.unlink()


@contextmanager
def on_a_disk_of(size: str) -> Iterator[tuple[Program, Disk]]:
    with program() as usersd:
        disk = Disk(usersd.data)
        disk.mount(size)
        try:
            yield usersd, disk
        finally:
            try:
                usersd.close()
            finally:
                disk.unmount()


def _do(*command: str) -> None:
    subprocess.run(command, check=True)


def refused(ended: Ended, *words: str) -> None:
    assert ended.code == 1, ended
    assert "Traceback" not in ended.err, ended
    assert all(word in ended.err for word in words), ended


def test_a_data_folder_that_is_read_only_is_refused_and_left_as_it_is() -> None:
    with on_a_disk_of(ROOMY) as (usersd, disk):
        disk.again("ro")
        refused(usersd.cli("run"), str(usersd.data), "Read-only file system")
        disk.again("rw")
        assert not any(usersd.data.iterdir())
        assert usersd.cli("migrate").code == 0
        disk.again("ro")
        refused(usersd.cli("run"), str(usersd.data), "Read-only file system")
        disk.again("rw")
        assert usersd.cli("projections", "status").code == 0


def test_a_first_start_without_room_leaves_nothing_half_made() -> None:
    with on_a_disk_of(NARROW) as (usersd, disk):
        refused(usersd.cli("run"), "The database could not be created", "No space left on device")
        disk.again(f"size={ROOMY}")
        assert not (usersd.data / "pg").exists()
        assert usersd.cli("migrate").code == 0


def test_a_later_start_without_room_is_refused_and_the_data_are_whole_afterwards() -> None:
    with on_a_disk_of(ROOMY) as (usersd, disk):
        assert usersd.cli("migrate").code == 0
        disk.fill()
        refused(usersd.cli("run"), "No space left on device")
        disk.free()
        assert usersd.cli("projections", "status").code == 0


def test_a_disk_that_fills_up_under_load_costs_writes_and_no_data() -> None:
    with on_a_disk_of(ROOMY) as (usersd, disk):
        usersd.start()
        acknowledged = [name for name in ("a", "b", "c") if _registered(usersd, name)]
        assert acknowledged == ["a", "b", "c"]
        disk.fill()
        for number in range(400):
            if not _registered(usersd, f"full{number}"):
                break
            acknowledged.append(f"full{number}")
        else:
            pytest.fail("the disk was full, and every write was taken")
        assert usersd.process is not None
        assert usersd.process.poll() is None
        disk.free()
        at_last(lambda: _registered(usersd, "after"), PATIENCE)
        usersd.wait_until_ready(PATIENCE)
        verified = usersd.cli("events", "verify")
        assert verified.code == 0, verified
        for name in [*acknowledged, "after"]:
            assert _login(usersd, name).status_code == 201
        usersd.terminate()
        assert usersd.wait() == 0, usersd.output()


def _registered(usersd: Program, name: str) -> bool:
    """Whether it was taken; whoever is refused is told to come again."""
    body = {
        "first_name": "Ada", "last_name": "Lovelace", "email": f"{name}@example.com",
        "metadata": {"a": "x" * 9000}, "credentials": {"username": name, "secret": SECRET},
    }  # fmt: skip
    try:
        answer = httpx.post(f"{usersd.url}/users", json=body, timeout=30, trust_env=False)
    except httpx.TransportError:
        return False
    assert answer.status_code in (201, 409, 503), answer.text
    # Whether it was stored is not known to whoever was told 503: it may have been.
    return answer.status_code in (201, 409)


def _login(usersd: Program, name: str) -> httpx.Response:
    body = {"identity": f"{name}@example.com", "secret": SECRET}
    return httpx.post(f"{usersd.url}/users/tokens/issue", json=body, timeout=30, trust_env=False)
