"""The rules for Prometheus name what is there, and say what to do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from infrastructure.roles import OPERATIONS_PORTS
from infrastructure.settings import load
from infrastructure.telemetry.catalogue import BY_NAME
from interfaces.http.access_log import PROBES
from tests.architecture.sources import anchors
from tests.telemetry.promql import LABELS, Result, lets_in, result_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
GROUPS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
DURATION = re.compile(r"(\d+(ms|[smhdwy]))+")
SAID = re.compile(r"\{\{(.*?)\}\}")
CAN_BE_SAID = re.compile(r"\$labels\.(\w+)|\$value( \| humanize(Duration|Percentage)?)?")
MENTIONED = re.compile(r"\b(?:usersd|process)_[a-z_]+\b")


def test_the_file_has_the_form_that_prometheus_reads() -> None:
    assert all(group.keys() <= {"name", "interval", "rules"} for group in GROUPS)
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    assert len({group["name"] for group in GROUPS}) == len(GROUPS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_what_is_there_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Usersd[A-Z]\w+", rule["alert"])
    assert DURATION.fullmatch(rule["for"])
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in ("critical", "warning")
    result = result_of(rule["expr"])
    _filters(promql.parse(rule["expr"]))
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    for text in rule["annotations"].values():
        for found in SAID.findall(text):
            said = CAN_BE_SAID.fullmatch(found.strip())
            assert said, found
            assert said[1] is None or said[1] in (result.labels or ()), f"the result has no label {said[1]}"


def _filters(expression: promql.Expr) -> None:
    """An alert fires for whatever its expression leaves over: one that is no condition would always fire."""
    if isinstance(expression, promql.ParenExpr):
        _filters(expression.expr)
        return
    is_condition = isinstance(expression, promql.BinaryExpr) or (
        isinstance(expression, promql.Call) and expression.func.name == "absent"
    )
    assert is_condition


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_the_runbook_has_the_part_that_a_rule_names(rule: dict[str, Any]) -> None:
    file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor in anchors(ROOT / file)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_about_requests_leaves_probes_and_scrapes_out(rule: dict[str, Any]) -> None:
    assert not probes_in(result_of(rule["expr"]))


def probes_in(result: Result) -> list[tuple[str, str]]:
    """What a query takes in that is nobody's request, where its result does not tell routes apart."""
    return [
        (str(node.name), probe)
        for node in result.asked
        for probe in sorted(PROBES)
        if str(node.name).startswith("usersd_http_request_") and "route" not in (result.labels or ())
        and lets_in(node, "route", probe)
    ]  # fmt: skip


@pytest.mark.system
def test_rules_fire_when_they_should_and_only_then() -> None:
    tested = subprocess.run(
        ["promtool", "test", "rules", Path(__file__).with_name("alerts_test.yml")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_the_prometheus_operator_reads_the_same_rules() -> None:
    made = subprocess.run([ROOT / "deploy" / "make-prometheus-rule"], check=True, capture_output=True).stdout
    kept = ROOT / "deploy" / "kubernetes" / "components" / "alerts" / "prometheus-rule.yaml"
    assert made == kept.read_bytes(), f"deploy/make-prometheus-rule >{kept.relative_to(ROOT)}"
    rule = yaml.safe_load(made)
    assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert rule["spec"] == {"groups": GROUPS}


@pytest.mark.parametrize("plain", [False, True], ids=["for the operator", "plain"])
def test_alerts_lead_to_wherever_the_pages_are_read(plain: bool) -> None:
    command = [str(ROOT / "deploy" / "make-prometheus-rule"), *(["--plain"] if plain else [])]
    made = subprocess.run([*command, "https://wiki.example/usersd/"], check=True, capture_output=True).stdout
    read = yaml.safe_load(made)
    groups = read["groups"] if plain else read["spec"]["groups"]
    for group, ours in zip(groups, GROUPS, strict=True):
        for rule, before in zip(group["rules"], ours["rules"], strict=True):
            page = before["annotations"]["runbook_url"].removeprefix("docs/")
            moved = before["annotations"] | {"runbook_url": f"https://wiki.example/usersd/{page}"}
            assert rule == before | {"annotations": moved}
    for wrong in ("wiki.example", "https://wiki.example/a|b", "--plane"):
        refused = subprocess.run([*command, wrong], check=False, capture_output=True)
        assert (refused.returncode, refused.stdout) == (2, b"")


def test_the_runbook_names_metrics_that_there_are() -> None:
    page = (ROOT / "docs" / "OPERATIONS.md").read_text()
    assert not set(MENTIONED.findall(page)) - LABELS.keys() - BY_NAME.keys()


def test_every_role_is_scraped_where_it_answers() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert config.keys() == {"global", "rule_files", "scrape_configs"}
    assert all((FOLDER / name).is_file() for name in config["rule_files"])
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "usersd"
    scraped = {name: one["port"] for one in job["dns_sd_configs"] for name in one["names"]}
    assert scraped == {"api": load({}).settings.http_port} | {
        role.value: port for role, port in OPERATIONS_PORTS.items()
    }
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert scraped.keys() <= services.keys()


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("sum(rate(usersd_nothing_total[5m]))", "no metric"),
        ('usersd_up_database{colour="red"} == 0', "no label"),
        ("sum by (colour) (usersd_up_database) == 0", "no labels"),
        ("usersd_logins_total > 3", "a rate"),
        ("histogram_quantile(0.9, sum(rate(usersd_grpc_call_duration_seconds_bucket[5m]))) > 1", "label le"),
        ("max by (work) (usersd_job_runs_total) > 1", "a rate"),
        ('usersd_job_interval_seconds{job="sweep"} > 1', "never sweep"),
        ("usersd_relay_lag_seconds > usersd_log_head_position", "never meets"),
        ('usersd_projection_owned{state="dead"} == 0', "never dead"),
        ('usersd_http_request_duration_seconds_count{route="/nowhere"}', "a rate"),
        ('rate(usersd_http_request_duration_seconds_count{route="/nowhere"}[5m])', "never /nowhere"),
        ("up == ", "invalid promql"),
    ],
)
def test_a_rule_that_would_never_fire_is_found(query: str, fault: str) -> None:
    with pytest.raises((AssertionError, ValueError), match=re.escape(fault)):
        result_of(query)
