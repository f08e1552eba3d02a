"""HTTP/2 frame by frame, for what no well-behaved client would send (RFC 9113)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from hpack import Decoder, Encoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE = 20.0

Pair = tuple[str, str]


class Http2:
    """One connection, and what came in on it so far."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._encoder, self._decoder = Encoder(), Decoder()
        self._last = -1
        self.settings: dict[int, int] = {}
        self.answers: dict[int, list[Pair]] = {}
        self.resets: dict[int, int] = {}
        self.ended: set[int] = set()
        self.goaways: list[GoAwayFrame] = []
        self.closed = False
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    def head(self, path: str, more: Sequence[Pair] = ()) -> bytes:
        """The header block of a GET, compressed."""
        pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", "usersd"), (":path", path)]
        return bytes(self._encoder.encode([*pseudo, *more]))

    def ask(self, path: str, more: Sequence[Pair] = ()) -> int:
        """Send a request; the number of its stream."""
        frame = HeadersFrame(self.next_stream(), self.head(path, more), flags=["END_STREAM", "END_HEADERS"])
        self.send(frame)
        return frame.stream_id

    def next_stream(self) -> int:
        self._last += 2
        return self._last

    def send(self, *frames: Frame) -> None:
        if not self.closed:
            self._writer.write(b"".join(frame.serialize() for frame in frames))

    async def until(self, what: str) -> None:
        """Wait until an expression over this connection, `c`, holds, or the connection is closed."""
        async with asyncio.timeout(PATIENCE):
            while not eval(what, {"c": self}) and not self.closed:
                self._news.clear()
                await self._news.wait()

    async def status(self, stream: int) -> int:
        await self.until(f"{stream} in c.ended or {stream} in c.resets")
        return int(dict(self.answers[stream])[":status"])

    async def close(self) -> None:
        self._reading.cancel()
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        try:
            while True:
                frame, length = Frame.parse_frame_header(memoryview(await self._reader.readexactly(9)))
                frame.parse_body(memoryview(await self._reader.readexactly(length)))
                self._take(frame)
                self._news.set()
        except (OSError, asyncio.IncompleteReadError):
            self.closed = True
            self._news.set()

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            self.settings.update(frame.settings)
            self.send(SettingsFrame(flags=["ACK"]))
        elif isinstance(frame, PingFrame) and "ACK" not in frame.flags:
            self.send(PingFrame(opaque_data=frame.opaque_data, flags=["ACK"]))
        elif isinstance(frame, HeadersFrame):
            self.answers[frame.stream_id] = [(str(n), str(v)) for n, v in self._decoder.decode(frame.data)]
        elif isinstance(frame, RstStreamFrame):
            self.resets[frame.stream_id] = frame.error_code
        elif isinstance(frame, GoAwayFrame):
            self.goaways.append(frame)
        if isinstance(frame, DataFrame | HeadersFrame) and "END_STREAM" in frame.flags:
            self.ended.add(frame.stream_id)


@asynccontextmanager
async def http2(port: int, trust: ssl.SSLContext | None = None) -> AsyncIterator[Http2]:
    """A connection to 127.0.0.1, with prior knowledge where there is no TLS, that has greeted."""
    if trust is not None:
        trust.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust)
    writer.write(PREFACE)
    made = Http2(reader, writer)
    made.send(SettingsFrame())
    try:
        await made.until("c.settings")
        yield made
    finally:
        await made.close()
