"""Values that only other parts of the originals understood never stop a start, and never pass silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.settings import SettingsError, load

AUTH_SERVICE = {
    "MG_AUTH_GRPC_URL": "auth:7001",
    "MG_SPICEDB_HOST": "spicedb",
    "MG_SPICEDB_PRE_SHARED_KEY": "hush",
    "MG_DOMAINS_GRPC_URL": "domains:7003",
}


def test_what_only_an_auth_service_takes_is_said_to_have_no_effect_without_one() -> None:
    environ = {"MG_SPICEDB_HOST": "spicedb", "MG_DOMAINS_GRPC_URL": "domains:7003"}
    assert load(environ).warnings == [
        "Without effect while MG_AUTH_GRPC_URL is not set: MG_DOMAINS_GRPC_URL, MG_SPICEDB_HOST."
    ]
    assert load(AUTH_SERVICE).warnings == []


@pytest.mark.parametrize(
    "url", ["amqp://guest:hush@localhost:5682/", "redis://localhost:6379/0", "REDISS://x"]
)
@pytest.mark.parametrize("name", ["MG_ES_URL", "MG_USERS_ES_URL", "MF_USERS_ES_URL"])
def test_the_event_stores_of_the_originals_are_set_aside(name: str, url: str) -> None:
    loaded = load({name: url})
    assert loaded.settings.es_url is None
    assert loaded.sources["es_url"] == "default"
    (warning,) = loaded.warnings
    assert warning.startswith(f"{name}={url.split(':')[0].lower()}://… is set aside: events go to NATS")
    assert "hush" not in warning


def test_a_store_set_aside_leaves_room_for_the_next_name() -> None:
    loaded = load({"MG_ES_URL": "amqp://a", "MF_USERS_ES_URL": "nats://b:4222"})
    assert loaded.settings.es_url is not None
    assert loaded.settings.es_url.reveal() == "nats://b:4222"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("http://jaeger:14268/api/traces", "http://jaeger:4318/v1/traces"),
        ("https://jaeger:14268", "https://jaeger:4318/v1/traces"),
        ("http://[::1]/api/traces", "http://[::1]:4318/v1/traces"),
    ],
)
def test_the_old_port_of_jaeger_becomes_otlp(old: str, new: str) -> None:
    loaded = load({"MF_JAEGER_URL": old})
    assert loaded.settings.jaeger_url == new
    assert loaded.warnings == [
        f"MF_JAEGER_URL names Jaeger's old port or path: traces go by OTLP to {new} instead."
    ]


def test_an_otlp_collector_is_taken_as_it_is() -> None:
    loaded = load({"MG_JAEGER_URL": "http://jaeger:4318/v1/traces"})
    assert loaded.settings.jaeger_url == "http://jaeger:4318/v1/traces"
    assert loaded.warnings == []


def test_a_template_that_is_not_there_gives_way_to_the_built_in_text() -> None:
    loaded = load({"MG_VERIFICATION_EMAIL_TEMPLATE": "verification-email.tmpl"})
    assert loaded.settings.verification_email_template is None
    assert loaded.warnings[0].startswith("MG_VERIFICATION_EMAIL_TEMPLATE is set aside")


def test_a_template_of_the_operators_own_has_to_be_there() -> None:
    with pytest.raises(SettingsError, match=r"MG_VERIFICATION_EMAIL_TEMPLATE=/etc/my\.tmpl: .*no such file"):
        load({"MG_VERIFICATION_EMAIL_TEMPLATE": "/etc/my.tmpl"})


def test_the_template_of_mainflux_is_that_of_the_reset_mail(tmp_path: Path) -> None:
    template = tmp_path / "email.tmpl"
    template.touch()
    settings = load({"MF_EMAIL_TEMPLATE": str(template)}).settings
    assert settings.password_reset_email_template == template
    assert settings.verification_email_template is None


def test_the_auth_address_of_mainflux_meant_this_service() -> None:
    loaded = load({"MF_AUTH_GRPC_URL": "users:7001"})
    assert loaded.settings.auth_grpc_url is None
    assert loaded.warnings[0].startswith("MF_AUTH_GRPC_URL is set aside")
    assert load(AUTH_SERVICE).settings.auth_grpc_url == "auth:7001"


def test_the_algorithm_of_the_old_auth_goes_on_where_keys_are_public() -> None:
    loaded = load({"MG_AUTH_KEYS_ALGORITHM": "EdDSA"})
    assert loaded.settings.signing_algorithm == "EdDSA"
    assert loaded.sources["signing_algorithm"] == "MG_AUTH_KEYS_ALGORITHM"


def test_the_algorithm_of_a_remote_auth_says_nothing_about_our_own() -> None:
    loaded = load({"MG_AUTH_KEYS_ALGORITHM": "HS256", **AUTH_SERVICE})
    assert (loaded.settings.auth_keys_algorithm, loaded.settings.signing_algorithm) == ("HS256", "ES256")
    assert loaded.warnings == []


def test_a_shared_secret_of_the_old_auth_is_set_aside_with_a_warning() -> None:
    loaded = load({"MG_AUTH_KEYS_ALGORITHM": "HS256"})
    assert loaded.settings.signing_algorithm == "ES256"
    assert loaded.warnings[0].startswith(
        "MG_AUTH_KEYS_ALGORITHM=HS256 is set aside: tokens are signed with ES256"
    )


def test_an_algorithm_chosen_for_this_service_silences_the_old_one() -> None:
    loaded = load({"MG_AUTH_KEYS_ALGORITHM": "HS256", "MG_USERS_SIGNING_ALGORITHM": "RS256"})
    assert loaded.settings.signing_algorithm == "RS256"
    assert loaded.warnings == []
