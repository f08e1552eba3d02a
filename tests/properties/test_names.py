"""The key of a name, for every text."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from domain.values import check_email, check_name, name_key

letters = st.text(
    st.characters(categories=("Lu", "Ll", "Nd")).filter(
        # A few letters of scripts without case pairs change when raised, such as the dotless i.
        lambda c: c.upper().casefold() == c.casefold() == c.lower().casefold()
    ),
    max_size=12,
)


@given(st.text(max_size=30))
def test_the_key_of_a_key_is_the_key(text: str) -> None:
    assert name_key(name_key(text)) == name_key(text)


@given(letters)
def test_case_makes_no_difference(text: str) -> None:
    assert name_key(text.upper()) == name_key(text) == name_key(text.lower())


@given(st.text(max_size=30), st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
def test_the_way_a_text_is_composed_makes_no_difference(text: str, form: str) -> None:
    assert name_key(unicodedata.normalize(form, text)) == name_key(text)  # type: ignore[arg-type]


@given(st.text(st.characters(max_codepoint=127), max_size=30))
def test_the_short_way_for_ascii_is_the_long_way(text: str) -> None:
    assert name_key(text) == unicodedata.normalize("NFKC", text).casefold()


@given(st.text(max_size=20))
def test_whatever_is_taken_as_an_email_or_a_name_can_be_stored_and_has_a_key(text: str) -> None:
    if not list(check_email(text, "")):
        assert name_key(text).encode().count(b"\x00") == 0
    if not list(check_name(text, "", what="name")):
        assert "\x00" not in text.encode().decode()
