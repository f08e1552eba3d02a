"""Where traces and telemetry go."""

from __future__ import annotations

from infrastructure.settings import inherited, kinds
from infrastructure.settings.variable import Group, Variable, both

OBSERVING = Group(
    "Observing",
    (
        Variable(
            "jaeger_url",
            both("JAEGER_URL"),
            kinds.WEB_URL,
            None,
            "The collector of traces, by OTLP over HTTP.",
            unset="no traces are sent",
            legacy=inherited.jaeger,
        ),
        Variable(
            "jaeger_trace_ratio",
            both("JAEGER_TRACE_RATIO"),
            kinds.RATIO,
            "1.0",
            "The share of requests that are traced.",
        ),
        Variable(
            "send_telemetry",
            both("SEND_TELEMETRY"),
            kinds.BOOL,
            "true",
            "Whether telemetry may be sent at all; it holds nothing personal.",
        ),
        Variable(
            "telemetry_url",
            ("MG_TELEMETRY_URL",),
            kinds.WEB_URL,
            None,
            "The receiver of telemetry.",
            unset="nothing is sent",
        ),
    ),
)
