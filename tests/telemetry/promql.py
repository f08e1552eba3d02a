"""Reads PromQL as Prometheus does and knows the labels of a result: asking for what is not there fails."""

from __future__ import annotations

import re

import grpc
import promql_parser as promql
from litestar import Litestar
from prometheus_client import ProcessCollector

from infrastructure.roles import Role
from infrastructure.telemetry.catalogue import METRICS
from interfaces.http.app import routes

OF_THE_SCRAPE = frozenset({"instance", "job"})
RATES = {"rate", "increase", "changes", "irate"}
_NO_LABELS: frozenset[str] = frozenset()

_INTERVALS = re.compile(r"\$__(rate_interval|interval|range)")


def _families() -> dict[str, frozenset[str]]:
    """Every name that a query may hold, with its labels."""
    found = {"up": OF_THE_SCRAPE}
    for metric in METRICS:
        labels = OF_THE_SCRAPE | set(metric.labels)
        if metric.kind == "histogram":
            found[f"{metric.name}_bucket"] = labels | {"le"}
        if metric.kind in ("histogram", "summary"):
            found |= {f"{metric.name}_sum": labels, f"{metric.name}_count": labels}
        if metric.kind != "histogram":
            found[metric.name] = labels
    for family in ProcessCollector(registry=None).collect():
        found |= {sample.name: OF_THE_SCRAPE for sample in family.samples}
    return found


LABELS = _families()
COUNTERS = {name for name in LABELS if name.endswith(("_total", "_count", "_sum", "_bucket"))}

VALUES: dict[str, set[str]] = {
    "route": {route.path_format for route in Litestar(routes(), openapi_config=None).routes} | {"unmatched"},
    "status": {str(number) for number in range(100, 600)},
    "code": {code.name for code in grpc.StatusCode},
    "role": {role.value for role in Role},
    "state": {"live", "following", "building"},
    "outcome": {"ok", "failed", "sent", "again", "given_up", "needless", "answered", "passed_on"},
    "job": {"usersd"},
}
"""What a label can be, where that is known: a query of anything else finds nothing, and says so nowhere."""


Asked = list[promql.VectorSelector]


class Result:
    """What a query comes to: its labels, None for a number; and what it asked for."""

    def __init__(self, labels: frozenset[str] | None, asked: Asked) -> None:
        self.labels = labels
        self.asked = asked

    @property
    def names(self) -> set[str]:
        return {str(node.name) for node in self.asked}


def result_of(query: str) -> Result:
    """Raises AssertionError for what is not there, and ValueError for what is no PromQL."""
    asked: Asked = []
    text = _INTERVALS.sub("5m", query).replace("$instance", ".*")
    return Result(_labels(promql.parse(text), asked), asked)


def lets_in(node: promql.VectorSelector, label: str, value: str) -> bool:
    """Whether a selector takes in what has this value."""
    return all(_takes(one, value) for one in node.matchers.matchers if one.name == label)


def _takes(matcher: promql.Matcher, value: str) -> bool:
    is_pattern = matcher.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)
    found = re.fullmatch(matcher.value if is_pattern else re.escape(matcher.value), value)
    return (found is None) == (matcher.op in (promql.MatchOp.NotEqual, promql.MatchOp.NotRe))


def _labels(node: promql.Expr, asked: Asked, rated: bool = False) -> frozenset[str] | None:
    if isinstance(node, promql.NumberLiteral | promql.StringLiteral):
        return None
    if isinstance(node, promql.ParenExpr | promql.UnaryExpr | promql.SubqueryExpr):
        return _labels(node.expr, asked, rated)
    if isinstance(node, promql.MatrixSelector):
        return _selected(node.vector_selector, asked, rated)
    if isinstance(node, promql.VectorSelector):
        return _selected(node, asked, rated)
    if isinstance(node, promql.Call):
        return _called(node, asked)
    if isinstance(node, promql.AggregateExpr):
        return _aggregated(node, asked)
    assert isinstance(node, promql.BinaryExpr), type(node)
    return _combined(node, asked)


def _selected(node: promql.VectorSelector, asked: Asked, rated: bool) -> frozenset[str]:
    name = str(node.name)
    assert name in LABELS, f"there is no metric {name}"
    assert rated or name not in COUNTERS, f"{name} only ever grows: it takes a rate"
    asked.append(node)
    for matcher in node.matchers.matchers:
        assert matcher.name in LABELS[name], f"{name} has no label {matcher.name}"
        _can_be(name, matcher.name, matcher.value)
    return LABELS[name]


def _can_be(name: str, label: str, value: str) -> None:
    known = VALUES.get(label, set())
    if not known or (label == "outcome" and "use_case" in name):
        return
    for part in value.split("|"):
        assert any(re.fullmatch(part, one) or part == one for one in known), f"{label} is never {part}"


def _called(node: promql.Call, asked: Asked) -> frozenset[str] | None:
    function = node.func.name
    found = [_labels(one, asked, function in RATES) for one in node.args]
    if function == "time":
        return None
    if function in ("absent", "vector"):
        return _NO_LABELS
    labels = next((one for one in reversed(found) if one is not None), None)
    assert labels is not None, f"{function} of no metric"
    if function == "histogram_quantile":
        assert "le" in labels, "histogram_quantile takes the label le"
        return labels - {"le"}
    return labels


def _aggregated(node: promql.AggregateExpr, asked: Asked) -> frozenset[str]:
    inner = _labels(node.expr, asked)
    assert inner is not None
    if node.prettify().strip().startswith(("topk", "bottomk")):
        return inner
    if node.modifier is None:
        return _NO_LABELS
    named = frozenset(node.modifier.labels)
    assert named <= inner, f"there are no labels {set(named - inner)}"
    return named if node.modifier.type == promql.AggModifierType.By else inner - named


def _combined(node: promql.BinaryExpr, asked: Asked) -> frozenset[str] | None:
    left, right = _labels(node.lhs, asked), _labels(node.rhs, asked)
    if left is None or right is None:
        return right if left is None else left
    modifier = node.modifier
    if modifier is None or (matching := modifier.matching) is None:
        assert left == right, f"what has {set(left)} never meets what has {set(right)}"
        return left
    assert matching.type == promql.LabelModifierType.Include
    on = frozenset(matching.labels)
    assert on <= left & right, f"{set(on)} is not on both sides"
    group = frozenset(modifier.group_labels or ())
    assert group <= right
    return left | group
