"""No secret of the settings shows itself, and PostgreSQL still gets its password."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from infrastructure.settings import Loaded, Secret, describe, load

HUSH = "hush-hush-7391"
KEY = "cd" * 32


def _loaded() -> Loaded:
    return load(
        {
            "MG_USERS_DB_HOST": "db",
            "MG_USERS_DB_PASS": HUSH,
            "MG_USERS_ES_URL": f"nats://u:{HUSH}@n:4222",
            "MG_USERS_ROOT_KEY": KEY,
            "MF_USERS_SECRET_KEY": HUSH,
            "MG_USERS_ADMIN_PASSWORD": HUSH,
            "MG_EMAIL_PASSWORD": HUSH,
            "MG_SPICEDB_PRE_SHARED_KEY": HUSH,
            "MG_GOOGLE_CLIENT_SECRET": HUSH,
            "MG_TELEMETRY_URL": f"https://u:{HUSH}@t.example/",
        }
    )


def test_settings_print_without_their_secrets() -> None:
    settings = msgspec.structs.replace(_loaded().settings, telemetry_url=None)
    for text in (repr(settings), str(settings), f"{settings.db_pass}", f"{settings.root_key!r:>5}"):
        assert HUSH not in text
        assert KEY not in text
        assert repr(bytes.fromhex(KEY)) not in text
    assert "db_pass=********" in repr(settings)


def test_the_report_masks_secrets_and_names_every_source() -> None:
    loaded = _loaded()
    report = describe(loaded)
    assert not [line for line in report if HUSH in str(line) or KEY in str(line)]
    by_name = {name: (value, source) for name, value, source, _ in report}
    assert by_name["MG_USERS_DB_PASS"] == ("********", "MG_USERS_DB_PASS")
    assert by_name["MG_USERS_SECRET_KEY"] == ("********", "MF_USERS_SECRET_KEY")
    assert by_name["MG_TELEMETRY_URL"][0] == "https://********@t.example/"
    assert by_name["MG_USERS_DELETE_AFTER"] == ("720h", "default")
    assert by_name["MG_USERS_EMBEDDED"] == ("", "default")
    assert by_name["MG_USERS_ALLOW_SELF_REGISTER"] == ("true", "default")
    assert by_name["MG_USERS_SWEEP"] == ("deleted", "default")
    assert len(report) == len(loaded.sources)


def test_a_secret_is_not_encoded_by_accident() -> None:
    with pytest.raises(TypeError):
        msgspec.json.encode(Secret("x"))


def test_secrets_are_equal_by_what_they_hold() -> None:
    assert Secret("é") == Secret("é")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret(b"a"), Secret(b"a")}) == 1


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30))
def test_libpq_reads_back_whatever_the_password_holds(password: str) -> None:
    settings = msgspec.structs.replace(_loaded().settings, db_pass=Secret(password))
    conninfo = settings.postgres_conninfo()
    assert conninfo is not None
    assert conninfo_to_dict(conninfo)["password"] == password


def test_the_way_to_postgresql_is_complete(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(
        _loaded().settings, db_ssl_mode="verify-full", db_ssl_root_cert=tmp_path / "it's a ca"
    )
    assert conninfo_to_dict(settings.postgres_conninfo() or "") == {
        "host": "db",
        "port": "5432",
        "user": "magistrala",
        "password": HUSH,
        "dbname": "users",
        "sslmode": "verify-full",
        "sslrootcert": str(tmp_path / "it's a ca"),
        "application_name": "usersd",
        "connect_timeout": "5",
        "tcp_user_timeout": "10000",
        "keepalives_idle": "30",
    }


def test_the_direct_way_passes_by_the_pooler() -> None:
    settings = _loaded().settings
    assert settings.postgres_direct_conninfo() == settings.postgres_conninfo()
    settings = msgspec.structs.replace(settings, db_direct_host="primary", db_direct_port=5433)
    direct = conninfo_to_dict(settings.postgres_direct_conninfo() or "")
    assert (direct["host"], direct["port"]) == ("primary", "5433")


def test_an_embedded_postgresql_has_no_address_in_the_settings() -> None:
    settings = load({"MG_USERS_DB_PASS": "x"}).settings
    assert settings.postgres_conninfo() is None
    assert settings.postgres_direct_conninfo() is None
