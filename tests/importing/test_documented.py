"""docs/IMPORT.md tells what is true: its examples are read, its tables name everything there is."""

from __future__ import annotations

import io
import re
from pathlib import Path

import msgspec

from application.import_runs import MEANINGS
from application.importing import Account, faults
from infrastructure.accounts.foreign_hashes import flaw_of
from infrastructure.importing.files import CsvSource, NdjsonSource
from interfaces.cli.importing import import_

TEXT = (Path(__file__).parents[2] / "docs" / "IMPORT.md").read_text()


def block(language: str) -> bytes:
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return str(found).encode()


def test_the_examples_are_accounts_that_can_be_kept() -> None:
    offered = [
        *NdjsonSource(stream=io.BytesIO(block("ndjson"))).offered(),
        *CsvSource(stream=io.BytesIO(block("csv"))).offered(),
    ]
    assert len(offered) == 3
    for each in offered:
        assert each.account is not None, each.faults
        assert not each.unkept
        assert not list(faults(each.account, hash_flaw=flaw_of))


def test_every_field_is_in_the_table() -> None:
    table = TEXT.split("## An account")[1].split("```")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert named == {field.name for field in msgspec.structs.fields(Account)}


def test_every_code_is_there_with_its_meaning() -> None:
    for code, meaning in MEANINGS.items():
        assert f"| `{code}` | {meaning} |" in TEXT


def test_every_option_is_told_here_or_where_databases_are() -> None:
    here = {option for parameter in import_.params for option in parameter.opts}
    elsewhere = {"--follow", "--every", "--until-quiet", "--anew", "--help", "-h"}
    assert {option for option in here - elsewhere if option not in TEXT} == set()
