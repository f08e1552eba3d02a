"""docs/EVENTS.md is what a stranger has to go by: it speaks of everything, and what it shows works."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from interfaces.events import schemas
from interfaces.events.magistrala import MAGISTRALA
from interfaces.events.mainflux import MAINFLUX
from interfaces.events.old_forms import OldForm
from interfaces.events.published import MESSAGES, Message
from interfaces.events.vocabulary import ATTRIBUTES, FIELDS
from tests.contract.test_asyncapi import assert_fits

PAGE = (Path(__file__).parents[2] / "docs" / "EVENTS.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| `")]


def section(heading: str) -> str:
    """The text under a heading, up to the next one."""
    return PAGE.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]


def block(language: str, text: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def row_of(name: str) -> str:
    (row,) = (line for line in ROWS if line.startswith(f"| `{name}` |"))
    return row


@pytest.mark.parametrize("message", schemas.TOLD, ids=[message.name for message in schemas.TOLD])
def test_every_event_is_told_of_with_an_example_that_fits(message: Message) -> None:
    assert_fits(f"{message.name}.data", json.loads(block("json", section(f"### {message.name}"))))


def test_the_message_that_is_shown_fits() -> None:
    assert_fits("profile_updated", json.loads(block("json", section("## The message"))))


def test_every_attribute_and_every_field_is_explained_in_the_words_of_the_document() -> None:
    for words in (ATTRIBUTES, FIELDS):
        for name, field in words.items():
            assert any(row.startswith(f"| `{name}` |") and field.meaning in row for row in ROWS), (
                f"docs/EVENTS.md does not say what {name} is: {field.meaning}"
            )


@pytest.mark.parametrize("stored", [stored for stored, message in MESSAGES.items() if message])
def test_the_table_of_old_forms_says_how_each_event_is_told(stored: str) -> None:
    message = MESSAGES[stored]
    assert message is not None
    (row,) = (line for line in section("## The old forms").splitlines() if f"| `{message.name}` |" in line)
    _, _, magistrala, mainflux, _ = row.split("|")
    for form, cell in ((MAGISTRALA, magistrala), (MAINFLUX, mainflux)):
        operation = form.operations[stored]
        if stored == "users.secret_changed.v1":
            assert "`user.update_secret`; by a link `user.reset_secret`" in cell or "the same" in cell
        else:
            assert cell.strip() == (f"`user.{operation.name}`" if operation else "not told")


@pytest.mark.parametrize("form", [MAGISTRALA, MAINFLUX], ids=["magistrala", "mainflux"])
def test_the_fields_of_every_operation_are_listed(form: OldForm) -> None:
    old = section("## The old forms")
    table = old.split(f"| operation of `{form.name}` |")[1].split("\n\n")[0]
    for operation in form.told():
        given = f" [{', '.join(operation.given)}]" if operation.given else ""
        fields = f"{', '.join(operation.always)}{given}" or "–"
        assert f"| `user.{operation.name}` | {fields} |" in table


def test_the_consumer_of_the_page_is_a_program() -> None:
    compile(block("python", section("## Reading the stream")), "EVENTS.md", "exec")


def consumer(url: str) -> list[str]:
    """The command that runs the consumer of the page."""
    program = block("python", section("## Reading the stream"))
    assert "nats://localhost:4222" in program
    return [sys.executable, "-u", "-c", program.replace("nats://localhost:4222", url)]


async def heard(url: str, lines: int) -> list[str]:
    """What that consumer prints first; it is killed then, as anything may be."""
    process = await asyncio.create_subprocess_exec(*consumer(url), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            return [(await process.stdout.readline()).decode().strip() for _ in range(lines)]
    finally:
        process.kill()
        await process.wait()
