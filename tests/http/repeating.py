"""Requests that carry an Idempotency-Key, and what a repeat of one must be answered with."""

from __future__ import annotations

from uuid import uuid4

import httpx

from tests.support.service import Client

SAME = ("location", "usersd-position", "etag")


def keyed(headers: dict[str, str] | None = None, key: str | None = None) -> dict[str, str]:
    return {**(headers or {}), "Idempotency-Key": key or str(uuid4())}


def same_outcome(first: httpx.Response, again: httpx.Response) -> None:
    assert again.status_code == first.status_code, again.text
    assert again.headers["idempotency-replayed"] == "true"
    assert [again.headers.get(name) for name in SAME] == [first.headers.get(name) for name in SAME]
    assert again.json() == first.json()


async def head_of(client: Client) -> int:
    return await client.service.bus.ports.log.head()
