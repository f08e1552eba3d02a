"""Paths, ids and queries that nobody should send: always a 4xx, and nothing stored."""

from __future__ import annotations

import pytest

from tests.http.answers import accepted, refused, send_raw
from tests.http.conftest import Cast

QUERIES = {
    b"limit=0": ["/limit"],
    b"limit=101": ["/limit"],
    b"limit=-1": ["/limit"],
    b"limit=100000000000000000000": ["/limit"],
    b"limit=" + b"9" * 5000: ["/limit"],
    b"limit=1e1": ["/limit"],
    b"limit=10.0": ["/limit"],
    b"limit=1_0": ["/limit"],
    b"limit=+1": ["/limit"],
    b"limit=%EF%BC%91": ["/limit"],
    b"limit=ten": ["/limit"],
    b"offset=-1": ["/offset"],
    b"offset=2147483648": ["/offset"],
    b"offset=-100000000000000000000": ["/offset"],
    b"limit=1&limit=1": ["/limit"],
    b"limit=0&offset=-1&dir=up": ["/limit", "/offset", "/dir"],
    b"offset=%00": ["/offset", "/offset"],
    b"limit=%ff": [""],
    b"limit=%zz": [""],
    b"limit=1%": [""],
    b"limit=1%2": [""],
    b"limit=1&x=%": [""],
    b"x=%C3%28": [""],
    b"&".join(b"a=1" for _ in range(101)): [""],
}

LIST_QUERIES = {
    b"order=name": ["/order"],
    b"order=id": ["/order"],
    b"order=email;drop": ["/order"],
    b"dir=ASC": ["/dir"],
    b"status=Enabled": ["/status"],
    b"status=erased": ["/status"],
    b"status=1": ["/status"],
    b"role=2": ["/role"],
    b"email=a%00b": ["/email"],
    b"email=a&email=b": ["/email"],
    b"username=%00": ["/username"],
    b"first_name=%00&last_name=%00": ["/first_name", "/last_name"],
}


@pytest.mark.parametrize(("query", "pointers"), (QUERIES | LIST_QUERIES).items())
async def test_a_faulty_query_of_a_list_is_refused_and_pointed_at(
    cast: Cast, query: bytes, pointers: list[str]
) -> None:
    answer = await send_raw(cast.client, b"/users?" + query, headers=cast.admin)
    assert answer.status_code == 400
    assert set(pointers) == {fault["pointer"] for fault in answer.json()["errors"]}


@pytest.mark.parametrize("query", [query for query, pointers in QUERIES.items() if "/dir" not in pointers])
async def test_a_faulty_query_of_a_history_is_refused(cast: Cast, query: bytes) -> None:
    target = f"{cast.path}/history?".encode() + query
    assert (await send_raw(cast.client, target, headers=cast.admin)).status_code == 400


@pytest.mark.parametrize(
    "query", [b"", b"&&", b"a&b&=", b"x=1&x=2", b"LIMIT=0", b"limit=007", b"x=%00", b"email=%25%5F", b"a;b"]
)
async def test_what_is_not_known_or_means_nothing_is_ignored(cast: Cast, query: bytes) -> None:
    accepted(await send_raw(cast.client, b"/users?" + query, headers=cast.admin))


def odd_ids(known: str) -> dict[str, bytes]:
    """Spellings that are no id of ours, made of one that is."""
    return {
        "word": b"nobody",
        "number": b"1",
        "upper case": known.upper().encode(),
        "braces": b"{" + known.encode() + b"}",
        "no dashes": known.replace("-", "").encode(),
        "dashes elsewhere": known.replace("-", "", 2).encode() + b"--",
        "URN": b"urn:uuid:" + known.encode(),
        "underscores": known.replace("-", "_").encode(),
        "line feed": known.encode() + b"%0a",
        "blank": b"%20" + known.encode(),
        "NUL": b"a%00b",
        "NUL after it": known.encode() + b"%00",
        "broken escape": b"%zz",
        "half an escape": b"%",
        "invalid UTF-8": b"%ff%fe",
        "not ASCII": b"%F0%9F%99%82",
        "dots": b"..%2f..%2fetc",
        "quote": b"%27%20OR%201=1--",
        "long": b"x" * 8000,
    }


@pytest.mark.parametrize("kind", odd_ids(""))
async def test_what_is_no_id_belongs_to_nobody(cast: Cast, nothing_stored: None, kind: str) -> None:
    target = b"/users/" + odd_ids(cast.user["id"])[kind]
    http = cast.client.http
    for headers in (cast.admin, cast.user_headers):
        refused(await send_raw(cast.client, target, headers=headers), 404, "not_found")
        answer = await send_raw(cast.client, target + b"/history", headers=headers)
        assert answer.status_code == 404
    url = http.base_url.copy_with(raw_path=target)
    refused(await http.patch(url, json={"first_name": "X"}, headers=cast.admin), 404, "not_found")
    for verb in (b"/disable", b"/enable"):
        url = http.base_url.copy_with(raw_path=target + verb)
        assert (await http.post(url, headers=cast.admin)).status_code == 404


@pytest.mark.parametrize(
    "target",
    [b"/%00", b"/users%00", b"/%ff", b"/%", b"/users/../users/x/y/z", b"/" + b"a/" * 500, b"//", b"/*"],
)
async def test_an_odd_path_is_404(cast: Cast, target: bytes) -> None:
    refused(await send_raw(cast.client, target, headers=cast.admin), 404, "not_found")
