"""Keys and certificates of our servers: read and checked as a whole before anything is served with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from infrastructure.renewed import Stamp, stamp_of
from infrastructure.settings import Settings
from infrastructure.settings.table import BY_FIELD

SMALLEST_RSA = 2048
"""Bits."""

_LARGEST = 1 << 20
_CURVES = (ec.SECP256R1, ec.SECP384R1)


class UnfitCertificate(Exception):
    """A file that cannot be served with; `field` is the setting that names it, `words` say what is wrong."""

    def __init__(self, field: str, file: Path, words: str) -> None:
        self.field, self.file, self.words = field, file, words
        super().__init__(self.line({}))

    def line(self, sources: Mapping[str, str]) -> str:
        """One line for an operator; `sources` tells which variable each setting came from."""
        return f"{variable_of(self.field, sources)}={self.file}: {self.words}"


class Named(NamedTuple):
    """A file, and the setting that names it."""

    field: str
    file: Path

    def unfit(self, expected: str, reason: str) -> UnfitCertificate:
        return UnfitCertificate(self.field, self.file, f"should be {expected} ({reason})")


class Material(NamedTuple):
    """What a server shows and whom it believes, in PEM; checked to belong together."""

    certificate: bytes
    key: bytes
    authorities: bytes | None
    valid_from: datetime
    expires_at: datetime

    def trouble(self, now: datetime) -> str | None:
        """Why clients refuse the certificate at this time; None where they do not."""
        if now >= self.expires_at:
            return f"it expired at {_shown(self.expires_at)}"
        return f"it is not valid before {_shown(self.valid_from)}" if now < self.valid_from else None


class TlsFiles(NamedTuple):
    """The files of one server, `http` or `grpc`, as the settings name them."""

    server: str
    certificate: Path
    key: Path
    authorities: Path | None

    @classmethod
    def of(cls, settings: Settings, server: str) -> TlsFiles | None:
        """None where that server has no TLS."""
        certificate, key, authorities = (
            (settings.http_server_cert, settings.http_server_key, settings.http_client_ca_certs)
            if server == "http"
            else (settings.grpc_server_cert, settings.grpc_server_key, settings.grpc_client_ca_certs)
        )
        if certificate is None or key is None:
            return None
        return cls(server, certificate, key, authorities)

    @property
    def certificate_field(self) -> str:
        return f"{self.server}_server_cert"

    @property
    def key_field(self) -> str:
        return f"{self.server}_server_key"

    def stamp(self) -> Stamp:
        """Changes whenever one of the files does; a file that is gone has one of its own."""
        files = (self.certificate, self.key, self.authorities)
        return stamp_of(file for file in files if file is not None)

    def read(self) -> Material:
        """Raises UnfitCertificate; one that has expired is not unfit: `Material.trouble` tells."""
        shown = Named(self.certificate_field, self.certificate)
        certificate, key, first = read_pair(
            shown, Named(self.key_field, self.key), served=self.server == "http"
        )
        authorities = None
        if self.authorities is not None:
            authorities = read_authorities(Named(f"{self.server}_client_ca_certs", self.authorities))
        return Material(certificate, key, authorities, first.not_valid_before_utc, first.not_valid_after_utc)

    def refuse_unless_valid(self, material: Material, now: datetime) -> None:
        """Raises UnfitCertificate for what clients would refuse now."""
        if trouble := material.trouble(now):
            raise Named(self.certificate_field, self.certificate).unfit("valid now", trouble)


def read_pair(shown: Named, secret: Named, *, served: bool) -> tuple[bytes, bytes, x509.Certificate]:
    """A chain and the key of its first certificate, as they lie in the files, and that certificate.

    With `served` the key has to be of a kind that the HTTP server takes. Raises UnfitCertificate.
    """
    certificate, key = _bytes(shown), _bytes(secret)
    first = _certificates(shown, certificate)[0]
    private = _private_key(secret, key)
    try:
        public = first.public_key()
    except (ValueError, UnsupportedAlgorithm):
        public = None
    if private.public_key() != public:
        reason = f"it belongs to another certificate than the first in {shown.file}"
        raise secret.unfit(f"the key of {variable_of(shown.field, {})}", reason)
    if served and not _can_be_served(private):
        good = f"RSA from {SMALLEST_RSA} bits, ECDSA on P-256 or P-384, or Ed25519"
        raise secret.unfit(f"a private key of a kind that is served with: {good}", "it is of another")
    return certificate, key, first


def read_authorities(named: Named) -> bytes:
    """Raises UnfitCertificate."""
    content = _bytes(named)
    _certificates(named, content)
    return content


def _private_key(named: Named, content: bytes) -> PrivateKeyTypes:
    plain = "a private key in PEM, without a passphrase"
    try:
        return load_pem_private_key(content, None)
    except TypeError:
        raise named.unfit(plain, "it takes one: `openssl pkey` writes it without") from None
    except (ValueError, UnsupportedAlgorithm):
        raise named.unfit(plain, "it holds none") from None


def _can_be_served(key: PrivateKeyTypes) -> bool:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.key_size >= SMALLEST_RSA
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return isinstance(key.curve, _CURVES)
    return isinstance(key, ed25519.Ed25519PrivateKey)


def variable_of(field: str, sources: Mapping[str, str]) -> str:
    """The variable that set a field, or the first that could have."""
    source = sources.get(field, "")
    return source if source.startswith(("MG_", "MF_")) else BY_FIELD[field].name


def _bytes(named: Named) -> bytes:
    try:
        with named.file.open("rb") as opened:
            content = opened.read(_LARGEST + 1)
    except OSError as error:
        raise named.unfit("a readable file", error.strerror or type(error).__name__) from None
    if len(content) > _LARGEST:
        raise named.unfit("a file in PEM", f"it is over {_LARGEST} bytes")
    return content


def _certificates(named: Named, content: bytes) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(content)
        # The dates are read late, and may be what cannot be read.
        _ = [(one.not_valid_before_utc, one.not_valid_after_utc) for one in found]
    except ValueError:
        raise named.unfit("certificates in PEM", "it holds none, or one that is broken") from None
    return found


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
