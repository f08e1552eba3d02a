"""What the line of a request says of it."""

from __future__ import annotations

import json

import pytest

from interfaces.http.access_log import AccessLog


@pytest.mark.parametrize(
    ("sent", "told"), [("GET", "GET"), ("PATCH", "PATCH"), ("get", "other"), ("changeMe123", "other")]
)
async def test_a_method_that_is_none_is_not_repeated(sent: str, told: str) -> None:
    written: list[bytes] = []
    access_log = AccessLog(written.append)
    access_log.add(sent, "unmatched", 405, 0.001, "1")
    access_log.flush()
    assert json.loads(written[0])["method"] == told


async def test_of_probes_only_those_that_fail_are_told() -> None:
    written: list[bytes] = []
    access_log = AccessLog(written.append)
    access_log.add("GET", "/readyz", 200, 0.001, "1")
    access_log.add("GET", "/readyz", 503, 0.001, "2")
    access_log.flush()
    assert [json.loads(line)["request_id"] for line in b"".join(written).splitlines()] == ["2"]
