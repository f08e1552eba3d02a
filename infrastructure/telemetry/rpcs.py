"""Counts calls over gRPC as HTTP requests are counted, and where there are traces has each traced."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from infrastructure.telemetry.requests import BUCKETS, Timed

if TYPE_CHECKING:
    from infrastructure.telemetry.tracing import Tracing


class RpcTimes:
    """Times of calls by method and name of the status; `streams` tells how many streams are open."""

    def __init__(self) -> None:
        self.timed: dict[tuple[str, str], Timed] = {}
        self.streams: Callable[[], int] = lambda: 0

    def add(self, rpc: str, code: str, seconds: float) -> None:
        """Count a call that has ended. `rpc` is one of our methods, never what a caller made up."""
        timed = self.timed.get((rpc, code))
        if timed is None:
            timed = self.timed[rpc, code] = Timed(deque(maxlen=0))
        timed.counts[bisect_left(BUCKETS, seconds)] += 1
        timed.seconds += seconds


class RpcObserver:
    """Implements the gRPC interface's Observer, without traces."""

    def __init__(self, times: RpcTimes) -> None:
        self._times = times

    def began(self, traceparent: str) -> tuple[Any, str]:
        return None, traceparent

    def ended(self, mark: Any, rpc: str, code: str, seconds: float) -> None:
        self._times.add(rpc, code, seconds)


class TracedRpcObserver(RpcObserver):
    """The same, with a span around each call."""

    def __init__(self, times: RpcTimes, tracing: Tracing) -> None:
        super().__init__(times)
        self._tracing = tracing

    def began(self, traceparent: str) -> tuple[Any, str]:
        return self._tracing.served(traceparent, "gRPC")

    def ended(self, mark: Any, rpc: str, code: str, seconds: float) -> None:
        super().ended(mark, rpc, code, seconds)
        if mark is not None:
            self._tracing.end_rpc(mark, rpc, code)


def rpc_observer_of(times: RpcTimes, tracing: Tracing | None) -> RpcObserver:
    """What the gRPC interface tells of its calls."""
    return RpcObserver(times) if tracing is None else TracedRpcObserver(times, tracing)
