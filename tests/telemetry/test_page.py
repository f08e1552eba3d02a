"""docs/TELEMETRY.md says what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

from infrastructure.telemetry.call_home import Message
from infrastructure.telemetry.catalogue import table
from infrastructure.telemetry.observer import UNTRACED

PAGE = (Path(__file__).parents[2] / "docs" / "TELEMETRY.md").read_text("utf-8")


def test_the_table_of_metrics_is_the_catalogue() -> None:
    assert table() in PAGE, "python -c 'from infrastructure.telemetry.catalogue import table; print(table())'"


def test_the_daily_message_is_shown_with_every_field_and_no_other() -> None:
    shown = re.search(r"```json\n(.*)\n```", PAGE)
    assert shown
    message = json.loads(shown[1])
    assert list(message) == [field.name for field in msgspec.structs.fields(Message)]
    msgspec.convert(message, Message)


def test_what_is_not_traced_is_named() -> None:
    assert all(f"`{path}`" in PAGE for path in UNTRACED)


def test_the_alarms_name_metrics_that_there_are() -> None:
    for name in re.findall(r"`(usersd_\w+)", PAGE):
        assert f"| `{name}` |" in PAGE
