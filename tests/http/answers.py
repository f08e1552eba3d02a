"""What holds for every answer."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import httpx
from litestar import Litestar

from tests.http.served_document import tells_of
from tests.support.service import Client

PROBLEM_KEYS = {"type", "title", "status", "detail", "instance", "code", "errors", "message", "error"}

SECURITY_HEADERS = ("x-content-type-options", "x-frame-options", "referrer-policy", "content-security-policy")

_CODE = re.compile(r"[a-z]+(_[a-z]+)*")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


async def check(answer: httpx.Response) -> None:
    """Hangs on the client, so that no answer of any test is left out."""
    await answer.aread()
    method, path = answer.request.method, answer.request.url.path
    assert tells_of(method, path, answer.status_code), f"{method} {path}: {answer.status_code} undocumented"
    check_marks(answer)
    assert answer.status_code != 500, f"{method} {path}: {answer.text}"
    if path.startswith("/oauth/") and answer.status_code in (400, 401, 403, 413, 415, 429, 503):
        assert set(answer.json()) == {"error", "error_description"}
    elif answer.status_code >= 400 and method != "HEAD" and path != "/readyz" and not _is_page(answer):
        check_problem(answer)


def _is_page(answer: httpx.Response) -> bool:
    """What is refused to a person is told on a page."""
    return answer.headers["content-type"].startswith("text/html")


def check_marks(answer: httpx.Response) -> None:
    for name in SECURITY_HEADERS:
        assert len(answer.headers.get_list(name)) == 1, f"{name} on {answer.status_code}"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert _REQUEST_ID.fullmatch(answer.headers["x-request-id"])


def check_problem(answer: httpx.Response) -> None:
    """One body for every refusal, and the headers that go with its status."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == PROBLEM_KEYS
    assert body["type"] == "about:blank"
    assert body["status"] == answer.status_code
    assert body["title"] == body["error"] == HTTPStatus(answer.status_code).phrase
    assert body["detail"] == body["message"]
    assert body["detail"]
    assert body["instance"] == f"urn:request:{answer.headers['x-request-id']}"
    assert _CODE.fullmatch(body["code"])
    for fault in body["errors"]:
        assert set(fault) == {"pointer", "message"}
        assert fault["pointer"] == "" or fault["pointer"].startswith("/")
        assert fault["message"].endswith(".")
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer realm=")
    if answer.status_code == 405:
        assert answer.headers["allow"]
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) >= 1


def refused(answer: httpx.Response, status: int, code: str, *pointers: str) -> list[str]:
    """Asserts a refusal and which faults it lists; answers with the messages of the faults."""
    assert answer.status_code == status, answer.text
    check_problem(answer)
    body = answer.json()
    assert body["code"] == code
    assert sorted(fault["pointer"] for fault in body["errors"]) == sorted(pointers)
    return [fault["message"] for fault in body["errors"]]


def accepted(answer: httpx.Response, status: int = 200) -> Any:
    """Asserts a success and answers with its body."""
    assert answer.status_code == status, answer.text
    return answer.json()


def litestar_of(client: Client) -> Litestar:
    """The application behind a client."""
    transport = client.http._transport
    assert isinstance(transport, httpx.ASGITransport)
    app: Any = transport.app
    assert isinstance(app.app, Litestar)
    return app.app


def routes_of(client: Client) -> set[tuple[str, str]]:
    """Every method and path template of the application."""
    found: set[tuple[str, str]] = set()
    for route in litestar_of(client).routes:
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path_format)
        found |= {(str(method), path) for method in route.methods if method != "OPTIONS"}
    return found


async def send_raw(client: Client, target: bytes, **more: Any) -> httpx.Response:
    """GET a target exactly as it is spelt, which a well-behaved client would not send."""
    return await client.http.get(client.http.base_url.copy_with(raw_path=target), **more)
