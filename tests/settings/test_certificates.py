"""Keys and certificates are looked at before a start: each that is unfit in one line, by its setting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from infrastructure.server.trial import require_fit
from infrastructure.settings import load
from interfaces.cli.tools import CommandFailed
from tests.support.certificates import DAY, HOUR, Authority

BELONGS = "should be the key of MG_USERS_HTTP_SERVER_CERT (it belongs to another certificate than "
PEM = "should be certificates in PEM ("
PLAIN = "should be a private key in PEM, without a passphrase ("
KIND = "should be a private key of a kind that is served with: "

Spoil = Callable[[Authority, Path, Path], object]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def refused(environ: dict[str, str]) -> list[str]:
    """What an operator is told instead of a start, with exit code 2."""
    with pytest.raises(CommandFailed) as caught:
        require_fit(load(environ))
    assert caught.value.code == 2
    return str(caught.value).splitlines()


def _locked(authority: Authority, certificate: Path, key: Path) -> None:
    lock = serialization.BestAvailableEncryption(b"passphrase")
    form = serialization.PrivateFormat.PKCS8
    key.write_bytes(
        load_pem_private_key(key.read_bytes(), None).private_bytes(serialization.Encoding.PEM, form, lock)
    )


def _of_another_kind(authority: Authority, certificate: Path, key: Path) -> None:
    made, shown = authority.issue("CN=server", kind=ec.SECP521R1())
    key.write_bytes(made)
    certificate.write_bytes(shown)


def _half(authority: Authority, certificate: Path, key: Path) -> None:
    certificate.write_bytes(certificate.read_bytes()[:300])


CASES: dict[str, tuple[str, str, Spoil]] = {
    "another key": ("KEY", BELONGS, lambda a, _, key: key.write_bytes(a.issue("CN=x")[0])),
    "a certificate as key": ("KEY", PLAIN, lambda _, shown, key: key.write_bytes(shown.read_bytes())),
    "a key with a passphrase": ("KEY", f"{PLAIN}it takes one", _locked),
    "a key of an odd kind": ("KEY", KIND, _of_another_kind),
    "a key as certificate": ("CERT", PEM, lambda _, shown, key: shown.write_bytes(key.read_bytes())),
    "nothing": ("CERT", PEM, lambda _, shown, key: shown.write_bytes(b"")),
    "half a certificate": ("CERT", PEM, _half),
    "too much": ("CERT", "should be a file in PEM (", lambda _, shown, key: shown.write_bytes(b" " * 2**21)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=list(CASES))
def test_what_cannot_be_served_with_is_told_in_one_line(authority: Authority, case: str) -> None:
    which, words, spoil = CASES[case]
    environ = authority.server_files("HTTP")
    files = {name: Path(environ[f"MG_USERS_HTTP_SERVER_{name}"]) for name in ("CERT", "KEY")}
    spoil(authority, files["CERT"], files["KEY"])
    (line,) = refused(environ)
    assert line.startswith(f"MG_USERS_HTTP_SERVER_{which}={files[which]}: {words}")


def test_what_passes_every_check_of_ours_is_tried_with_the_server_itself(authority: Authority) -> None:
    environ = authority.server_files("HTTP")
    broken = authority.certificate.replace(b"BEGIN CERTIFICATE-----\n", b"BEGIN CERTIFICATE-----\nAAAA\n")
    (authority.folder / "authorities.pem").write_bytes(authority.certificate)
    assert require_fit(load({**environ, "MG_USERS_HTTP_CLIENT_CA_CERTS": str(authority.file)})) == []
    (authority.folder / "authorities.pem").write_bytes(broken)
    unfit = {**environ, "MG_USERS_HTTP_CLIENT_CA_CERTS": str(authority.folder / "authorities.pem")}
    (line,) = refused(unfit)
    assert line.startswith("MG_USERS_HTTP_CLIENT_CA_CERTS=")


@pytest.mark.parametrize(
    ("begins", "ends", "told"),
    [(-2 * DAY, -HOUR, "it expired at "), (HOUR, DAY, "it is not valid before ")],
    ids=["expired", "not yet valid"],
)
def test_a_certificate_out_of_its_time_is_warned_of(
    authority: Authority, begins: timedelta, ends: timedelta, told: str
) -> None:
    (warning,) = require_fit(load(authority.server_files("GRPC", begins=begins, ends=ends)))
    assert warning.startswith(f"MG_USERS_GRPC_SERVER_CERT={authority.folder}/server.pem: {told}")
    assert "clients that check it refuse to connect" in warning


def test_all_that_is_unfit_is_told_at_once_by_the_variable_that_names_it(
    authority: Authority, tmp_path: Path
) -> None:
    junk, key = tmp_path / "junk", tmp_path / "server.key"
    junk.write_bytes(b"junk")
    certificate = authority.server_files("HTTP")["MG_USERS_HTTP_SERVER_CERT"]
    environ = {
        "MF_USERS_GRPC_SERVER_CERT": certificate,
        "MF_USERS_GRPC_SERVER_KEY": str(junk),
        "MG_USERS_ES_CLIENT_CERT": str(junk),
        "MG_USERS_ES_CLIENT_KEY": str(key),
        "MG_USERS_ES_CA_CERTS": str(junk),
        "MG_EMAIL_CA_CERTS": str(junk),
    }
    names = [line.partition("=")[0] for line in refused(environ)]
    assert names == [
        "MF_USERS_GRPC_SERVER_KEY",
        "MG_USERS_ES_CLIENT_CERT",
        "MG_USERS_ES_CA_CERTS",
        "MG_EMAIL_CA_CERTS",
    ]
