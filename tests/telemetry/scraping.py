"""A scrape, read with the parser of the library that Prometheus's own users read it with."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.service import Client


async def scraped(client: Client) -> str:
    """The text of /metrics."""
    answer = await client.http.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def families(text: str) -> dict[str, Any]:
    """By the name that stands in the text."""
    return {
        found.name + "_total" if f"# TYPE {found.name}_total " in text else found.name: found
        for found in text_string_to_metric_families(text)
    }


def value(text: str, name: str, **labels: str) -> float:
    """The value of the one sample with this name and these labels."""
    found = [
        sample.value
        for family in families(text).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) == 1, (name, labels, found)
    return float(found[0])
