"""What is made of certificate files towards other services: made anew once they have changed."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")

Stamp = tuple[tuple[int, ...] | None, ...]
"""What tells one state of files from another."""

log = logging.getLogger("usersd.certificates")


class UnfitFiles(Exception):
    """Nothing can be made of the files; the text names what is wrong and no content."""


def stamp_of(files: Iterable[Path]) -> Stamp:
    """Changes whenever one of the files does; a file that is gone has one of its own."""
    return tuple(_stamp(file) for file in files)


def _stamp(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    # The last change of the entry tells of rights too, and the number of a file put in the place of another.
    return status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size


class Renewed(Generic[T]):
    """Holds what `make` has made of files. What is unfit changes nothing, and is looked at again.

    `whose` is what log lines call the other service. `make` raises UnfitFiles, at the start for the caller.
    """

    def __init__(self, whose: str, files: Iterable[Path | None], make: Callable[[], T]) -> None:
        self._whose = whose
        self._files = [file for file in files if file is not None]
        self._make = make
        self._told = ""
        # Before they are read: what changes meanwhile is read again.
        self._stamp = stamp_of(self._files)
        self._made = make()

    def latest(self) -> T:
        """To be asked for by each new connection."""
        stamp = stamp_of(self._files)
        if stamp == self._stamp:
            return self._made
        try:
            made = self._make()
        except UnfitFiles as error:
            # Key and certificate are seldom written at the same moment.
            if str(error) != self._told:
                log.error("the certificates for %s stay as they were: %s", self._whose, error)
                self._told = str(error)
            return self._made
        self._made, self._stamp, self._told = made, stamp, ""
        log.info("the certificates for %s have changed; new connections use them", self._whose)
        return made


def trusting(authorities: Path | None) -> ssl.SSLContext:
    """What checks a server by these authorities, else by the system's. Raises UnfitFiles."""
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:
        raise UnfitFiles(words_of(error)) from None


def system_authorities() -> Path | None:
    """The file of the authorities that this system believes, where they are in one."""
    found = ssl.get_default_verify_paths().cafile
    return Path(found) if found else None


def words_of(error: OSError | ValueError) -> str:
    """What is wrong with a file of keys or certificates, as OpenSSL or the system calls it."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM").lower().replace("_", " ")
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
