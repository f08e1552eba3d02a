"""The readers of files account for every line exactly once, whatever the bytes are."""

from __future__ import annotations

import io
from collections.abc import Iterator
from decimal import Decimal
from typing import BinaryIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from application.import_runs import UnfitSource
from application.importing import Offered
from infrastructure.importing.files import CsvSource, NdjsonSource
from infrastructure.importing.lines import MAX_LINE, lines
from infrastructure.importing.rows import LOST_DIGITS
from tests.importing.accounts import ndjson, row

PIECES = st.sampled_from(
    [b"\n", b"\r\n", b"\r", b'"', b'""', b",", b"{", b"}", b":", b"\x00", b"\xff", b"\xef\xbb\xbf", b" ",
     b"a", b"\\u0000", b"null", b'{"id":1}', "ß".encode(), "\u2028".encode(), ndjson([row(1)])]
)  # fmt: skip
ANYTHING = st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=40).map(b"".join))
HEADER = b"id,email,created_at\n"


def numbered(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Every line of a text by its number, worked out in another way; a blank one is nobody's."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    pieces = data.split(b"\n")
    for number, piece in enumerate(pieces, start=1):
        if piece.removesuffix(b"\r").strip():
            yield number, piece.removesuffix(b"\r") if number < len(pieces) else piece


@given(ANYTHING)
@example(b"\xef\xbb\xbf{}\r\n\r\n{}")
def test_every_line_of_ndjson_is_offered_once_in_order(data: bytes) -> None:
    offered = list(NdjsonSource(stream=io.BytesIO(data)).offered())
    assert [(each.place, each.raw) for each in offered] == list(numbered(data))
    assert all((each.account is None) == bool(each.faults) for each in offered)


@given(ANYTHING)
@example(b'"a\nb",c,d\n1,2,3\n')
@example(b'a,"b\nc,d,e\n')
def test_every_line_of_csv_is_in_one_record_and_in_order(data: bytes) -> None:
    data = data.replace(b"\xef\xbb\xbf", b"")
    offered = list(CsvSource(stream=io.BytesIO(HEADER + data)).offered())
    told = b"\n".join(each.raw or b"" for each in offered).split(b"\n") if offered else []
    expected = [line for _, line in numbered(HEADER + data)][1:]
    assert [line for line in told if line.removesuffix(b"\r").strip()] == expected
    places = [each.place for each in offered]
    assert places == sorted(set(places))


@given(ANYTHING, st.integers(1, 8))
def test_lines_that_are_too_long_are_counted_and_skipped(data: bytes, limit: int) -> None:
    found = list(lines(io.BytesIO(data), limit))
    pieces = data.split(b"\n")
    assert len(found) == len(pieces) - (pieces[-1] == b"")
    for line, piece in zip(found, pieces, strict=False):
        if line.data is not None:
            assert len(line.data) <= limit
        elif line.number > 1:
            assert len(piece) > limit


class Flood(io.RawIOBase):
    """A line of so many bytes, and then a short one: never as a whole in memory."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._after = b"\n{}\n"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        part = b"x" * min(len(view), self._left) if self._left else self._after[: len(view)]
        if self._left:
            self._left -= len(part)
        else:
            self._after = self._after[len(part) :]
        view[: len(part)] = part
        return len(part)


def test_a_line_of_10_megabytes_is_named_and_skipped() -> None:
    stream: BinaryIO = io.BufferedReader(Flood(10 * MAX_LINE))
    first, second = NdjsonSource(stream=stream).offered()
    assert (first.place, first.account, first.raw) == (1, None, None)
    assert "bytes" in first.faults[0].message
    assert (second.place, second.raw) == (2, b"{}")


def test_a_last_line_that_is_half_written_says_so() -> None:
    whole, half = ndjson([row(1)]), ndjson([row(2)])[:40]
    offered = list(NdjsonSource(stream=io.BytesIO(whole + half)).offered())
    assert offered[0].account is not None
    assert [fault.message for fault in offered[1].faults][1:] == ["The file ends in the middle of this row."]
    # One without a line feed is whole where it can be read.
    assert next(NdjsonSource(stream=io.BytesIO(whole[:-1])).offered()).account is not None


def test_reading_goes_on_behind_a_place() -> None:
    data = ndjson(row(number) for number in range(5))
    assert [each.place for each in NdjsonSource(stream=io.BytesIO(data)).offered(after=3)] == [4, 5]
    records = HEADER + b'a,"b\nb",c\nd,e,f\n'
    assert [each.place for each in CsvSource(stream=io.BytesIO(records)).offered(after=2)] == [4]


def one(data: bytes) -> Offered:
    (offered,) = NdjsonSource(stream=io.BytesIO(data)).offered()
    return offered


@pytest.mark.parametrize(
    ("data", "pointer", "says"),
    [
        (b'{"id":\n', "", "JSON"),
        (b"[1]\n", "", "one JSON object"),
        (b"[" * 5000 + b"\n", "", ""),
        (b'{"id":"\xff"}\n', "", "UTF-8"),
        ('{"id":"x"}\n'.encode("utf-16"), "", "UTF-8"),
        (ndjson([row(1)]).replace(b'"user1"', b'"user1","username":"other"'), "", "twice"),
        (ndjson([row(1, metadata={})]).replace(b"{}", b'{"a":1,"a":2}'), "", "twice"),
        (ndjson([row(1)]).replace(b"user1@", b"\\ud800@"), "", "JSON"),
        (ndjson([row(1, metadata={"a": 0})]).replace(b'"a": 0', b'"a": 1e999'), "", "JSON"),
        (ndjson([row(1, metadata={"a": 0})]).replace(b'"a": 0', b'"a": NaN'), "", "JSON"),
        (b'{"email":"a@example.com"}\n', "/id", "needed"),
        (ndjson([row(1, id="5")]), "/id", "UUID"),
        (ndjson([row(1, created_at="yesterday")]), "/created_at", "RFC 3339"),
        (ndjson([row(1, created_at=17)]), "/created_at", "RFC 3339"),
        (ndjson([row(1, status=BaseException.__name__)]), "/status", "enabled"),
        (ndjson([row(1, tags="a")]), "/tags", "array"),
        (ndjson([row(1, metadata=[])]), "/metadata", "object"),
        (ndjson([row(1, first_name=1)]), "/first_name", "string"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_line_is_named(data: bytes, pointer: str, says: str) -> None:
    offered = one(data.replace(b"\n", b"") + b"\n")
    assert offered.account is None
    assert offered.faults[0].pointer == pointer
    assert says in offered.faults[0].message
    assert offered.raw is not None


def test_no_fault_repeats_a_value() -> None:
    for field in row(1):
        for value in ("$2b$wrong-place", 17, ["$2b$wrong-place"]):
            offered = one(ndjson([row(1, **{field: value})]))
            assert "wrong-place" not in str(offered.faults)
    assert "wrong-place" not in str(one(ndjson([row(1, status="$2b$wrong-place")])).faults)


def test_null_is_as_good_as_nothing_and_unknown_keys_are_named() -> None:
    offered = one(ndjson([row(1, username=None, domain="d", **{"a@example.com": 1})]))
    assert offered.account is not None
    assert offered.account.username is None
    assert offered.unkept == ("(a key that is no plain word)", "domain")


def test_csv_holds_quoted_commas_quotes_line_feeds_and_json() -> None:
    text = (
        "\ufeffid,email,created_at,first_name,tags,metadata,extra\r\n"
        f'{row(1)["id"]},a@example.com,2021-01-01T00:00:00Z,"Ada ""A"", Countess","[""x"",""y""]",'
        '"{\r\n""a"": 1}",more\r\n'
        f"{row(2)['id']},b@example.com,2021-01-01T00:00:00Z,,,,\r\n"
    )
    first, second = CsvSource(stream=io.BytesIO(text.encode())).offered()
    assert first.account is not None
    assert first.account.first_name == 'Ada "A", Countess'
    assert (first.account.tags, first.account.metadata) == (["x", "y"], {"a": 1})
    assert first.unkept == ("extra",)
    assert (first.place, second.place) == (2, 4)
    assert second.account is not None
    assert second.account.first_name == ""


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ('{""a"": 1, ""a"": 2}', "twice"),
        ('{""a"": {""b"": 1, ""b"": 1}}', "twice"),
        ("{", "not JSON"),
        ("[" * 2000, "deep"),
    ],
    ids=["twice", "twice within", "half", "deep"],
)
@pytest.mark.parametrize("column", ["metadata", "private_metadata", "tags"])
def test_a_cell_of_json_is_read_as_strictly_as_a_line(column: str, cell: str, says: str) -> None:
    text = f'id,email,created_at,{column}\n{row(1)["id"]},a@example.com,2021-01-01T00:00:00Z,"{cell}"\n'
    (offered,) = CsvSource(stream=io.BytesIO(text.encode())).offered()
    assert offered.account is None
    assert offered.faults[0].pointer == f"/{column}"
    assert says in offered.faults[0].message


NUMBERS = [
    ("0.1234567890123456789", True), ("9007199254740993.0", True), ("1e-400", True), ("4e-324", True),
    ("4.35", False), ("0.10000000000000000", False), ("1e23", False), ("9007199254740993", False),
    ("-0.0", False), ("1.7976931348623157e308", False), ("5e-324", False),
]  # fmt: skip


@pytest.mark.parametrize(("number", "lost"), NUMBERS)
def test_a_number_that_loses_digits_is_named(number: str, lost: bool) -> None:
    line = ndjson([row(1, metadata={"a": {"b": ["1234567890.1234567890", 7.25]}})])
    offered = one(line.replace(b"7.25", number.encode()))
    assert offered.account is not None
    assert offered.unkept == ((LOST_DIGITS,) if lost else ())
    text = f'id,email,created_at,metadata\n{row(1)["id"]},a@b.c,2021-01-01T00:00:00Z,"{{""a"": {number}}}"\n'
    (cell,) = CsvSource(stream=io.BytesIO(text.encode())).offered()
    assert cell.unkept == offered.unkept


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 30))
def test_a_number_keeps_its_digits_or_is_named(number: float, digits: int) -> None:
    written = f"{number:.{digits}e}"
    offered = one(ndjson([row(1, metadata={"a": 7.25})]).replace(b"7.25", written.encode()))
    kept = offered.account is not None and Decimal(repr(offered.account.metadata["a"])) == Decimal(written)
    assert kept or offered.faults or offered.unkept == (LOST_DIGITS,)
    assert not (kept and offered.unkept)


def test_a_quote_that_nobody_closes_costs_its_own_line_only() -> None:
    good = [f"{row(number)['id']},u{number}@example.com,2021-01-01T00:00:00Z\n" for number in range(4)]
    text = (
        "id,email,created_at\n" + good[0] + 'x,"y,z\n' + good[1] + 'x,y"z,z\n' + good[2] + 'x,"y\n' + good[3]
    )
    offered = list(CsvSource(stream=io.BytesIO(text.encode())).offered())
    assert [each.account is not None for each in offered] == [True, False, True, False, True, False, True]
    assert "quote" in offered[1].faults[0].message


@pytest.mark.parametrize(
    "data", [b"", b"email,id\n", b"id,email,created_at,id\n", b"\xff\xfei\x00", b"id;email;created_at\n"]
)
def test_a_csv_whose_columns_have_no_names_is_refused_as_a_whole(data: bytes) -> None:
    with pytest.raises(UnfitSource):
        CsvSource(stream=io.BytesIO(data))
