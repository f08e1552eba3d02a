"""Walks a list by the links in its answers, as a client does that never looks into a cursor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx

_NEXT = re.compile(r'<([^>]+)>; rel="next"')


def next_link(answer: httpx.Response) -> str | None:
    """Where the next page is, or None on the last one."""
    if (link := answer.headers.get("link")) is None:
        return None
    found = _NEXT.fullmatch(link)
    assert found, link
    return found[1]


async def walked(
    http: httpx.AsyncClient, path: str, question: Mapping[str, str], headers: dict[str, str]
) -> list[dict[str, Any]]:
    """Every page of a list, from the first to the last."""
    pages: list[dict[str, Any]] = []
    link: str | None = str(httpx.URL(path).copy_merge_params(dict(question)))
    while link is not None:
        answer = await http.get(link, headers=headers)
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        link = next_link(answer)
    return pages
