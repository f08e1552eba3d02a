"""Combinations of settings with which the service must not start."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from infrastructure.settings import SettingsError, check, load
from tests.support.certificates import Authority

KEY = "ab" * 32
EXTERNAL = {
    "MG_USERS_DB_HOST": "db",
    "MG_USERS_ES_URL": "nats://n:4222",
    "MG_USERS_ROOT_KEY": KEY,
    "MG_USERS_ADMIN_PASSWORD": "a password of our own",
}
EXPOSED = {**EXTERNAL, "MG_USERS_HTTP_HOST": "0.0.0.0"}


def _refused(environ: dict[str, str], role: str = "run") -> list[str]:
    try:
        load(environ, role)
    except SettingsError as error:
        return error.lines
    return []


def _names(environ: dict[str, str], role: str = "run") -> list[str]:
    return [line.split(" ")[0].split("=")[0] for line in _refused(environ, role)]


def _without(environ: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in names}


@pytest.mark.parametrize("role", ["run", "api", "projector", "relay", "migrate"])
def test_with_everything_named_any_role_may_listen_anywhere(role: str) -> None:
    assert _refused(EXPOSED, role) == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.1", "::1", "[::1]"])
def test_on_loopback_the_embedded_servers_need_no_permission(host: str) -> None:
    assert _refused({"MG_USERS_HTTP_HOST": host, "MF_USERS_GRPC_HOST": host}) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "users", "192.168.1.1", "localhost.example"])
@pytest.mark.parametrize("variable", ["MG_USERS_HTTP_HOST", "MF_USERS_GRPC_HOST"])
def test_beyond_loopback_neither_the_embedded_servers_nor_the_known_password_are_used(
    variable: str, host: str
) -> None:
    lines = _refused({variable: host})
    assert [line.split(" ")[0] for line in lines] == [
        "MG_USERS_DB_HOST",
        "MG_USERS_ES_URL",
        "MG_USERS_ADMIN_PASSWORD=********:",
    ]
    assert all(f"{variable}={host} listens beyond loopback" in line for line in lines)


def test_permission_keeps_the_embedded_servers_beyond_loopback() -> None:
    environ = {
        "MG_USERS_HTTP_HOST": "0.0.0.0",
        "MG_USERS_EMBEDDED": "true",
        "MG_USERS_ADMIN_PASSWORD": "my own one",
    }
    assert _refused(environ) == []


def test_a_ban_on_embedded_servers_holds_on_loopback_too() -> None:
    assert _names({"MG_USERS_EMBEDDED": "false"}) == ["MG_USERS_DB_HOST", "MG_USERS_ES_URL"]


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("api", ["MG_USERS_DB_HOST"]),
        ("projector", ["MG_USERS_DB_HOST"]),
        ("mailer", ["MG_USERS_DB_HOST"]),
        ("relay", ["MG_USERS_DB_HOST", "MG_USERS_ES_URL"]),
    ],
)
def test_only_the_role_that_runs_everything_brings_its_own_servers(role: str, names: list[str]) -> None:
    assert _names({}, role) == names
    assert _names({"MG_USERS_EMBEDDED": "true"}, role) == []


def test_migrating_prepares_what_the_role_that_runs_everything_will_find() -> None:
    assert _names({}, "migrate") == []
    assert _names({"MG_USERS_HTTP_HOST": "0.0.0.0"}, "migrate") == ["MG_USERS_DB_HOST"]


def test_a_command_needs_no_password_of_an_admin_that_it_will_not_make() -> None:
    assert _refused(_without(EXPOSED, "MG_USERS_ADMIN_PASSWORD"), "command") == []
    assert _names({}, "command") == []
    assert _names({"MG_USERS_HTTP_HOST": "0.0.0.0"}, "command") == ["MG_USERS_DB_HOST", "MG_USERS_ES_URL"]


def test_an_event_store_set_aside_is_missing_beyond_loopback() -> None:
    with pytest.raises(SettingsError) as caught:
        load({**EXPOSED, "MG_USERS_ES_URL": "amqp://a"})
    assert [line.split(" ")[0] for line in caught.value.lines] == ["MG_USERS_ES_URL"]
    assert len(caught.value.warnings) == 1


def test_an_external_database_needs_its_key() -> None:
    (line,) = _refused(_without(EXTERNAL, "MG_USERS_ROOT_KEY"))
    assert line.startswith("MG_USERS_ROOT_KEY is not set: should be 32 bytes as base64 or hex")


def test_a_wrong_key_is_not_also_called_missing() -> None:
    (line,) = _refused({**EXTERNAL, "MG_USERS_ROOT_KEY": "short"})
    assert line.startswith("MG_USERS_ROOT_KEY=********: should be")


def test_a_wrong_host_is_not_also_called_missing() -> None:
    (line,) = _refused({**EXPOSED, "MG_USERS_DB_HOST": "postgres://db"})
    assert line.startswith("MG_USERS_DB_HOST=postgres://db: should be")


@pytest.mark.parametrize("password", ["12345678", None])
def test_the_documented_admin_password_is_refused_beyond_loopback(password: str | None) -> None:
    environ = _without(EXPOSED, "MG_USERS_ADMIN_PASSWORD")
    if password is not None:
        environ["MF_USERS_ADMIN_PASSWORD"] = password
    (line,) = _refused(environ)
    assert line.startswith(
        f"{'MF' if password else 'MG'}_USERS_ADMIN_PASSWORD=********: should be a password"
    )
    assert "12345678" not in line


def test_the_documented_secret_key_is_refused_beyond_loopback() -> None:
    (line,) = _refused({**EXPOSED, "MF_USERS_SECRET_KEY": "mainflux"})
    assert line.startswith("MF_USERS_SECRET_KEY=********: should be a secret of your own")
    assert _refused({**EXTERNAL, "MF_USERS_SECRET_KEY": "mainflux"}) == []


def test_an_unset_secret_key_matters_only_where_tokens_are_signed_with_it() -> None:
    assert _names({**EXPOSED, "MG_USERS_SIGNING_ALGORITHM": "HS512"}) == ["MG_USERS_SECRET_KEY"]


@pytest.mark.parametrize("prefix", ["MG_USERS_HTTP_SERVER", "MF_USERS_GRPC_SERVER", "MG_AUTH_GRPC_CLIENT"])
@pytest.mark.parametrize(("given", "missing"), [("CERT", "KEY"), ("KEY", "CERT")])
def test_a_certificate_and_its_key_go_together(prefix: str, given: str, missing: str, tmp_path: Path) -> None:
    file = tmp_path / "pem"
    file.touch()
    (line,) = _refused({f"{prefix}_{given}": str(file)})
    assert line.startswith(f"MG{prefix[2:]}_{missing} is not set: should be the path of a readable file")
    assert _refused({f"{prefix}_{given}": str(file), f"{prefix}_{missing}": str(file)}) == []


def test_clients_show_certificates_only_to_a_server_that_has_one(tmp_path: Path) -> None:
    file = tmp_path / "pem"
    file.touch()
    (line,) = _refused({"MG_USERS_GRPC_CLIENT_CA_CERTS": str(file)})
    assert line.startswith("MG_USERS_GRPC_SERVER_CERT is not set")


def test_either_authority_of_magistrala_makes_grpc_ask_for_certificates(tmp_path: Path) -> None:
    file = tmp_path / "pem"
    file.touch()
    environ = {
        "MG_USERS_GRPC_SERVER_CERT": str(file),
        "MG_USERS_GRPC_SERVER_KEY": str(file),
        "MG_USERS_GRPC_SERVER_CA_CERTS": str(file),
    }
    assert load(environ).settings.grpc_client_ca_certs == file


def test_settings_changed_in_code_are_checked_alike() -> None:
    settings = msgspec.structs.replace(load({}).settings, http_host="0.0.0.0")
    assert len(check(settings)) == 3
    assert check(load({}).settings) == []


def test_nats_is_shown_one_seed(tmp_path: Path) -> None:
    file = tmp_path / "creds"
    file.touch()
    seed = f"SU{'A' * 56}"
    (line,) = _refused({"MG_USERS_ES_CREDS": str(file), "MG_USERS_ES_NKEY_SEED": seed})
    assert line.startswith("MG_USERS_ES_NKEY_SEED=")
    assert seed not in line
    assert _refused({"MG_USERS_ES_NKEY_SEED": seed}) == []


AUTH_SERVICE = {
    "MG_AUTH_GRPC_URL": "auth:7001",
    "MG_SPICEDB_HOST": "spicedb",
    "MG_SPICEDB_PRE_SHARED_KEY": "a key",
    "MG_DOMAINS_GRPC_URL": "domains:7003",
}


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ("MG_SPICEDB_HOST", "looks up every user"),
        ("MG_SPICEDB_PRE_SHARED_KEY", "nobody is written"),
        ("MG_DOMAINS_GRPC_URL", "told of users who are gone"),
    ],
)
def test_an_auth_service_without_what_it_takes_is_refused(missing: str, why: str) -> None:
    assert _refused(AUTH_SERVICE) == []
    [line] = _refused({name: value for name, value in AUTH_SERVICE.items() if name != missing})
    assert line.startswith(f"{missing} is not set: should be ")
    assert why in line
    assert "MG_AUTH_GRPC_URL" in line


def test_an_algorithm_that_nobody_signs_with_is_refused_in_one_line() -> None:
    with pytest.raises(SettingsError, match="MG_AUTH_KEYS_ALGORITHM=PS256: should be one of ES256, EdDSA"):
        load({**AUTH_SERVICE, "MG_AUTH_KEYS_ALGORITHM": "PS256"})
    assert load({**AUTH_SERVICE, "MG_AUTH_KEYS_ALGORITHM": "RS256"}).settings.auth_keys_algorithm == "RS256"


class Files:
    """Certificates and keys, fit and unfit, by the names that the table below has for them."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        key, certificate = authority.issue("CN=users")
        contents = {
            "authority": authority.certificate,
            "certificate": certificate,
            "key": key,
            "other": authority.issue("CN=other")[0],
            "empty": b"",
            "noise": b"no certificate",
        }
        self._paths = {name: folder / name for name in contents}
        for name, content in contents.items():
            self._paths[name].write_bytes(content)

    def named(self, **variables: str) -> dict[str, str]:
        return {f"MG_{variable}": str(self._paths[name]) for variable, name in variables.items()}


@pytest.mark.parametrize(
    ("files", "refused", "words"),
    [
        (("authority", "certificate", "key"), None, ""),
        (("authority", "certificate", "other"), "MG_AUTH_GRPC_CLIENT_KEY", "key values mismatch"),
        (("authority", "key", "certificate"), "MG_AUTH_GRPC_CLIENT_KEY", "should be the private key"),
        (("authority", "certificate", "empty"), "MG_AUTH_GRPC_CLIENT_KEY", "should be the private key"),
        (("empty", "certificate", "key"), "MG_AUTH_GRPC_SERVER_CA_CERTS", "should hold certificates"),
        (("noise", "certificate", "key"), "MG_AUTH_GRPC_SERVER_CA_CERTS", "should hold certificates"),
    ],
)
def test_files_that_the_auth_service_cannot_be_shown_are_told_before_anything_starts(
    tmp_path: Path, files: tuple[str, str, str], refused: str | None, words: str
) -> None:
    names = ("AUTH_GRPC_SERVER_CA_CERTS", "AUTH_GRPC_CLIENT_CERT", "AUTH_GRPC_CLIENT_KEY")
    environ = {**AUTH_SERVICE, **Files(tmp_path).named(**dict(zip(names, files, strict=True)))}
    assert _names(environ) == ([refused] if refused else [])
    assert words in "".join(_refused(environ))


@pytest.mark.parametrize("service", ["AUTH", "DOMAINS"])
def test_a_certificate_is_not_shown_where_everything_would_be_said_in_clear(
    tmp_path: Path, service: str
) -> None:
    shown = {f"{service}_GRPC_CLIENT_CERT": "certificate", f"{service}_GRPC_CLIENT_KEY": "key"}
    (line,) = _refused({**AUTH_SERVICE, **Files(tmp_path).named(**shown)})
    assert line.startswith(f"MG_{service}_GRPC_SERVER_CA_CERTS is not set")
    assert "in clear" in line
