"""The files of the repository, as the tests of its shape look at them."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGES = ("domain", "application", "projections", "interfaces", "infrastructure")


def python_files(*folders: str) -> list[Path]:
    """Ours, without what a compiler of another language has made."""
    found = [path for folder in folders or (*PACKAGES, "tests", "bench", "examples")
             for path in sorted((ROOT / folder).rglob("*.py"))]  # fmt: skip
    return [path for path in found if "_pb2" not in path.name]


def repository_files() -> list[Path]:
    """Every file that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


class Shape(NamedTuple):
    """What a file of Python is made of."""

    says_why: bool
    """It opens with a docstring."""
    functions: dict[str, int]
    """Each with its length in lines, decorators and docstring left out; of one name, the longest."""


@cache
def shape(path: Path) -> Shape:
    """Of a file; parsed once, for there are a thousand."""
    tree = ast.parse(path.read_text())
    lengths: dict[str, int] = {}
    for name, length in _functions(tree):
        lengths[name] = max(length, lengths.get(name, 0))
    return Shape(ast.get_docstring(tree) is not None, lengths)


def _functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            last = node.end_lineno or node.lineno
            first = body[0].lineno if body else last
            yield node.name, last - first + 1


def anchors(page: Path) -> set[str]:
    """What the headings of a page are linked by, as GitHub forms it."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    seen: Counter[str] = Counter()
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found
