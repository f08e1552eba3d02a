"""The page on compatibility is whole and true, and what only it speaks of is shown here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from litestar import Litestar

from interfaces.http.app import routes
from tests.contract.sdk import Sdk, whole_user
from tests.support.service import SECRET, Client, bearer

TESTS = Path(__file__).parents[1]
DOCS = TESTS.parent / "docs"
PAGE = DOCS / "COMPATIBILITY.md"

VERDICT = re.compile(r"same|better|not kept")
SHOWN = re.compile(r"`([\w/]+\.py)::(\w+)`")


def rows() -> list[list[str]]:
    """The cells of every row of every table."""
    found = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found]
    return [row for row in cells if row[-1].strip("| ") != "shown by"]


@pytest.mark.parametrize(("page", "at_least"), [("COMPATIBILITY.md", 100), ("SECURITY.md", 40)])
def test_every_test_that_a_page_names_exists(page: str, at_least: int) -> None:
    named = set(SHOWN.findall((DOCS / page).read_text("utf-8")))
    assert len(named) >= at_least
    missing = []
    for file, name in sorted(named):
        path = TESTS / file
        there = path.exists() and {
            node.name
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        if not there or name not in there:
            missing.append(f"{file}::{name}")
    assert not missing


def test_every_row_has_a_verdict_and_a_test() -> None:
    assert len(rows()) > 200
    for row in rows():
        *_, verdict, shown = row
        assert VERDICT.fullmatch(verdict), row
        assert SHOWN.fullmatch(shown), row


def test_every_route_occurs_on_the_page() -> None:
    text = PAGE.read_text("utf-8")
    app = Litestar(routes(), openapi_config=None)
    there = {
        f"{method} {re.sub(r':str', '', route.path_format)}"
        for route in app.routes
        for method in getattr(route, "methods", set()) - {"OPTIONS"}
    }
    assert len(there) > 20
    assert not {route for route in there if f"`{route}`" not in text and f"`{route} " not in text}


async def test_options_names_every_method(client: Client) -> None:
    user = await client.register()
    allowed = {"/users": "GET, OPTIONS, POST", f"/users/{user['id']}": "DELETE, GET, OPTIONS, PATCH"}
    for path, methods in allowed.items():
        answer = await client.http.options(path)
        assert (answer.status_code, answer.headers.get_list("allow")) == (204, [methods])


async def test_a_slash_at_the_end_is_overlooked(client: Client) -> None:
    user = await client.register()
    own = Sdk(client.http).with_token((await client.login(user["email"]))["access_token"])
    assert await own("GET", "/users/profile/", 200) == await own("GET", f"/users/{user['id']}/", 200) == user


async def test_keys_are_matched_by_case(client: Client) -> None:
    account = client.account()
    answer = await client.http.post("/users", json={key.upper(): value for key, value in account.items()})
    assert answer.status_code == 400


async def test_a_change_of_username_is_checked_like_a_registration(client: Client) -> None:
    user = await client.register()
    headers = bearer((await client.login(user["email"]))["access_token"])
    for username in ("has space!", "ev@il.com", "", "a" * 33, "a__b"):
        path = f"/users/{user['id']}/username"
        answer = await client.http.patch(path, json={"username": username}, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/username")


async def test_a_change_of_secret_needs_both_and_heeds_the_policy(client: Client) -> None:
    user = await client.register()
    headers = bearer((await client.login(user["email"]))["access_token"])
    for body, pointer in (
        ({"new_secret": SECRET + "4"}, "/old_secret"),
        ({"old_secret": SECRET}, "/new_secret"),
        ({"old_secret": SECRET, "new_secret": "short"}, "/new_secret"),
        ({"old_secret": "x" * 16_385, "new_secret": SECRET}, "/old_secret"),
    ):
        answer = await client.http.patch("/users/secret", json=body, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)


async def test_every_answer_carries_the_security_headers(client: Client) -> None:
    for method, path in (("GET", "/health"), ("GET", "/nowhere"), ("PUT", "/users"), ("OPTIONS", "/users")):
        headers = (await client.http.request(method, path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["content-security-policy"]


@pytest.mark.parametrize("field", ["first_name", "last_name", "name"])
@pytest.mark.parametrize("text", ["x" * 255, "a\x00b"])
async def test_names_are_checked_in_both_dialects(client: Client, field: str, text: str) -> None:
    for account in (
        client.account(),
        whole_user(credentials={"identity": "mf@example.com", "secret": SECRET}),
    ):
        answer = await client.http.post("/users", json=account | {field: text})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, f"/{field}")


async def test_what_is_not_kept_is_404(client: Client) -> None:
    user, admin = await client.register(), await client.as_admin()
    for method, path in (
        ("PATCH", f"/users/{user['id']}/owner"),
        ("POST", "/authorize"),
        ("POST", "/policies"),
        ("GET", "/groups"),
        ("GET", f"/users/{user['id']}/memberships"),
        ("GET", "/domains/x/users"),
        ("GET", "/oauth/callback/google"),
    ):
        answer = await client.http.request(method, path, json={"owner": user["id"]}, headers=admin)
        assert answer.status_code == 404
