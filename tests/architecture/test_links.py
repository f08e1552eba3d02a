"""The pages refer to files and headings that there are, and the runbook has a part for each alert."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.architecture.sources import ROOT, anchors, named

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RUNBOOK = ROOT / "docs" / "OPERATIONS.md"
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!\w+:)([^()\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_of_a_page_leads_to_something(page: Path) -> None:
    lost = []
    for target in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            lost.append(target)
    assert not lost


def test_headings_of_one_name_are_told_apart(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A [link](x.md), `code`\n```\n# no heading\n```\n## At 10^8: parts\n## Twice\n## Twice\n"
    )
    assert anchors(page) == {"a-link-code", "at-108-parts", "twice", "twice-1"}


def test_the_runbook_begins_with_where_each_alert_leads() -> None:
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())["groups"]
    rows = [line for line in RUNBOOK.read_text().split("\n## ")[0].splitlines() if line.startswith("|")]
    for rule in (rule for group in groups for rule in group["rules"] if "alert" in rule):
        (row,) = [row for row in rows if f"`{rule['alert']}`" in row]
        assert f"(#{rule['annotations']['runbook_url'].partition('#')[2]})" in row, rule["alert"]
