"""Rows of JSON that are nested deeper than anybody's metadata."""

from __future__ import annotations

import pytest

from infrastructure.importing.rows import read_json


@pytest.mark.parametrize("depth", [100, 495, 600, 999, 5_000])
def test_a_row_that_is_nested_deep_is_read_or_refused_and_stops_nobody(depth: int) -> None:
    nested = b'{"a":' * depth + b"1" + b"}" * depth
    read = read_json(b'{"id":"6f1d5c0e-8f0b-4d2c-9a55-0f7c2f6d3b10","metadata":' + nested + b"}")
    assert read.account is not None or read.faults
