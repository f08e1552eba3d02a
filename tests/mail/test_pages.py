"""The pages that links open, without a browser and in a real one."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from granian.server.embed import Server

from infrastructure.serving import application
from infrastructure.settings import load
from tests.mail.asking import NEW, ask_for_reset, ask_for_verification, reset, verify
from tests.mail.conftest import Mailing
from tests.support.browser import Browser, Page, chromium
from tests.support.mail_server import MailServer, _free_port
from tests.support.service import Client

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


async def verified(client: Client, headers: dict[str, str]) -> bool:
    profile = (await client.http.get("/users/profile", headers=headers)).json()
    return not profile["verified_at"].startswith("0001")


async def test_a_browser_gets_a_button_and_following_the_link_verifies_nothing(
    client: Client, mail_server: MailServer
) -> None:
    user = await client.register()
    headers = await client.as_user(user["email"])
    token = await ask_for_verification(client, mail_server, headers)
    for _ in range(3):
        shown = await client.http.get("/verify-email", params={"token": token}, headers=BROWSER)
        assert (shown.status_code, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert not await verified(client, headers)
    assert f'value="{token}"' in shown.text
    head = await client.http.head("/verify-email", params={"token": token})
    assert (head.status_code, await verified(client, headers)) == (405, False)
    pressed = await client.http.post("/verify-email", data={"token": token})
    assert (pressed.status_code, "Your email is verified" in pressed.text) == (200, True)
    assert await verified(client, headers)
    again = await client.http.post("/verify-email", data={"token": token})
    assert (again.status_code, "was used before" in again.text) == (410, True)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html;q=0, */*", ""])
async def test_who_asks_for_no_page_verifies_by_the_link_itself(
    client: Client, mail_server: MailServer, accept: str
) -> None:
    user = await client.register()
    headers = await client.as_user(user["email"])
    token = await ask_for_verification(client, mail_server, headers)
    answer = await client.http.get("/verify-email", params={"token": token}, headers={"Accept": accept})
    assert (answer.status_code, answer.content) == (200, b"")
    assert await verified(client, headers)


async def test_the_pages_load_nothing_keep_nothing_and_run_nothing(
    client: Client, mail_server: MailServer
) -> None:
    user = await client.register()
    token = await ask_for_reset(client, mail_server, user["email"])
    for path in (f"/password/reset?token={token}", "/password/reset?token=x", "/verify-email?token=x"):
        page = await client.http.get(path, headers=BROWSER)
        policy = page.headers["content-security-policy"]
        (style,) = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}'" in policy
        for rule in ("default-src 'none'", "form-action 'self'", "frame-ancestors 'none'"):
            assert rule in policy
        assert "script" not in policy
        assert "unsafe" not in policy
        assert page.headers.get_list("referrer-policy") == ["no-referrer"]
        assert page.headers["cache-control"] == "no-store"
        assert "set-cookie" not in page.headers
        assert not re.search(r"<script|\son\w+=|src=|https?://", page.text)


async def test_a_form_tells_what_is_wrong_and_keeps_the_link(client: Client, mail_server: MailServer) -> None:
    user = await client.register()
    token = await ask_for_reset(client, mail_server, user["email"])

    async def sent(**fields: str) -> httpx.Response:
        return await client.http.post("/password/reset", data={"token": token} | fields)

    for fields, words in (
        ({"password": NEW, "confirm_password": "other"}, "The two passwords differ."),
        ({"password": "short", "confirm_password": "short"}, "does not meet the password policy"),
        ({}, "A secret is needed."),
    ):
        answer = await sent(**fields)
        assert answer.status_code == 400
        assert words in answer.text
        assert f'value="{token}"' in answer.text
        assert 'role="alert"' in answer.text
        assert NEW not in answer.text
    assert (await sent(password=NEW, confirm_password=NEW)).status_code == 200
    await client.login(user["email"], NEW)
    for answer in (
        await sent(password=NEW, confirm_password=NEW),
        await client.http.get("/password/reset", params={"token": token}),
    ):
        assert (answer.status_code, "was used before" in answer.text) == (410, True)


async def test_what_is_no_link_or_no_form_is_told_on_a_page(client: Client) -> None:
    evil = '"><script>alert(1)</script>'
    both: dict[str, Any] = {"token": evil, "password": NEW, "confirm_password": NEW}
    for answer in (
        await client.http.get("/password/reset"),
        await client.http.get("/password/reset", params={"token": evil}),
        await client.http.get("/verify-email", params={"token": evil}, headers=BROWSER),
        await client.http.post("/password/reset", data=both),
        await client.http.post("/verify-email", data={"token": evil}),
        await client.http.post("/verify-email", data={"token": ""}),
        await client.http.post("/verify-email", data={str(n): "x" for n in range(20)}),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")
        assert "alert(1)" not in answer.text
    wrong = await client.http.post("/verify-email", json={"token": evil})
    assert (wrong.status_code, "<h1>" in wrong.text) == (415, True)


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest.fixture
async def page(browser: Browser) -> Page:
    return await browser.page()


@pytest.fixture
async def site(mailing: Mailing, database: str) -> AsyncIterator[Client]:
    """A service with a socket, at the address that its links name."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    async with mailing(MG_USERS_PUBLIC_URL=url) as client:
        settings = load({}).settings
        app = application(client.service, settings)
        server = Server(app, address="127.0.0.1", port=port, interface="asgi", log_enabled=False)  # type: ignore[arg-type]
        serving = asyncio.create_task(server.serve())
        client.http.base_url = httpx.URL(url)
        yield client
        server.stop()  # type: ignore[no-untyped-call]
        await serving


async def test_in_a_browser_a_secret_is_replaced(site: Client, mail_server: MailServer, page: Page) -> None:
    user = await site.register()
    token = await ask_for_reset(site, mail_server, user["email"])
    await page.open(f"{site.http.base_url}/password/reset?token={token}")
    assert await page.js("document.title") == "Set a new password"
    assert await page.js("document.activeElement.id") == "password"
    await page.type("#password", "short")
    await page.type("#confirm_password", "short")
    await page.press("button")
    assert "does not meet the password policy" in await page.text()
    assert await page.js("document.querySelector('#password').value") == ""
    described = (
        "document.getElementById(document.querySelector('#password').getAttribute('aria-describedby'))"
    )
    assert "policy" in await page.js(f"{described}.innerText")
    await page.type("#password", NEW)
    await page.type("#confirm_password", NEW)
    await page.press("button")
    assert "Your password was changed" in await page.text()
    await site.login(user["email"], NEW)
    await page.open(f"{site.http.base_url}/password/reset?token={token}")
    assert "was used before" in await page.text()
    # A status other than 200 is told there, too; a policy that the pages break would be.
    assert not [line for line in page.complaints if "Content Security Policy" in line]


async def test_in_a_browser_an_email_is_verified_by_its_button(
    site: Client, mail_server: MailServer, page: Page
) -> None:
    user = await site.register()
    headers = await site.as_user(user["email"])
    token = await ask_for_verification(site, mail_server, headers)
    await page.open(f"{site.http.base_url}/verify-email?token={token}")
    assert not await verified(site, headers)
    await page.press("button")
    assert "Your email is verified" in await page.text()
    assert await verified(site, headers)
    assert page.complaints == []


async def test_in_a_browser_the_form_works_without_scripts_on_a_small_and_a_dark_screen(
    site: Client, mail_server: MailServer, page: Page
) -> None:
    user = await site.register()
    token = await ask_for_reset(site, mail_server, user["email"])
    await page.call("Emulation.setScriptExecutionDisabled", value=True)
    await page.call(
        "Emulation.setDeviceMetricsOverride", width=320, height=568, deviceScaleFactor=1, mobile=True
    )
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    await page.call("Emulation.setEmulatedMedia", features=dark)
    await page.open(f"{site.http.base_url}/password/reset?token={token}")
    assert await page.js("document.documentElement.scrollWidth") <= 320
    colours = "(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))"
    paper, ink = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in await page.js(colours))
    assert paper < 150 < 600 < ink
    for field in ("password", "confirm_password"):
        found = f"(i => [i.labels.length, i.autocomplete])(document.getElementById('{field}'))"
        assert await page.js(found) == [1, "new-password"]
    assert await page.js("document.querySelector('button').getBoundingClientRect().height") >= 44
    await page.type("#password", NEW)
    await page.type("#confirm_password", NEW)
    await page.press("button")
    assert "Your password was changed" in await page.text()
    assert (await reset(site, token)).status_code == 410
    assert (await verify(site, "x")).status_code == 400
