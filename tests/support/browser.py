"""A real Chromium without a window, spoken to over the two pipes of its DevTools protocol."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 30.0

_SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--metrics-recording-only", "--remote-debugging-pipe",
)  # fmt: skip


def executable() -> str:
    """Chromium, where it is installed; a test that needs it is skipped where it is not, but fails in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        why = "Chromium is not installed (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return found


class Page:
    """One tab. `complaints` is what the browser has said on its console, violations of policies included."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    @property
    def complaints(self) -> list[str]:
        return [text for session, text in self._browser.complaints if session == self._session]

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self._browser.call(method, parameters, self._session)

    async def open(self, url: str) -> None:
        await self._loads(self.call("Page.navigate", url=url))

    async def press(self, selector: str) -> None:
        """Click something that leads to another page, and wait for that."""
        await self._loads(self.js(f"document.querySelector({json.dumps(selector)}).click()"))

    async def type(self, selector: str, text: str) -> None:
        await self.js(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.call("Input.insertText", text=text)

    async def js(self, expression: str) -> Any:
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def text(self) -> str:
        return str(await self.js("document.body.innerText"))

    async def _loads(self, act: Any) -> None:
        before = self._browser.loaded.get(self._session, 0)
        await act
        async with asyncio.timeout(PATIENCE):
            while self._browser.loaded.get(self._session, 0) == before:
                await self._browser.heard.wait()


class Browser:
    """Commands out, answers and events in, each ended by a zero byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: int) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.loaded: dict[str, int] = {}
        self.complaints: list[tuple[str, str]] = []
        self.heard = asyncio.Event()

    async def call(
        self, method: str, parameters: dict[str, Any] | None = None, session: str = ""
    ) -> dict[str, Any]:
        self._number += 1
        command: dict[str, Any] = {"id": self._number, "method": method, "params": parameters or {}}
        if session:
            command["sessionId"] = session
        answer = self._waiting[self._number] = asyncio.get_running_loop().create_future()
        await asyncio.to_thread(os.write, self._writer, json.dumps(command).encode() + b"\0")
        async with asyncio.timeout(PATIENCE):
            found = await answer
        assert "error" not in found, (method, found["error"])
        result: dict[str, Any] = found["result"]
        return result

    async def listen(self) -> None:
        while True:
            message = json.loads((await self._reader.readuntil(b"\0"))[:-1])
            session = message.get("sessionId", "")
            if (waiting := self._waiting.pop(message.get("id", 0), None)) and not waiting.done():
                waiting.set_result(message)
            elif message.get("method") == "Page.loadEventFired":
                self.loaded[session] = self.loaded.get(session, 0) + 1
            elif message.get("method") == "Log.entryAdded":
                self.complaints.append((session, message["params"]["entry"]["text"]))
            self.heard.set()
            self.heard = asyncio.Event()

    async def page(self) -> Page:
        target = await self.call("Target.createTarget", {"url": "about:blank"})
        attached = await self.call("Target.attachToTarget", {"targetId": target["targetId"], "flatten": True})
        page = Page(self, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.call(f"{domain}.enable")
        return page


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser with an empty profile."""
    program = executable()
    profile = Path(tempfile.mkdtemp(prefix="usersd-browser-"))
    to_read, to_write = os.pipe()
    in_read, in_write = os.pipe()
    # The protocol is spoken on descriptors 3 and 4, whichever they are here.
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", f'exec "$@" 3<&{to_read} 4>&{in_write}', "bash", program,
        *_SWITCHES, f"--user-data-dir={profile}", "about:blank",
        pass_fds=(to_read, in_write), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    os.close(to_read)
    os.close(in_write)
    reader = asyncio.StreamReader(limit=16 * 1024 * 1024)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(in_read, "rb")
    )
    pipe = Browser(reader, to_write)
    listening = asyncio.create_task(pipe.listen())
    try:
        yield pipe
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        if process.returncode is None:
            process.kill()
        await process.wait()
        transport.close()
        os.close(to_write)
        shutil.rmtree(profile, ignore_errors=True)
