"""Decides whether there are traces: the libraries for them are large, and nobody else loads them."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from infrastructure.settings import Settings

if TYPE_CHECKING:
    from infrastructure.telemetry.tracing import Tracing


def tracing_of(settings: Settings, instance_id: str, role: str) -> Tracing | None:
    """What makes the spans of this process; None where the settings name no collector."""
    if settings.jaeger_url is None:
        return None
    from infrastructure.telemetry.tracing import Tracing

    return Tracing(
        settings.jaeger_url,
        settings.jaeger_trace_ratio,
        instance_id=instance_id,
        role=role,
        version=version("usersd"),
    )
