"""Certificates of a test's own, and the authority that gives them."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def _name(subject: str) -> x509.Name:
    return x509.Name.from_rfc4514_string(subject)


class Authority:
    """Signs what it is asked to."""

    def __init__(self, folder: Path, name: str = "CN=Authority") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        certificate = self._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.certificate = _pem(certificate.sign(self._key, hashes.SHA256()))
        self.file = folder / f"{name.partition('=')[2]}.pem"
        self.file.write_bytes(self.certificate)

    def issue(
        self,
        subject: str,
        *,
        begins: timedelta = -HOUR,
        ends: timedelta = DAY,
        kind: ec.EllipticCurve | None = None,
    ) -> tuple[bytes, bytes]:
        """Key and certificate for a subject, valid from and until then, and for 127.0.0.1 too."""
        key = ec.generate_private_key(kind or ec.SECP256R1())
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        certificate = self._builder(_name(subject), key.public_key(), begins, ends).add_extension(
            x509.SubjectAlternativeName([address, x509.DNSName("localhost")]), critical=False
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private, _pem(certificate.sign(self._key, hashes.SHA256()))

    def server_files(
        self, server: str = "GRPC", *, begins: timedelta = -HOUR, ends: timedelta = DAY
    ) -> dict[str, str]:
        """Files of a server's key and certificate, as the settings name them; written anew each time."""
        key, certificate = self.issue("CN=server", begins=begins, ends=ends)
        (self.folder / "server.key").write_bytes(key)
        (self.folder / "server.pem").write_bytes(certificate)
        return {
            f"MG_USERS_{server}_SERVER_CERT": str(self.folder / "server.pem"),
            f"MG_USERS_{server}_SERVER_KEY": str(self.folder / "server.key"),
        }

    def trust(self, client: tuple[bytes, bytes] | None = None) -> ssl.SSLContext:
        """What a client connects with: it believes this authority, and shows a key and certificate if any."""
        context = ssl.create_default_context(cafile=self.file)
        if client is not None:
            both = self.folder / "client.pem"
            both.write_bytes(b"".join(client))
            context.load_cert_chain(both)
        return context

    def credentials(self, subject: str | None = None) -> Any:
        """What a client connects with: its certificate, where it has one, and the authority it trusts."""
        key, certificate = self.issue(subject) if subject else (None, None)
        return grpc.ssl_channel_credentials(self.certificate, key, certificate)

    def _builder(
        self, subject: x509.Name, public: Any, begins: timedelta = -HOUR, ends: timedelta = DAY
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address, x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "cert.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate_file, key_file
