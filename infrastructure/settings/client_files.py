"""Whether files that are shown to another service, or vouch for it, can be used: told before anything starts.

The library that uses them says no more of a damaged one than that nobody answers.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from infrastructure.renewed import words_of


def unfit_authorities(file: Path) -> str | None:
    """What is wrong with the authorities (PEM) in a file; None where nothing is."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except OSError as error:
        return words_of(error)
    return None


def unfit_pair(certificate: Path, key: Path) -> str | None:
    """What is wrong with a certificate and its private key, both in PEM; None where nothing is."""
    try:
        # Asked for a passphrase, it would ask the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        return words_of(error)
    return None
