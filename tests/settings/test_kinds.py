"""Each kind of value takes what it should and nothing else."""

from __future__ import annotations

import base64

import pytest

from infrastructure.settings import SettingsError, kinds, load
from infrastructure.settings.kinds import Kind, Unfit

KEY = bytes(range(224, 256))


def _takes(kind: Kind, text: str) -> bool:
    try:
        kind.parse(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_the_truths_of_go_are_true(text: str) -> None:
    assert kinds.BOOL.parse(text) is True


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_the_falsehoods_of_go_are_false(text: str) -> None:
    assert kinds.BOOL.parse(text) is False


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (kinds.BOOL, ["yes", "no", "on", "tRUE", " true", "2"]),
        (kinds.PORT, ["0", "65536", "-1", "80a", " 80", "8_0", "٨٠", "1" * 30, "80.0"]),
        (kinds.LISTENING_PORT, ["65536", "-1", "http"]),
        (kinds.RATIO, ["1.1", "-0.1", "nan", "inf", ".", "1_0", "half", " 1", "1e9"]),
        (kinds.HOST, ["http://a", "a:80", "a b", "a/b", "[a]", "-a", "::g", "a,b"]),
        (kinds.POSTGRES_HOST, ["postgres://a", "a b", "a,", "/a\nb", "db:5432"]),
        (kinds.TARGET, ["auth", "auth:", ":7001", "http://auth:7001", "auth:0", "auth:x", "::1:7001"]),
        (
            kinds.WEB_URL,
            ["ftp://a", "http://", "//a", "a", "http://a b", "http://a:x", "http://[", "http://a:0"],
        ),
        (
            kinds.STREAM_URL,
            ["localhost:4222", "http://a", "nats://", "nats://a,redis://b", ",", "nats://a:99999"],
        ),
        (kinds.URL_PATH, ["reset", "http://a", "/a b"]),
        (kinds.ORIGINS, ["example.com", "https://a/path", "https://u@a", "https://a?x", "null"]),
        (kinds.NETWORKS, ["10.0.0.0/33", "proxy", "10.0.0"]),
        (kinds.PATTERN, ["(", "(?=look)", r"(a)\1", "[", "\ud800"]),
        (kinds.EMAIL, ["admin", "a@", "a b@c"]),
        (kinds.USERNAME, ["a b", "_a", "é"]),
        (kinds.FIRST_SECRET, ["é" * 37]),
        (kinds.SSL_MODE, ["on", "DISABLE", "verify"]),
        (kinds.FILE, ["/there/is/none", "/", "a" * 5000, "a\0b"]),
        (
            kinds.ROOT_KEY,
            ["", "0" * 63, "0" * 64 + "00", "zz" * 32, "  ".join("00" for _ in range(16)) + "00"],
        ),
    ],
)
def test_what_is_not_of_the_kind_is_refused(kind: Kind, texts: list[str]) -> None:
    assert [text for text in texts if _takes(kind, text)] == []


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (kinds.PORT, "65535", 65535),
        (kinds.LISTENING_PORT, "0", 0),
        (kinds.RATIO, "0.25", 0.25),
        (kinds.RATIO, "1e-3", 0.001),
        (kinds.HOST, "[::1]", "::1"),
        (kinds.HOST, "users_db-1.example", "users_db-1.example"),
        (kinds.POSTGRES_HOST, "/var/run/postgresql", "/var/run/postgresql"),
        (kinds.POSTGRES_HOST, "a,b", "a,b"),
        (kinds.TARGET, "[::1]:7001", "[::1]:7001"),
        (kinds.TARGET, "dns:///auth:7001", "dns:///auth:7001"),
        (kinds.STREAM_URL, "nats://u:p@a:4222,tls://b", "nats://u:p@a:4222,tls://b"),
        (kinds.LOG_LEVEL, "WARN", "warn"),
        (kinds.SSL_MODE, "verify-full", "verify-full"),
    ],
)
def test_what_is_of_the_kind_is_taken(kind: Kind, text: str, value: object) -> None:
    assert kind.parse(text) == value


@pytest.mark.parametrize(
    "text",
    [
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(KEY).decode(),
        base64.b64encode(KEY).decode().rstrip("="),
        base64.urlsafe_b64encode(KEY).decode(),
        f" {base64.b64encode(KEY).decode()}\n",
    ],
)
def test_a_root_key_is_32_bytes_in_any_usual_writing(text: str) -> None:
    assert kinds.ROOT_KEY.parse(text) == KEY


def test_a_wrong_pattern_is_told_with_the_reason() -> None:
    with pytest.raises(Unfit, match="missing"):
        kinds.PATTERN.parse("(")


def test_the_policy_is_searched_not_matched_from_the_start() -> None:
    settings = load({"MG_USERS_PASS_REGEX": "[0-9]{2}"}).settings
    assert settings.secret_allowed("ab42cd")
    assert not settings.secret_allowed("ab4cd")


def test_the_documented_policy_counts_characters_not_bytes() -> None:
    allowed = load({}).settings.secret_allowed
    assert allowed("éééééééé")
    assert not allowed("ééééééé")
    assert not allowed("seven77\n")
    assert not allowed("\ud800")


def test_the_policy_takes_linear_time_on_a_hostile_pattern() -> None:
    assert not load({"MG_USERS_PASS_REGEX": "^(a+)+$"}).settings.secret_allowed("a" * 5000 + "!")


def test_the_cost_of_a_hash_has_bounds() -> None:
    for cost in ("3", "17"):
        with pytest.raises(SettingsError):
            load({"MG_USERS_BCRYPT_COST": cost})
