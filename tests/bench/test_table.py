"""The tables that the document of performance is written from."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import MODULES
from bench.measuring import Row
from bench.table import BEGIN, END, Measured, document, put_into, table

RATE = Row(work="login", against="raw bcrypt", ours=29.5, limit=32, share=0.92, aim=0.9, rounds=3)
COST = Row(work="idle", against="allowed", ours=2.0, limit=1.0, share=2.0, aim=1.0, unit=" %")
ROOT = Path(__file__).parents[2]


def measured(*rows: Row) -> Measured:
    return Measured(rows=list(rows), at="2026-01-02", ground="a machine.", load=0.5)


def test_a_row_that_misses_its_aim_says_so() -> None:
    good, bad = table([RATE, COST]).splitlines()[2:]
    assert good == "| login | raw bcrypt | 29.50/s | 32.00/s | 0.92 | 0.9 | 3 |"
    assert bad == "| idle | allowed | 2.00 % | 1.00 % | 2.00 **missed** | 1 at most | 1 |"


def test_a_peer_that_is_not_here_says_why() -> None:
    row = Row(
        work="login", against="better-auth", ours=0, limit=0, share=0, aim=None, missing="there is no node"
    )
    assert "not measured: there is no node" in table([row])


def test_rows_stand_in_the_order_of_the_modules_and_what_is_missing_is_named() -> None:
    text = document({"idle": measured(COST), "login": measured(RATE)}, ["login", "start", "idle"])
    assert text.index("| login |") < text.index("| idle |")
    assert "Not measured: start." in text
    assert "Measured on a machine." in text


def test_peers_and_lists_have_tables_of_their_own() -> None:
    text = document({"peers.login": measured(RATE), "lists": measured(RATE)}, MODULES)
    assert "### Beside two other services" in text
    assert "### Lists" in text
    assert "### Against the limit" not in text


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "PERFORMANCE.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_into(file, "new")
    put_into(file, "newer")
    assert file.read_text() == f"before\n{BEGIN}\n\nnewer\n\n{END}\nafter\n"


def test_a_document_without_marks_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "PERFORMANCE.md"
    file.write_text("by hand\n")
    with pytest.raises(ValueError, match="lacks the lines"):
        put_into(file, "new")
    assert file.read_text() == "by hand\n"


def test_the_document_has_the_marks() -> None:
    text = (ROOT / "docs" / "PERFORMANCE.md").read_text()
    assert BEGIN in text
    assert END in text


def test_every_module_of_the_bench_is_there() -> None:
    for name in MODULES:
        file = ROOT / "bench" / f"{name.replace('.', '/')}.py"
        assert file.exists(), file
