"""A user's document and its way back, for every user."""

from __future__ import annotations

import msgspec
from hypothesis import given
from msgspec.structs import replace

from application.documents import parse_document, render_card, render_document
from domain.user import User
from tests.properties.strategies import users


@given(users)
def test_a_document_parses_to_the_user_it_was_rendered_from_but_for_the_epoch(user: User) -> None:
    parsed = parse_document(render_document(user), user.version)
    assert parsed == replace(user, epoch=1)
    assert msgspec.json.encode(parsed) == msgspec.json.encode(replace(user, epoch=1))


@given(users)
def test_rendering_what_was_parsed_gives_the_same_bytes(user: User) -> None:
    document = render_document(user)
    assert render_document(parse_document(document, user.version)) == document


@given(users)
def test_the_public_card_never_holds_what_is_not_public(user: User) -> None:
    card = msgspec.json.decode(render_card(user))
    assert not {"email", "tags", "private_metadata", "updated_by", "auth_provider"} & card.keys()
    assert "identity" not in card["credentials"]
    marked = replace(user, email="PRIVATE", private_metadata={"PRIVATE": 1}, tags=["PRIVATE"], role=user.role)
    assert b"PRIVATE" not in render_card(marked)
