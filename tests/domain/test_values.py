"""Emails, usernames, names, tags, pictures, metadata, secrets: what is taken and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from domain import values
from domain.values import name_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ADA@example.com", "ada@EXAMPLE.com"),
        ("Straße@a.example", "STRASSE@A.EXAMPLE"),
        ("ﬁn@a.example", "FIN@a.example"),
        ("ａｄａ@a.example", "ada@a.example"),
        ("e\u0301@a.example", "É@a.example"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
    ],
)
def test_spellings_of_one_name_have_one_key(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize(("one", "other"), [("ada", "adа"), ("o", "0"), ("e", "é")])
def test_different_names_have_different_keys(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


@pytest.mark.parametrize(
    "email", ["a@b", "ada+lists@example.com", "jörg@exämple.de", "o'brien@x.org", "x" * 242 + "@example.com"]
)
def test_emails_that_are_taken(email: str) -> None:
    assert list(values.check_email(email, "/email")) == []


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ada",
        "@b",
        "a@",
        "a@b@c",
        "a b@c",
        "a..b@c",
        "<a@b>",
        "a\u200b@b",
        "a\u202e@b",
        "a\x00@b",
        "a\u0378@b",
        "a\ud800@b",
        "x" * 243 + "@example.com",
        "é" * 122 + "@example.com",
    ],
)
def test_emails_that_are_refused(email: str) -> None:
    (fault,) = values.check_email(email, "/email")
    assert fault.pointer == "/email"


@pytest.mark.parametrize("username", ["a", "0", "Ada", "ada_lovelace-1", "a_-_b", "x" * 32])
def test_usernames_that_are_taken(username: str) -> None:
    assert list(values.check_username(username, "/u")) == []


@pytest.mark.parametrize("username", ["", "_a", "-a", "a__b", "a--b", "a.b", "a@b", "é", "x" * 33, "a\n"])
def test_usernames_that_are_refused(username: str) -> None:
    assert len(list(values.check_username(username, "/u"))) == 1


@pytest.mark.parametrize("name", ["", "Ada", "王", "O’Brien", "a b", "👩🏽‍💻", "x" * 254])
def test_names_that_are_taken(name: str) -> None:
    assert list(values.check_name(name, "/n", what="name")) == []


@pytest.mark.parametrize("name", ["a\x00", "a\nb", "\x7f", "\u0378", "\U000e0080", "\ud800", "x" * 255])
def test_names_with_control_or_unassigned_characters_are_refused(name: str) -> None:
    assert len(list(values.check_name(name, "/n", what="name"))) == 1


def test_a_needed_name_is_needed() -> None:
    assert len(list(values.check_name("", "/n", what="first name", needed=True))) == 1


def test_a_fault_never_repeats_what_was_entered() -> None:
    faults = [*values.check_name("hunter2\x00", "/n", what="name"), *values.check_email("hunter2", "/e")]
    assert len(faults) == 2
    assert not any("hunter2" in fault.message for fault in faults)


def test_tags_are_counted_and_each_fault_points_to_its_tag() -> None:
    assert list(values.check_tags(["a"] * 100, "/tags")) == []
    assert [fault.pointer for fault in values.check_tags(["a"] * 101, "/tags")] == ["/tags"]
    assert [f.pointer for f in values.check_tags(["a", "\x00", "x" * 255], "/tags")] == ["/tags/1", "/tags/2"]


@pytest.mark.parametrize("url", ["", "https://a.example/p.png?x=1#y", "/relative", "x" * 2048])
def test_pictures_that_are_taken(url: str) -> None:
    assert list(values.check_picture(url, "/p")) == []


@pytest.mark.parametrize("url", ["a b", "a\nb", "<script>", 'a"b', "x" * 2049, "a\u0378"])
def test_pictures_that_are_refused(url: str) -> None:
    assert len(list(values.check_picture(url, "/p"))) == 1


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [{}, {"a": [1, 2.5, None, True, "x"]}, _nested(32), 2**63 - 1, -(2**63) + 1, {"~/": 1}]
)
def test_metadata_that_is_taken(value: Any) -> None:
    assert list(values.check_metadata(value, "/m")) == []


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({"a": {"b~/": 2**63}}, "/m/a/b~0~1"),
        ({"a": [0, "\x00"]}, "/m/a/1"),
        ({"a\x00": 1}, "/m"),
        (-(2**63), "/m"),
        (_nested(33), "/m" + "/0" * 33),
    ],
)
def test_metadata_that_is_refused_is_pointed_at(value: Any, pointer: str) -> None:
    assert [fault.pointer for fault in values.check_metadata(value, "/m")] == [pointer]


def _secret(entered: str, *, allowed: bool = True) -> list[str]:
    return [fault.message for fault in values.check_secret(entered, "/s", allowed=lambda _: allowed)]


def test_a_secret_of_72_bytes_is_taken_and_one_more_byte_is_refused_in_words() -> None:
    assert _secret("x" * 72) == []
    assert _secret("é" * 36) == []
    assert "72 bytes" in _secret("x" * 73)[0]
    assert "72 bytes" in _secret("é" * 36 + "x")[0]


def test_an_empty_secret_or_one_outside_the_policy_is_refused() -> None:
    assert _secret("")
    assert _secret("12345678", allowed=False)


def test_a_secret_that_bcrypt_could_take_for_a_shorter_one_is_refused() -> None:
    assert _secret("abc\x00abc")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1" * 36,
        "00000000-0000-0000-0000-00000000000g",
        "0B1E9D0E-1111-4222-8333-ABCDEFABCDEF",
        "{0b1e9d0e111142228333abcdefabcdef}--",
        "0b1e9d0e-1111-4222-8333-abcdefabcdef\n",
    ],
)
def test_a_text_that_is_no_user_id_is_none(text: str) -> None:
    assert values.user_id(text) is None


def test_a_user_id_is_read_in_the_form_in_which_it_is_shown() -> None:
    text = "0b1e9d0e-1111-4222-8333-abcdefabcdef"
    assert str(values.user_id(text)) == text
