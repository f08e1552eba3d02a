"""A short run of the fuzzer, and what it stands on: a search that finds, a run that can be repeated."""

from __future__ import annotations

import base64
import json
import os
import random

import pytest

from tests.fuzz import canaries
from tests.fuzz.verdict import fuzzed
from tests.fuzz.wire import parsed

REQUESTS = int(os.environ.get("USERSD_FUZZ_REQUESTS", "500"))


async def test_nothing_that_is_sent_breaks_the_service_or_comes_out_where_it_must_not() -> None:
    report, wrong = await fuzzed(seconds=0, seed=1, requests=REQUESTS)
    assert not wrong, "\n".join(wrong)
    assert report.requests == REQUESTS
    assert {"200", "201"} <= set().union(*report.by_route.values()), "some of it was understood"


@pytest.mark.parametrize("kind", canaries.KINDS)
def test_a_canary_is_found_in_any_spelling(kind: canaries.Kind) -> None:
    canary = canaries.mint(kind, random.Random(1)).encode()
    spellings = [canary, canary.upper(), canary.hex().encode(), b'{"a":"' + canary + b'\\u0000"}']
    spellings += [base64.b64encode(b"x" * shift + canary + b"yz") for shift in range(6)]
    for spelling in spellings:
        assert kind in canaries.found(b"before " + spelling + b" after"), spelling


def test_tokens_and_hashes_are_found_and_ordinary_text_is_not() -> None:
    token = b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl"
    assert canaries.found(b"Bearer " + token).keys() == {"jwt"}
    assert canaries.found(b"$2b$04$abcdefghijklmnopqrstuv").keys() == {"hash"}
    assert not canaries.found(b'{"time":"2026-01-01T00:00:00Z","route":"/users/{user_id}"}')


def test_a_checkpoint_is_no_token_even_where_its_header_is_cut() -> None:
    said = json.dumps({"at": "", "count": 1, "hash": "", "number": 1, "position": 1, "previous": ""}).encode()
    header, payload = (
        base64.urlsafe_b64encode(part).rstrip(b"=")
        for part in (b'{"alg":"ES256","typ":"usersd-log-checkpoint+json"}', said)
    )
    signed = header + b"." + payload + b".c2lnbmF0dXJlc2lnbmF0dXJl"
    assert not canaries.found(signed)
    assert not canaries.found(signed[7:])
    assert canaries.found(signed[7:].replace(payload, payload[:-40])).keys() == {"jwt"}


def test_answers_on_one_connection_are_told_apart() -> None:
    first = b"HTTP/1.1 204 No Content\r\nAllow: GET\r\n\r\n"
    second = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno"
    third = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    answers, rest = parsed(first + second + third + b"more")
    assert [(answer.status, answer.body) for answer in answers] == [(204, b""), (400, b"no"), (200, b"abc")]
    assert rest == b"more"
