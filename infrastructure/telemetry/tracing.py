"""Traces over OTLP; imported only where a collector is named, so that nobody else pays for the libraries.

A span's parent is always given by a traceparent (W3C Trace Context), the one that the event log holds too:
the request's, the command's, the append's, and from the log on that of the event. Nothing rides on context
variables. What a span says is an id, a position, a name of ours or a number; never what a caller sent.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from itertools import islice
from random import getrandbits, random
from typing import Any

from msgspec.structs import replace
from opentelemetry.context import Context as OtelContext
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from application.messages import Context
from application.ports import Change, Recorded, Unreadable
from domain.errors import Refusal
from interfaces.http.observing import TRACEPARENT

EXPORT_SECONDS = 2
"""Seconds that a delivery may take, and that a stop waits for the last one."""

EVERY_MILLISECONDS = 1_000
MOST_LINKS = 32
TRACED = "01"
"""The flags at the end of a traceparent that is to be recorded."""

FAULTS = ("error", "unavailable", "outcome_unknown")
RPC_FAULTS = ("INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED")

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")

log = logging.getLogger("usersd.telemetry")


class Tracing:
    """Makes spans and sends them. Raises nothing on account of the collector."""

    def __init__(self, url: str, ratio: float, *, instance_id: str, role: str, version: str) -> None:
        self._ratio = ratio
        # The libraries' own complaints come once per batch; the exporter below says it once per outage.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        resource = Resource.create(
            {
                "service.name": "users",
                "service.version": version,
                "service.instance.id": instance_id,
                "host.id": instance_id,
                "usersd.role": role,
            }
        )
        self._exporter = _Exporter(OTLPSpanExporter(endpoint=url, timeout=EXPORT_SECONDS))
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(self._exporter, schedule_delay_millis=EVERY_MILLISECONDS)
        )
        self._tracer = self._provider.get_tracer("usersd", version)

    def request(self, scope: MutableMapping[str, Any]) -> Span | None:
        """The span of an HTTP request, None where it is not traced; what its caller decided is obeyed."""
        sent = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
        span, scope[TRACEPARENT] = self.served(sent.decode("latin-1"), "HTTP")
        return span

    def served(self, sent: str, name: str) -> tuple[Span | None, str]:
        """The span of what a caller asked for, and the traceparent under which it is carried out."""
        # Of the flags only the first bit is known here; a parent that is none counts as absent.
        parent = sent[:-2] + f"{parsed.trace_flags:02x}" if (parsed := _parsed(sent)) else ""
        if not self._traced(parent):
            # The others need not decide again.
            return None, parent or f"00-{getrandbits(128):032x}-{getrandbits(64):016x}-00"
        span = self._begin(name, parent, SpanKind.SERVER)
        return span, traceparent_of(span)

    @staticmethod
    def end_request(span: Span, method: str, route: str, status: int) -> None:
        """End the span of an HTTP request, under the names that OpenTelemetry has for what it says."""
        span.update_name(f"{method} {route}")
        span.set_attributes(
            {"http.request.method": method, "http.route": route, "http.response.status_code": status}
        )
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    @staticmethod
    def end_rpc(span: Span, rpc: str, code: str) -> None:
        """End the span of a call over gRPC."""
        service, _, method = rpc.rpartition("/")
        span.update_name(rpc)
        span.set_attributes(
            {
                "rpc.system": "grpc",
                "rpc.service": service,
                "rpc.method": method,
                "rpc.response.status_code": code,
            }
        )
        if code in RPC_FAULTS:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def use_case(self, name: str, context: Context) -> UseCaseSpan | None:
        """The span of a command or query, None where it is not traced."""
        if not self._traced(context.traceparent):
            return None
        span = self._begin(name, context.traceparent)
        if context.actor.id is not None:
            span.set_attribute("user.id", str(context.actor.id))
        return UseCaseSpan(span, replace(context, traceparent=traceparent_of(span)))

    async def append(self, change: Change, store: Callable[[Change], Awaitable[int]]) -> int:
        """The position that `store` reached, in a span that the stored events name as their origin."""
        if change.context.traceparent[-2:] != TRACED:
            return await store(change)
        span = self._begin("append", change.context.traceparent, SpanKind.PRODUCER)
        span.set_attribute("usersd.user", str(change.after.id))
        span.set_attribute("usersd.events", [event.stored_name for event in change.events])
        try:
            position = await store(
                replace(change, context=replace(change.context, traceparent=traceparent_of(span)))
            )
            span.set_attribute("usersd.position", position)
            return position
        except Refusal as refusal:
            span.set_attribute("usersd.outcome", refusal.code)
            raise
        except Exception:
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            span.end()

    def page(self, name: str, page: Sequence[Recorded | Unreadable]) -> Callable[[], None] | None:
        """Begin the span of a page of the log; answers with what ends it, None where nothing is traced.

        It goes on the trace of the first traced event and is linked to those of others.
        """
        traced = (event for event in page if isinstance(event, Recorded) and event.traceparent[-2:] == TRACED)
        found = list(islice(traced, MOST_LINKS))
        if not found:
            return None
        others = dict.fromkeys(event.traceparent for event in found[1:])
        links = [Link(parsed) for text in others if (parsed := _parsed(text))]
        span = self._begin(name, found[0].traceparent, SpanKind.CONSUMER, links)
        span.set_attribute("usersd.position", page[-1].position)
        span.set_attribute("usersd.page", len(page))
        return span.end

    def flush(self) -> None:
        """Deliver what has gathered; blocks while it does."""
        self._provider.force_flush()

    async def close(self) -> None:
        """Deliver what is left, for EXPORT_SECONDS at most."""
        # A thread of its own: the loop's own threads are waited for when the process ends.
        stopping = threading.Thread(target=self._provider.shutdown, name="last traces", daemon=True)
        stopping.start()
        await asyncio.to_thread(stopping.join, EXPORT_SECONDS)
        if stopping.is_alive():
            await asyncio.to_thread(self._exporter.shutdown)

    def _traced(self, parent: str) -> bool:
        """What the parent says; where there is none the ratio decides, before anything costs anything."""
        return parent[-2:] == TRACED if parent else random() < self._ratio  # noqa: S311

    def _begin(
        self, name: str, parent: str, kind: SpanKind = SpanKind.INTERNAL, links: Sequence[Link] = ()
    ) -> Span:
        above = OtelContext()
        if parsed := _parsed(parent):
            above = set_span_in_context(NonRecordingSpan(parsed), above)
        return self._tracer.start_span(name, above, kind, links=links)


class UseCaseSpan:
    """Implements the bus's Span."""

    def __init__(self, span: Span, context: Context) -> None:
        self._span = span
        self.context = context

    def end(self, outcome: str) -> None:
        self._span.set_attribute("usersd.outcome", outcome)
        if outcome in FAULTS:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def traceparent_of(span: Span) -> str:
    """A span as the parent of others (W3C Trace Context, version 00)."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & TraceFlags.SAMPLED:02x}"


def _parsed(traceparent: str) -> SpanContext | None:
    if (found := _TRACEPARENT.fullmatch(traceparent)) is None:
        return None
    trace, span, flags = (int(part, 16) for part in found.groups())
    context = SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(flags & TraceFlags.SAMPLED))
    return context if context.is_valid else None


class _Exporter(SpanExporter):
    """Says once that the collector is away, and once that it is back."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._inner.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        away = result is not SpanExportResult.SUCCESS
        if away and not self._away:
            log.warning("traces are dropped: the collector that MG_JAEGER_URL names does not take them")
        elif self._away and not away:
            log.info("the collector takes traces again")
        self._away = away
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()
