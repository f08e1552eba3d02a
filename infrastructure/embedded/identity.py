"""PostgreSQL refuses to run as root, so a service started by root hands its servers to a lesser user."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infrastructure.embedded.errors import EmbeddedError

_LESSER_USERS = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """The user that the servers run as; without numbers it is the user who started us."""

    name: str
    uid: int | None = None
    gid: int | None = None

    @property
    def extra_groups(self) -> list[int] | None:
        return None if self.uid is None else []

    def can_use(self, path: Path) -> bool:
        if self.uid is None:
            return os.access(path, os.R_OK | os.X_OK)
        return self._tests("-r", path) and self._tests("-x", path)

    def can_enter(self, path: Path) -> bool:
        return os.access(path, os.X_OK) if self.uid is None else self._tests("-x", path)

    def own(self, path: Path) -> None:
        """Make the folder if it is missing, this account's and nobody else's."""
        path.mkdir(mode=0o700, exist_ok=True)
        if self.uid is not None and self.gid is not None and path.stat().st_uid != self.uid:
            os.chown(path, self.uid, self.gid)
        path.chmod(0o700)
        if path.stat().st_mode & 0o077:
            raise EmbeddedError(
                f"The folder {path} stays open to other users.",
                meaning="Its file system does not keep permissions, and PostgreSQL needs a private folder.",
                remedy="Choose a data folder on a local disk.",
            )

    def _tests(self, flag: str, path: Path) -> bool:
        # Only the attempt itself knows about access lists, name spaces and read-only mounts.
        answer = subprocess.run(
            ["/bin/sh", "-c", f'test {flag} "$1"', "sh", str(path)],
            user=self.uid, group=self.gid, extra_groups=self.extra_groups, cwd="/",
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        return answer.returncode == 0


def choose(data_dir: Path) -> Account:
    """The user to run the servers as, able to reach the data folder."""
    if os.geteuid() != 0:
        return Account(_name(os.geteuid()))
    account = _earlier(data_dir) or _lesser()
    try:
        reachable = account.can_enter(data_dir)
    except PermissionError as error:
        raise EmbeddedError(
            f"The servers cannot be started as the user {account.name}: {error.strerror}.",
            meaning="This root may not change to another user, and PostgreSQL refuses to run as root.",
            remedy="Start usersd as a normal user, or set MG_USERS_DB_HOST and MG_USERS_ES_URL.",
        ) from error
    if not reachable:
        raise _unreachable(data_dir, account)
    return account


def _earlier(data_dir: Path) -> Account | None:
    for name in ("pg", "nats"):
        folder = data_dir / name
        if folder.is_dir() and folder.stat().st_uid != 0:
            owner = folder.stat()
            return Account(_name(owner.st_uid), owner.st_uid, owner.st_gid)
    return None


def _lesser() -> Account:
    for name in _LESSER_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "There is no user to run the servers as.",
        meaning="usersd runs as root, PostgreSQL refuses to, and neither 'postgres' nor 'nobody' exists.",
        remedy="Create the user 'postgres', or start usersd as a normal user.",
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _unreachable(data_dir: Path, account: Account) -> EmbeddedError:
    path = [*reversed(data_dir.parents), data_dir]
    closed = next((folder for folder in path if not account.can_enter(folder)), data_dir)
    return EmbeddedError(
        f"The data folder {data_dir} cannot be reached by the user {account.name}: {closed} is closed to it.",
        meaning=f"usersd runs as root, and its servers as {account.name}, because PostgreSQL refuses root.",
        remedy="Choose a data folder such as /var/lib/usersd, or start usersd as a normal user. "
        f"No folder's permissions were changed; 'chmod o+x {closed}' would open it for everybody.",
    )
