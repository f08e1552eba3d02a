"""Settings that change nothing yet are said to."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from infrastructure.settings import Settings, dormant, load, markdown
from infrastructure.settings.dormant import DORMANT, warning

ROOT = Path(__file__).parents[2]
FIELDS = frozenset(field.name for field in msgspec.structs.fields(Settings))
WITHIN = {
    "embedded",
    "pass_regex",
    "public_url",
    "email_template",
    "token_reset_endpoint",
    *(field for field in FIELDS if field.startswith("db_")),
}
"""Used by the settings themselves: as a conninfo, a predicate, a refusal, another setting's default."""


def _source() -> str:
    files = [
        file
        for folder in ("infrastructure", "interfaces", "application")
        for file in (ROOT / folder).rglob("*.py")
        if "settings" not in file.parts
    ]
    return "".join(file.read_text("utf-8") for file in files)


def test_each_setting_is_used_or_said_to_change_nothing_yet() -> None:
    source = _source()
    used = {field for field in FIELDS if f"settings.{field}" in source} | WITHIN
    assert FIELDS - used == DORMANT
    assert not used & DORMANT


def test_a_dormant_setting_that_is_set_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dormant, "DORMANT", frozenset({"domains_grpc_url"}))
    loaded = load({"MG_DOMAINS_GRPC_URL": "domains:7003", "MG_USERS_LOG_LEVEL": "warn"})
    assert warning(loaded.sources) == "Read, and without effect in this version: MG_DOMAINS_GRPC_URL."
    assert warning(load({"MG_USERS_LOG_LEVEL": "warn"}).sources) is None


def test_the_page_marks_what_is_dormant() -> None:
    page = markdown()
    assert page.count("No effect in this version.") == len(DORMANT)
