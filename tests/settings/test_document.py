"""The page about the settings says what the table says."""

from __future__ import annotations

from pathlib import Path

from infrastructure.settings import VARIABLES, markdown

PAGE = Path(__file__).parents[2] / "docs" / "SETTINGS.md"


def test_the_page_is_the_one_the_table_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), (
        "Write it anew: python -m infrastructure.settings > docs/SETTINGS.md"
    )


def test_every_variable_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert not [name for row in VARIABLES for name in row.names if f"`{name}`" not in page]
