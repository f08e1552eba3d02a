"""Where a value comes from, and how a wrong one is told."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.settings import VARIABLES, Secret, SettingsError, load
from infrastructure.settings.table import KNOWN

KEY = bytes(range(32))
SECRET_FILES = [f"{name}_FILE" for row in VARIABLES if row.secret and row.field for name in row.names]


def _lines(**environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(environ)
    return caught.value.lines


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    loaded = load({})
    settings = loaded.settings
    assert (settings.http_host, settings.http_port, settings.grpc_port) == ("localhost", 9002, 7001)
    assert settings.access_token_duration == timedelta(minutes=15)
    assert settings.refresh_token_duration == timedelta(hours=24)
    assert settings.delete_after == timedelta(hours=720)
    assert settings.self_register
    assert settings.unverified_allowed
    assert settings.sweep == ["deleted"]
    assert settings.data_dir == Path("./.usersd")
    assert set(loaded.sources.values()) == {"default"}
    assert loaded.warnings == []


def test_the_name_of_magistrala_wins_and_the_loser_is_told() -> None:
    loaded = load({"MF_USERS_HTTP_PORT": "8001", "MG_USERS_HTTP_PORT": "8002"})
    assert loaded.settings.http_port == 8002
    assert loaded.sources["http_port"] == "MG_USERS_HTTP_PORT"
    assert loaded.warnings == ["MF_USERS_HTTP_PORT is not used: MG_USERS_HTTP_PORT is set too, and wins."]


def test_a_loser_that_says_the_same_is_not_worth_a_warning() -> None:
    assert load({"MF_USERS_HTTP_PORT": "8002", "MG_USERS_HTTP_PORT": "8002"}).warnings == []


@pytest.mark.parametrize(
    ("winner", "loser", "field"),
    [
        ("MG_USERS_ES_URL", "MG_ES_URL", "es_url"),
        ("MG_ES_URL", "MF_USERS_ES_URL", "es_url"),
        ("MG_USERS_INSTANCE_ID", "MG_INSTANCE_ID", "instance_id"),
        ("MG_INSTANCE_ID", "MF_USERS_INSTANCE_ID", "instance_id"),
        ("MF_USERS_INSTANCE_ID", "MF_INSTANCE_ID", "instance_id"),
        ("MF_USERS_ACCESS_TOKEN_DURATION", "MG_AUTH_ACCESS_TOKEN_DURATION", "access_token_duration"),
        ("MG_USERS_REFRESH_TOKEN_DURATION", "MF_USERS_REFRESH_TOKEN_DURATION", "refresh_token_duration"),
    ],
)
def test_of_two_names_for_one_setting_the_nearer_one_wins(winner: str, loser: str, field: str) -> None:
    values = ("nats://a:4222", "nats://b:4222") if field == "es_url" else ("10m", "20m")
    assert load({winner: values[0], loser: values[1]}).sources[field] == winner
    assert load({loser: values[1]}).sources[field] == loser


def test_set_but_empty_counts_as_unset() -> None:
    loaded = load({"MG_USERS_HTTP_PORT": "", "MF_USERS_HTTP_PORT": "8001", "MG_USERS_DB_PASS_FILE": ""})
    assert loaded.settings.http_port == 8001


def test_a_secret_comes_from_a_file_without_its_newline(tmp_path: Path) -> None:
    file = tmp_path / "pass"
    file.write_text("s p'é\\ \n")
    loaded = load({"MF_USERS_DB_PASS_FILE": str(file)})
    assert loaded.settings.db_pass == Secret("s p'é\\ ")
    assert loaded.sources["db_pass"] == "MF_USERS_DB_PASS_FILE"


@pytest.mark.parametrize("name", SECRET_FILES)
def test_every_secret_can_come_from_a_file(name: str, tmp_path: Path) -> None:
    row = KNOWN[name]
    file = tmp_path / "secret"
    fitting = {
        "root_key": KEY.hex(), "root_key_new": KEY.hex(), "es_url": "nats://u:p@n:4222",
        "es_nkey_seed": f"SU{'A' * 56}",
    }  # fmt: skip
    file.write_text(fitting.get(row.field or "", "something"))
    assert load({name: str(file)}).sources[row.field or ""] == name


def test_a_secret_given_twice_is_refused_without_being_shown(tmp_path: Path) -> None:
    (line,) = _lines(MG_USERS_DB_PASS="hush", MG_USERS_DB_PASS_FILE=str(tmp_path))
    assert line.startswith(
        "MG_USERS_DB_PASS=********: should not be set together with MG_USERS_DB_PASS_FILE="
    )


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"a\0b", b"x" * 70000])
def test_a_file_that_holds_no_secret_is_refused_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    (line,) = _lines(MG_EMAIL_PASSWORD_FILE=str(file))
    assert line.startswith(f"MG_EMAIL_PASSWORD_FILE={file}"[:100])
    assert "should be the path of a readable file" in line


def test_a_wrong_secret_of_a_file_is_told_by_its_path_alone(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("too-short-a-key")
    (line,) = _lines(MG_USERS_ROOT_KEY_FILE=str(file))
    assert line == f"MG_USERS_ROOT_KEY_FILE={file}: should be 32 bytes as base64 or hex"


def test_the_reason_of_a_wrong_pattern_stays_on_its_line() -> None:
    (line,) = _lines(MG_USERS_PASS_REGEX=")\r\n")
    assert len(line.splitlines()) == 1


def test_a_warning_stays_on_its_line() -> None:
    (warning,) = load({"MG_USERS_DB_PORT": "tcp://a\nb"}).warnings
    assert len(warning.splitlines()) == 1


def test_every_wrong_value_is_told_at_once_in_one_line_each() -> None:
    lines = _lines(
        MG_USERS_HTTP_PORT="99999",
        MF_USERS_ACCESS_TOKEN_DURATION="7d",
        MG_USERS_ROOT_KEY="hush-hush",
        MG_USERS_LOG_LEVEL="loud\nand clear",
    )
    assert lines == [
        "MG_USERS_LOG_LEVEL=loud\\nand clear: should be one of debug, info, warn, error",
        "MG_USERS_HTTP_PORT=99999: should be a port from 1 to 65535, or 0 for any free one",
        "MG_USERS_ROOT_KEY=********: should be 32 bytes as base64 or hex",
        "MF_USERS_ACCESS_TOKEN_DURATION=7d: should be a positive Go duration such as 15m or 1h30m, "
        "in ns, us, ms, s, m or h",
    ]


def test_a_password_inside_a_url_is_never_shown() -> None:
    (line,) = _lines(MG_USERS_DB_HOST="postgres://u:hush@db/users")
    assert "hush" not in line
    (line,) = _lines(MG_USERS_ES_URL="http://u:hush@nats:4222")
    assert "hush" not in line


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("MG_USERS_HTTP_PROT", "MG_USERS_HTTP_PORT"),
        ("MF_USERS_DB_HOTS", "MF_USERS_DB_HOST"),
        ("MG_USERS_ACESS_TOKEN_DURATION", "MG_USERS_ACCESS_TOKEN_DURATION"),
        ("MF_USERS_DATA_DIR", "MG_USERS_DATA_DIR"),
        ("MG_USERS_LOG_LEVEL_FILE", "MG_USERS_LOG_LEVEL"),
    ],
)
def test_an_unknown_name_is_warned_about_with_the_nearest_known_one(name: str, nearest: str) -> None:
    assert load({name: "1"}).warnings == [
        f"{name} is unknown and not used; the nearest known one is {nearest}."
    ]


def test_names_of_other_services_are_no_concern_of_ours() -> None:
    assert (
        load({"MG_THINGS_HTTP_PORT": "x", "MF_BROKER_URL": "y", "PATH": "/bin", "MG_USERSX": "1"}).warnings
        == []
    )


def test_what_kubernetes_adds_for_neighbouring_services_is_not_taken_for_settings() -> None:
    loaded = load(
        {
            "MG_USERS_DB_PORT": "tcp://10.3.2.1:5432",
            "MG_USERS_DB_SERVICE_HOST": "10.3.2.1",
            "MG_USERS_DB_PORT_5432_TCP_ADDR": "10.3.2.1",
            "MG_USERS_PORT": "tcp://10.3.2.2:9002",
        }
    )
    assert loaded.settings.db_port == 5432
    assert len(loaded.warnings) == 1
    assert loaded.warnings[0].startswith("MG_USERS_DB_PORT=tcp://10.3.2.1:5432 is set aside")


def test_variables_without_a_use_here_share_one_line() -> None:
    loaded = load({"MG_GOOGLE_STATE": "state", "MG_GOOGLE_CLIENT_SECRET": "hush"})
    assert loaded.warnings == [
        "Known from the originals and not used here: MG_GOOGLE_CLIENT_SECRET, MG_GOOGLE_STATE."
    ]


def test_warnings_survive_a_refusal() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"MG_USERS_HTTP_PROT": "1", "MG_USERS_HTTP_PORT": "x"})
    assert len(caught.value.warnings) == 1
    assert str(caught.value) == "\n".join(caught.value.lines)


@given(st.dictionaries(st.sampled_from(sorted(KNOWN)), st.text(max_size=30), max_size=8))
def test_no_environment_breaks_the_reading(environ: dict[str, str]) -> None:
    lines = ["not refused"]
    try:
        lines += load(environ).warnings
    except SettingsError as refused:
        lines = refused.lines and refused.lines + refused.warnings
    assert lines
    assert all(len(line.splitlines()) == 1 for line in lines)


def _gives(name: str, value: str, field: str) -> object:
    return getattr(load({name: value}).settings, field)


def test_lists_are_split_and_trimmed() -> None:
    assert _gives("MG_USERS_SWEEP", "deleted, disabled", "sweep") == ["deleted", "disabled"]
    assert _gives("MG_USERS_TRUSTED_PROXIES", "10.1.2.3/8, ::1", "trusted_proxies") == [
        ip_network("10.0.0.0/8"),
        ip_network("::1/128"),
    ]
    assert _gives("MG_USERS_CORS_ORIGINS", "https://a.example:8443,*", "cors_origins") == [
        "https://a.example:8443",
        "*",
    ]


def test_a_second_grpc_port_opens_where_magistrala_listened() -> None:
    assert load({}).settings.grpc_second_port is None
    assert load({"MF_USERS_GRPC_HOST": "127.0.0.1"}).settings.grpc_second_port is None
    loaded = load({"MG_USERS_GRPC_HOST": "127.0.0.1"})
    assert (loaded.settings.grpc_port, loaded.settings.grpc_second_port) == (7001, 7002)
    assert loaded.sources["grpc_second_port"] == "MG_USERS_GRPC_HOST"


def test_a_grpc_port_of_ones_own_is_the_only_one() -> None:
    settings = load({"MG_USERS_GRPC_HOST": "127.0.0.1", "MG_USERS_GRPC_PORT": "0"}).settings
    assert (settings.grpc_port, settings.grpc_second_port) == (0, None)


def test_the_database_of_mainflux_keeps_its_user_and_password() -> None:
    loaded = load({"MF_USERS_DB_HOST": "db", "MG_USERS_ROOT_KEY": KEY.hex()})
    assert (loaded.settings.db_user, loaded.settings.db_pass.reveal()) == ("mainflux", "mainflux")
    loaded = load({"MG_USERS_DB_HOST": "db", "MG_USERS_ROOT_KEY": KEY.hex(), "MF_USERS_DB_USER": "me"})
    assert (loaded.settings.db_user, loaded.settings.db_pass.reveal()) == ("me", "magistrala")


def test_links_in_mails_follow_the_public_address() -> None:
    settings = load(
        {"MG_USERS_PUBLIC_URL": "https://id.example/", "MG_VERIFICATION_URL_PREFIX": "https://x/v"}
    ).settings
    assert settings.password_reset_url_prefix == "https://id.example/password/reset"
    assert settings.verification_url_prefix == "https://x/v"


def test_every_start_has_an_instance_id_of_its_own() -> None:
    assert load({}).settings.instance_id != load({}).settings.instance_id
    assert _gives("MF_INSTANCE_ID", "one", "instance_id") == "one"
