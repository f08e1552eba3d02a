"""ASGI applications that show what a server does with requests, without a service behind them."""

from __future__ import annotations

import asyncio
import json
from typing import Any


class Telling:
    """Answers with what it was asked by; `/waits` only once `go` is set, `/parts` in parts until then."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        self.asked.set()
        if scope["path"] == "/waits":
            await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while scope["path"] == "/parts" and not self.go.is_set():
            await send({"type": "http.response.body", "body": b"part\n", "more_body": True})
            await asyncio.sleep(0.01)
        told = {"version": scope["http_version"], "scheme": scope["scheme"], "path": scope["path"]}
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})
