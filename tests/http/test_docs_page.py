"""The page that shows the document works without a network and under a strict policy."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from tests.http.answers import refused
from tests.http.conftest import Cast

OURS = ("docs.html", "docs.js")
ELSEWHERE = re.compile(
    r"""(?:https?:)?//[\w.-]+\.\w+|@import|<(?:iframe|object|embed|base)\b""", re.IGNORECASE
)


def asset(name: str) -> str:
    return files("interfaces.http").joinpath("assets", name).read_text("utf-8")


@pytest.mark.parametrize("name", OURS)
def test_what_we_wrote_names_no_other_host(name: str) -> None:
    assert not ELSEWHERE.search(asset(name))


def test_the_style_sheet_loads_nothing_from_elsewhere() -> None:
    targets = re.findall(r"url\(\s*['\"]?([^'\")]+)", asset("swagger-ui.css"))
    assert all(target.startswith(("data:", "#")) for target in targets)
    assert "@import" not in asset("swagger-ui.css")


def test_the_page_asks_no_outside_validator() -> None:
    assert "validatorUrl: null" in asset("docs.js")


async def test_the_page_and_all_it_loads_are_served_with_their_types_and_a_policy(cast: Cast) -> None:
    page = await cast.client.http.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert "/openapi.json" in loaded
    types = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
    for target in loaded:
        if target.startswith("data:"):
            continue
        assert re.match(r"/\w", target), target
        answer = await cast.client.http.get(target)
        assert answer.status_code == 200
        suffix = target.rpartition(".")[2]
        assert answer.headers["content-type"] == types.get(suffix, "application/json")
    assert "<script>" not in page.text
    assert not re.search(r"\son\w+=", page.text)


async def test_the_policy_of_the_page_allows_only_this_server(cast: Cast) -> None:
    for target in ("/docs", "/docs/docs.js", "/docs/swagger-ui.css"):
        policy = (await cast.client.http.get(target)).headers["content-security-policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == rules["connect-src"] == "'self'"
        assert rules["frame-ancestors"] == "'none'"
        assert not re.search(r"https?:|\*|unsafe-eval", policy)
    elsewhere = (await cast.client.http.get("/health")).headers["content-security-policy"]
    assert "script-src" not in elsewhere


@pytest.mark.parametrize(
    "name", ["docs.html", "README.md", "LICENSE", "..%2fapp.py", "%2e%2e%2fapp.py", "docs.js%00", "x"]
)
async def test_nothing_else_is_served_from_the_folder(cast: Cast, name: str) -> None:
    refused(await cast.client.http.get(f"/docs/{name}"), 404, "not_found")
