"""The table of variables agrees with the struct, with itself and with what the originals read."""

from __future__ import annotations

import types
from datetime import timedelta
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from infrastructure.settings import VARIABLES, Secret, Settings, load
from infrastructure.settings.loading import default_of
from infrastructure.settings.table import BY_FIELD, KNOWN
from infrastructure.settings.variable import Variable

# What each original read, under either of its README or its code.
MAGISTRALA = """
    MG_USERS_LOG_LEVEL MG_USERS_ADMIN_EMAIL MG_USERS_ADMIN_PASSWORD MG_USERS_ADMIN_USERNAME
    MG_USERS_ADMIN_FIRST_NAME MG_USERS_ADMIN_LAST_NAME MG_USERS_PASS_REGEX MG_USERS_INSTANCE_ID
    MG_USERS_ALLOW_SELF_REGISTER MG_USERS_DELETE_INTERVAL MG_USERS_DELETE_AFTER MG_ES_URL MG_USERS_ES_URL
    MG_JAEGER_URL MG_JAEGER_TRACE_RATIO MG_SEND_TELEMETRY MG_OAUTH_UI_REDIRECT_URL MG_OAUTH_UI_ERROR_URL
    MG_SPICEDB_HOST MG_SPICEDB_PORT MG_SPICEDB_PRE_SHARED_KEY MG_PASSWORD_RESET_URL_PREFIX
    MG_PASSWORD_RESET_EMAIL_TEMPLATE MG_VERIFICATION_URL_PREFIX MG_VERIFICATION_EMAIL_TEMPLATE
    MG_AUTH_KEYS_ALGORITHM MG_AUTH_JWKS_URL MG_ALLOW_UNVERIFIED_USER MG_EMAIL_HOST MG_EMAIL_PORT
    MG_EMAIL_USERNAME MG_EMAIL_PASSWORD MG_EMAIL_FROM_ADDRESS MG_EMAIL_FROM_NAME MG_EMAIL_TEMPLATE
    MG_GOOGLE_CLIENT_ID MG_GOOGLE_CLIENT_SECRET MG_GOOGLE_STATE MG_GOOGLE_REDIRECT_URL MG_USERS_HTTP_HOST
    MG_USERS_HTTP_PORT MG_USERS_HTTP_SERVER_CERT MG_USERS_HTTP_SERVER_KEY MG_USERS_HTTP_SERVER_CA_CERTS
    MG_USERS_HTTP_CLIENT_CA_CERTS MG_USERS_HTTP_SERVER_READ_TIMEOUT MG_USERS_HTTP_SERVER_WRITE_TIMEOUT
    MG_USERS_HTTP_SERVER_READ_HEADER_TIMEOUT MG_USERS_HTTP_SERVER_IDLE_TIMEOUT
    MG_USERS_HTTP_SERVER_MAX_HEADER_BYTES MG_USERS_GRPC_HOST MG_USERS_GRPC_PORT MG_USERS_GRPC_SERVER_CERT
    MG_USERS_GRPC_SERVER_KEY MG_USERS_GRPC_SERVER_CA_CERTS MG_USERS_GRPC_CLIENT_CA_CERTS
    MG_USERS_GRPC_SERVER_READ_TIMEOUT MG_USERS_GRPC_SERVER_WRITE_TIMEOUT
    MG_USERS_GRPC_SERVER_READ_HEADER_TIMEOUT MG_USERS_GRPC_SERVER_IDLE_TIMEOUT
    MG_USERS_GRPC_SERVER_MAX_HEADER_BYTES MG_USERS_GRPC_URL MG_USERS_GRPC_TIMEOUT
    MG_USERS_GRPC_CLIENT_CERT MG_USERS_GRPC_CLIENT_KEY MG_USERS_DB_HOST MG_USERS_DB_PORT MG_USERS_DB_USER
    MG_USERS_DB_PASS MG_USERS_DB_NAME MG_USERS_DB_SSL_MODE MG_USERS_DB_SSL_CERT MG_USERS_DB_SSL_KEY
    MG_USERS_DB_SSL_ROOT_CERT MG_AUTH_GRPC_URL MG_AUTH_GRPC_TIMEOUT MG_AUTH_GRPC_CLIENT_CERT
    MG_AUTH_GRPC_CLIENT_KEY MG_AUTH_GRPC_SERVER_CA_CERTS MG_DOMAINS_GRPC_URL MG_DOMAINS_GRPC_TIMEOUT
    MG_DOMAINS_GRPC_CLIENT_CERT MG_DOMAINS_GRPC_CLIENT_KEY MG_DOMAINS_GRPC_SERVER_CA_CERTS
    MG_AUTH_ACCESS_TOKEN_DURATION MG_AUTH_REFRESH_TOKEN_DURATION MG_USERS_SECRET_KEY
"""
MAINFLUX = """
    MF_USERS_LOG_LEVEL MF_USERS_SECRET_KEY MF_USERS_ADMIN_EMAIL MF_USERS_ADMIN_PASSWORD
    MF_USERS_PASS_REGEX MF_USERS_ACCESS_TOKEN_DURATION MF_USERS_REFRESH_TOKEN_DURATION
    MF_TOKEN_RESET_ENDPOINT MF_USERS_HTTP_HOST MF_USERS_HTTP_PORT MF_USERS_HTTP_SERVER_CERT
    MF_USERS_HTTP_SERVER_KEY MF_USERS_HTTP_SERVER_CA_CERTS MF_USERS_HTTP_CLIENT_CA_CERTS
    MF_USERS_GRPC_HOST MF_USERS_GRPC_PORT MF_USERS_GRPC_SERVER_CERT MF_USERS_GRPC_SERVER_KEY
    MF_USERS_GRPC_SERVER_CA_CERTS MF_USERS_GRPC_CLIENT_CA_CERTS MF_USERS_DB_HOST MF_USERS_DB_PORT
    MF_USERS_DB_USER MF_USERS_DB_PASS MF_USERS_DB_NAME MF_USERS_DB_SSL_MODE MF_USERS_DB_SSL_CERT
    MF_USERS_DB_SSL_KEY MF_USERS_DB_SSL_ROOT_CERT MF_EMAIL_HOST MF_EMAIL_PORT MF_EMAIL_USERNAME
    MF_EMAIL_PASSWORD MF_EMAIL_FROM_ADDRESS MF_EMAIL_FROM_NAME MF_EMAIL_TEMPLATE MF_JAEGER_URL
    MF_JAEGER_TRACE_RATIO MF_SEND_TELEMETRY MF_INSTANCE_ID MF_USERS_INSTANCE_ID MF_USERS_ES_URL
    MF_USERS_ALLOW_SELF_REGISTER MF_AUTH_GRPC_URL MF_AUTH_GRPC_TIMEOUT MF_AUTH_GRPC_CLIENT_TLS
    MF_AUTH_GRPC_CA_CERTS MF_AUTH_GRPC_CLIENT_CERT MF_AUTH_GRPC_CLIENT_KEY MF_AUTH_GRPC_SERVER_CA_CERTS
"""


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return any(_fits(value, argument) for argument in arguments)
    if origin is list:
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    if origin is Secret:
        return isinstance(value, Secret) and isinstance(value.reveal(), arguments[0])
    if hint is type(None):
        return value is None
    return type(value) is hint or (isinstance(value, hint) and hint in (Path, timedelta))


def test_every_field_of_the_settings_has_one_row_and_every_row_a_field() -> None:
    fields = [row.field for row in VARIABLES if row.field is not None]
    assert sorted(fields) == sorted(Settings.__struct_fields__), (
        "A variable is a row in infrastructure/settings/table/ and a field in model.py beside it."
    )


@pytest.mark.parametrize("field", BY_FIELD)
def test_the_default_of_each_row_has_the_type_of_its_field(field: str) -> None:
    hint = get_type_hints(Settings)[field]
    value = getattr(load({}).settings, field)
    assert _fits(value, hint), f"{field}: {value!r} is not {hint}"
    if BY_FIELD[field].default is None and field != "instance_id":
        assert type(None) in get_args(hint)


def test_no_two_rows_answer_for_one_variable() -> None:
    assert len(KNOWN) == sum(len(row.spellings) for row in VARIABLES)


@pytest.mark.parametrize("name", MAGISTRALA.split() + MAINFLUX.split())
def test_every_variable_of_the_originals_is_known_in_both_dialects(name: str) -> None:
    other = {"MG_": "MF_", "MF_": "MG_"}[name[:3]] + name[3:]
    assert name in KNOWN
    assert other in KNOWN


@pytest.mark.parametrize("row", VARIABLES, ids=lambda row: row.name)
def test_each_row_says_in_one_sentence_what_it_is_for(row: Variable) -> None:
    assert row.help[0].isupper()
    assert row.help.endswith(".")
    assert ". " not in row.help


@pytest.mark.parametrize(
    "row", [row for row in VARIABLES if row.field and row.default], ids=lambda row: row.name
)
def test_each_default_can_be_written_into_the_environment(row: Variable) -> None:
    assert row.field is not None
    loaded = load({row.name: row.default or ""})
    assert getattr(loaded.settings, row.field) == default_of(row)
    assert loaded.sources[row.field] == row.name
