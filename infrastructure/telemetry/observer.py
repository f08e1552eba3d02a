"""Tells the counters, and where there are traces the tracer, of each HTTP request."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from infrastructure.telemetry.metrics import Metrics
from infrastructure.telemetry.requests import METHODS, OTHER, RequestTimes

if TYPE_CHECKING:
    from infrastructure.telemetry.tracing import Tracing

UNTRACED = frozenset({"/metrics", "/livez", "/readyz", "/health"})
"""What machines ask for every few seconds; traces of it would bury the others."""

_SPAN = "usersd.span"


def observer_of(metrics: Metrics, tracing: Tracing | None) -> RequestObserver:
    """What the HTTP interface tells of its requests."""
    if tracing is None:
        return RequestObserver(metrics.requests)
    return TracedRequestObserver(metrics.requests, tracing)


class RequestObserver:
    """Implements the HTTP interface's Observer, without traces."""

    def __init__(self, times: RequestTimes) -> None:
        self._times = times

    def began(self, scope: MutableMapping[str, Any]) -> None:
        pass

    def ended(self, scope: MutableMapping[str, Any], route: str, status: int, seconds: float) -> None:
        self._times.add(scope["method"], route, status, seconds)


class TracedRequestObserver(RequestObserver):
    """The same, with a span around each request."""

    def __init__(self, times: RequestTimes, tracing: Tracing) -> None:
        super().__init__(times)
        self._tracing = tracing

    def began(self, scope: MutableMapping[str, Any]) -> None:
        if scope["path"] not in UNTRACED and (span := self._tracing.request(scope)):
            scope[_SPAN] = span

    def ended(self, scope: MutableMapping[str, Any], route: str, status: int, seconds: float) -> None:
        super().ended(scope, route, status, seconds)
        if span := scope.get(_SPAN):
            method = scope["method"]
            self._tracing.end_request(span, method if method in METHODS else OTHER, route, status)
