"""The dashboard for Grafana shows every metric, and asks for none that is not there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infrastructure.telemetry.catalogue import BY_NAME
from tests.telemetry.promql import result_of
from tests.telemetry.test_alerts import RULES, probes_in

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboards" / "usersd.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
OF_GRAFANA_ITSELF = {"row", "timeseries", "stat"}
OLDEST_SCHEMA = 39
ROWS = [
    "At a glance", "Requests", "Logins and hashing", "Append", "Read models", "Relays and reactors", "Mails",
    "Database and pools", "Upkeep", "Processes",
]  # fmt: skip
FOR_OTHER_DASHBOARDS = {"users_api_request_count", "users_api_request_latency_microseconds"}
"""The originals' names are there for the dashboards of the originals."""


def test_it_is_a_dashboard_that_grafana_reads_without_a_plugin() -> None:
    assert DASHBOARD["schemaVersion"] >= OLDEST_SCHEMA
    assert (DASHBOARD["uid"], DASHBOARD["title"], DASHBOARD["id"]) == ("usersd", "usersd", None)
    assert {panel["type"] for panel in PANELS} == OF_GRAFANA_ITSELF
    assert [panel["title"] for panel in PANELS if panel["type"] == "row"] == ROWS
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)


def test_whoever_has_another_data_source_can_choose_it() -> None:
    variables = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert variables["instance"]["definition"] == "label_values(usersd_build_info, instance)"
    for panel in SHOWN:
        chosen = {"type": "prometheus", "uid": "${datasource}"}
        assert panel["datasource"] == chosen
        assert all(target["datasource"] == chosen for target in panel["targets"])


def test_no_panel_lies_over_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("panel", SHOWN, ids=lambda panel: f"{panel['id']} {panel['title']}")
def test_a_panel_asks_for_what_is_there_and_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    for target in panel["targets"]:
        result = result_of(target["expr"])
        assert not probes_in(result), "probes and scrapes are nobody's requests"
        labels = result.labels or frozenset()
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        assert named <= labels, f"{target['expr']} has no label {named - labels}"
        told_apart = labels - {"job"}
        assert not told_apart or named, f"the lines of {target['expr']} all have one name"


def test_its_annotations_ask_for_what_is_there() -> None:
    for one in DASHBOARD["annotations"]["list"]:
        if "expr" in one:
            assert result_of(one["expr"]).names


def test_every_metric_is_shown_or_watched() -> None:
    queries = [target["expr"] for panel in SHOWN for target in panel["targets"]]
    asked = {name for query in queries + [rule["expr"] for rule in RULES] for name in result_of(query).names}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked} | asked
    assert BY_NAME.keys() - families == FOR_OTHER_DASHBOARDS


def test_grafana_finds_the_dashboard_and_prometheus() -> None:
    (source,) = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "usersd.yaml").read_text())[
        "datasources"
    ]
    assert (source["type"], source["access"], source["isDefault"]) == ("prometheus", "proxy", True)
    (provider,) = yaml.safe_load((FOLDER / "provisioning" / "dashboards" / "usersd.yaml").read_text())[
        "providers"
    ]
    assert provider["type"] == "file"
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert source["url"] == "http://prometheus:9090"
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]
    assert "./deploy/grafana/provisioning:/etc/grafana/provisioning:ro" in services["grafana"]["volumes"]
    assert "./deploy/prometheus:/etc/prometheus:ro" in services["prometheus"]["volumes"]
