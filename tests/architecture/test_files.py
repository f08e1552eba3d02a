"""Files and functions stay small, say why they exist, and name no package host."""

from __future__ import annotations

import re

from tests.architecture.sources import PACKAGES, ROOT, named, python_files, repository_files, shape
from tests.support.order import SLOW

MAX_LINES = 300
MAX_FUNCTION = 40

LONG_FUNCTIONS_ON_PURPOSE = {
    # The composition root is read from top to bottom; cut up, it would have to be put together again.
    "infrastructure/bootstrap.py: open_service",
}

SHAPELESS = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "base", "lib"}

# Spelled in pieces, so that this file does not name what it forbids.
HOSTS = re.compile(
    "|".join(
        rf"\b{name}\.{ending}\b"
        for name, ending in (
            ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "(org|com)"), ("docker", "io"),
            ("ghcr", "io"), ("gcr", "io"), ("quay", "io"), ("anaconda", "(org|com)"), ("crates", "io"),
            ("rubygems", "org"), ("jfrog", "io"), ("proxy.golang", "org"), ("pkg", "dev"),
        )
    ),
    re.IGNORECASE,
)  # fmt: skip


def test_no_file_is_longer_than_a_reader_likes() -> None:
    long = {named(path): len(path.read_text().splitlines()) for path in python_files()}
    long = {name: lines for name, lines in long.items() if lines > MAX_LINES}
    assert not long, f"split these: {long}"


def test_no_function_is_longer_than_a_screen() -> None:
    found = {
        f"{named(path)}: {name}": lines
        for path in python_files()
        for name, lines in shape(path).functions.items()
        if lines > MAX_FUNCTION
    }
    long = {name: lines for name, lines in found.items() if name not in LONG_FUNCTIONS_ON_PURPOSE}
    assert not long, f"split these: {long}"


def test_every_module_opens_with_why_it_exists() -> None:
    silent = [named(path) for path in python_files() if not shape(path).says_why]
    assert not silent, f"these lack a docstring: {silent}"


def test_no_module_is_a_drawer_for_what_has_no_place() -> None:
    found = [named(path) for path in python_files(*PACKAGES, "tests") if path.stem in SHAPELESS]
    found += [
        named(path.parent) for path in python_files(*PACKAGES, "tests") if path.parent.name in SHAPELESS
    ]
    assert not found


def test_no_file_names_a_package_host() -> None:
    found = []
    for path in repository_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{named(path)}: {match.group()}" for match in HOSTS.finditer(text)]
    assert not found


def test_the_pattern_of_package_hosts_finds_one() -> None:
    assert HOSTS.search("https://files." + "pythonhosted" + ".org/packages")
    assert HOSTS.search("FROM " + "docker" + ".io/library/python")


def test_every_file_that_is_begun_first_exists() -> None:
    assert [path for path in SLOW if not (ROOT / path).is_file()] == []
