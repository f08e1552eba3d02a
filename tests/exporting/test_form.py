"""The canonical form: one text for one content, and no other text is taken for it."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st

from application.exporting import ExportRefused
from infrastructure.exporting.lines import (
    FORMAT,
    IN_ORDER,
    VERSION,
    Body,
    Counts,
    Header,
    Reader,
    Writer,
    decode,
    encode,
)
from infrastructure.exporting.sealing import ExportKey

KEY = ExportKey(b"k" * 32)

NUMBERS = st.integers(0, 2**63 - 1)
TIMES = st.integers(0, 2**47).map(lambda number: datetime.fromtimestamp(number / 2**16, UTC))
OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "int": NUMBERS,
    "str": st.text(max_size=30),
    "bytes": st.binary(max_size=60),
    "bool": st.booleans(),
    "UUID": st.uuids(),
    "datetime": TIMES,
    "list[str]": st.lists(st.text(max_size=5), max_size=3),
    "dict[str, int]": st.dictionaries(st.text(max_size=5), NUMBERS, max_size=3),
}


def _values(hint: str) -> st.SearchStrategy[Any]:
    bare = hint.removesuffix(" | None")
    return OF_TYPE[bare] if bare == hint else st.none() | OF_TYPE[bare]


def _of(kind: type[Body]) -> st.SearchStrategy[Body]:
    make: Callable[..., Body] = kind
    return st.builds(make, **{name: _values(hint) for name, hint in kind.__annotations__.items()})


BODIES = st.lists(st.one_of([_of(kind) for kind in IN_ORDER]), max_size=6).map(
    lambda lines: sorted(lines, key=lambda line: list(IN_ORDER).index(type(line)))
)


def header() -> Header:
    return Header(
        format=FORMAT,
        version=VERSION,
        key=KEY.id,
        position=0,
        hash="00",
        counts=Counts(signers=0, events=0, users=0, erasures=0, clients=0, checkpoints=0, discarded=0),
        first_admin=UUID(int=1),
        closed_epoch=0,
        checkpoint_key=b"x",
    )


def written(lines: list[Body]) -> bytes:
    file = io.BytesIO()
    writer = Writer(file, KEY)
    writer.put(header())
    for line in lines:
        writer.put(line)
    writer.end()
    return file.getvalue()


def read(text: bytes) -> list[Body]:
    reader = Reader(io.BytesIO(text), KEY, "it")
    reader.header()
    return list(reader.body())


@settings(max_examples=40, deadline=None)
@given(BODIES)
def test_what_is_written_is_read_and_written_again_the_same(lines: list[Body]) -> None:
    text = written(lines)
    assert read(text) == lines
    assert written(read(text)) == text
    for raw in text.splitlines():
        assert encode(decode(raw)) == raw


@settings(max_examples=40, deadline=None)
@given(BODIES, st.data())
def test_no_other_text_is_taken_for_it(lines: list[Body], data: st.DataObject) -> None:
    text = written(lines)
    place = data.draw(st.integers(0, len(text) - 1))
    cut = data.draw(st.sampled_from((text[:place], text[:place] + text[place + 1 :], text + text[place:])))
    other = text[:place] + bytes([text[place] ^ data.draw(st.integers(1, 255))]) + text[place + 1 :]
    for altered in (cut, other):
        with pytest.raises(ExportRefused):
            read(altered)


def test_a_line_without_an_end_is_not_read_into_memory() -> None:
    reads: list[int] = []

    class Endless(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            reads.append(size or -1)
            return b"x" * 10

    with pytest.raises(ExportRefused, match="not whole"):
        Reader(Endless(), KEY, "it").header()
    assert reads == [1 << 26]


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=80), st.binary(max_size=20), st.data())
def test_a_seal_is_the_same_each_time_and_opens_only_in_its_place(
    plain: bytes, place: bytes, data: st.DataObject
) -> None:
    sealed = KEY.seal(plain, b"user key", place)
    assert sealed == KEY.seal(plain, b"user key", place)
    assert KEY.unseal(sealed, b"user key", place) == plain
    elsewhere = KEY.seal(plain, b"user key", place + b"!")
    assert elsewhere != sealed
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
    for text, where in ((sealed, place + b"!"), (changed, place), (sealed[:10], place)):
        with pytest.raises(InvalidTag):
            KEY.unseal(text, b"user key", where)
    with pytest.raises(InvalidTag):
        ExportKey(b"o" * 32).unseal(sealed, b"user key", place)
