"""When the certificates that this process shows run out, read from their files at a scrape."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509

from infrastructure.settings import Settings

log = logging.getLogger("usersd.telemetry")


class CertificateFiles:
    """The files by server (`http`, `grpc`). A file is parsed again only when it has changed."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files
        self._known: dict[str, tuple[tuple[int, int, int], float]] = {}

    @classmethod
    def of(cls, settings: Settings, *, answers: bool) -> CertificateFiles:
        """Those of the servers that a process has; only one that answers users serves gRPC."""
        files = {"http": settings.http_server_cert}
        if answers and settings.grpc_enabled:
            files["grpc"] = settings.grpc_server_cert
        return cls({server: file for server, file in files.items() if file})

    def expiry(self) -> dict[str, float]:
        """Seconds since the epoch at which the first of each chain runs out; none of what cannot be read."""
        return {server: at for server, file in self._files.items() if (at := self._of(server, file))}

    def _of(self, server: str, file: Path) -> float | None:
        try:
            found = file.stat()
            marks = (found.st_mtime_ns, found.st_size, found.st_ino)
            known = self._known.get(server)
            if known is None or known[0] != marks:
                chain = x509.load_pem_x509_certificates(file.read_bytes())
                known = marks, min(one.not_valid_after_utc.timestamp() for one in chain)
                self._known[server] = known
        except (OSError, ValueError) as error:
            log.debug("the certificate of %s cannot be read: %s", server, type(error).__name__)
            return None
        return known[1]
