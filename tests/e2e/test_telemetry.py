"""The program tells of itself over real HTTP; a collector that is not there does not keep it from ending."""

from __future__ import annotations

import json
import time

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.program import program

STOPS_WITHIN = 15.0
"""Seconds for everything that a stop does, its servers included; the traces may have two of them."""


def test_metrics_are_served_and_a_missing_collector_costs_one_line_and_no_stop() -> None:
    with program(MG_JAEGER_URL="http://127.0.0.1:1/v1/traces") as usersd:
        usersd.start()
        with httpx.Client(base_url=usersd.url, timeout=30, trust_env=False) as http:
            for path in ("/users/profile", "/nowhere", "/openapi.json"):
                http.get(path)
            answer = http.get("/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        found = {family.name: family for family in text_string_to_metric_families(answer.text)}
        assert [sample.value for sample in found["usersd_up_database"].samples] == [1]
        assert {sample.labels["relay"] for sample in found["usersd_relay_position"].samples} == {"users"}
        usersd.terminate()
        started = time.monotonic()
        assert usersd.wait() == 0, usersd.output()
        assert time.monotonic() - started < STOPS_WITHIN
        lines = [json.loads(line) for line in usersd.output("out").splitlines() if line.startswith("{")]
        assert {line["role"] for line in lines} == {"run"}
        assert len({line["instance_id"] for line in lines}) == 1
        told = [line["msg"] for line in lines if line["logger"] == "usersd.telemetry"]
        assert told == ["traces are dropped: the collector that MG_JAEGER_URL names does not take them"]
        assert not [line for line in lines if line["logger"].startswith(("opentelemetry", "urllib3"))]
