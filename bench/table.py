"""The rows as Markdown, and the part of a document that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.measuring import COSTS, Row

BEGIN = "<!-- measured: begin (python -m bench --write writes what stands between these lines) -->"
END = "<!-- measured: end -->"

_OF_LIMITS = ("work", "against", "ours", "limit", "share", "at least", "rounds")
_OF_PEERS = ("work", "peer", "usersd", "peer's", "ratio", "at least", "rounds")


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one module came to, when, on what, and how many wanted a core of the machine when it began."""

    rows: list[Row]
    at: str
    ground: str
    load: float


def document(results: dict[str, Measured], order: Sequence[str]) -> str:
    """Every table, and what it was measured on; modules that have not been measured are named."""
    parts = []
    for title, belongs, columns in (
        ("Against the limit measured beside it", _is_own, _OF_LIMITS),
        ("Beside two other services", _is_peers, _OF_PEERS),
        ("Lists", _is_lists, _OF_LIMITS),
    ):
        rows = [row for name in order if belongs(name) and name in results for row in results[name].rows]
        if rows:
            parts.append(f"### {title}\n\n{table(rows, columns)}")
    return "\n\n".join([*parts, *_circumstances(results, order)])


def table(rows: Sequence[Row], columns: Sequence[str] = _OF_LIMITS) -> str:
    """The rows, one line each."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def put_into(path: Path, text: str) -> None:
    """Replace what stands between the marks of a document. Raises ValueError where they are not there."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path} lacks the lines between which the tables go: {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _line(row: Row) -> str:
    if row.missing:
        return f"| {row.work} | {row.against} | | | not measured: {row.missing} | | |"
    aim = "" if row.aim is None else f"{row.aim:g}" + (" at most" if row.unit in COSTS else "")
    mark = "" if row.meets else " **missed**"
    return (
        f"| {row.work} | {row.against} | {_number(row.ours, row.unit)} | {_number(row.limit, row.unit)} "
        f"| {row.share:.2f}{mark} | {aim} | {row.rounds} |"
    )


def _number(value: float, unit: str) -> str:
    return f"{value:,.0f}{unit}" if value >= 100 else f"{value:,.2f}{unit}"


def _circumstances(results: dict[str, Measured], order: Sequence[str]) -> list[str]:
    found: dict[str, list[str]] = {}
    for name in order:
        if name in results:
            found.setdefault(results[name].ground, []).append(name)
    lines = [
        f"Measured on {ground}" + (f" ({', '.join(names)})" if len(found) > 1 else "")
        for ground, names in found.items()
    ]
    days = sorted({one.at for one in results.values()})
    busiest = max((one.load for one in results.values()), default=0.0)
    if days:
        lines.append(f"Measured from {days[0]} to {days[-1]}; load before a row at most {busiest:.1f}.")
    if left := [name for name in order if name not in results]:
        lines.append(f"Not measured: {', '.join(left)}.")
    return lines


def _is_peers(name: str) -> bool:
    return name.startswith("peers.")


def _is_lists(name: str) -> bool:
    return name == "lists"


def _is_own(name: str) -> bool:
    return not _is_peers(name) and not _is_lists(name)
