"""A real HTTP server that keeps what it is sent: a collector of traces, a receiver of messages."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Received(msgspec.Struct, frozen=True):
    """One POST, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


class Span(msgspec.Struct, frozen=True):
    """A span as a collector reads it; ids in hexadecimal digits."""

    name: str
    trace: str
    id: str
    parent: str
    links: list[str]
    attributes: dict[str, Any]
    error: bool
    resource: dict[str, Any]


class Receiver:
    """What has been sent so far. While `silent` it takes connections and never answers."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.silent = threading.Event()
        self.released = threading.Event()
        self.url = ""

    @property
    def everything(self) -> bytes:
        return b"\n".join(repr(one).encode() + one.body for one in self.received)

    @property
    def spans(self) -> list[Span]:
        return [
            Span(
                name=span.name,
                trace=span.trace_id.hex(),
                id=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                links=[link.span_id.hex() for link in span.links],
                attributes={found.key: _value(found.value) for found in span.attributes},
                error=span.status.code == span.status.STATUS_CODE_ERROR,
                resource={found.key: _value(found.value) for found in resource.resource.attributes},
            )
            for one in self.received
            for resource in ExportTraceServiceRequest.FromString(one.body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def resource(self) -> dict[str, Any]:
        """What the first delivery said of its sender."""
        request = ExportTraceServiceRequest.FromString(self.received[0].body)
        return {found.key: _value(found.value) for found in request.resource_spans[0].resource.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind)
    return [_value(one) for one in found.values] if kind == "array_value" else found


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.received.append(Received(self.path, dict(self.headers), body))
            if kept.silent.is_set():
                kept.released.wait(30)
                return
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        kept.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
