"""Shapes requests exactly as the old Go SDK, the CLI and the scripts around them did."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.service import bearer

ZERO = "0001-01-01T00:00:00Z"

ALWAYS = "with_attributes=false&with_metadata=false"
"""What every list of theirs carried."""


def whole_user(**given: Any) -> dict[str, Any]:
    """The whole user object of Go: every key, zero values where nothing was set."""
    return {
        "id": "",
        "first_name": "",
        "last_name": "",
        "name": "",
        "email": "",
        "credentials": {"username": "", "secret": ""},
        "tags": None,
        "owner": "",
        "metadata": None,
        "private_metadata": None,
        "created_at": ZERO,
        "updated_at": ZERO,
        "verified_at": ZERO,
        "updated_by": "",
        "status": "",
        "role": "",
        "profile_picture": "",
        "permissions": None,
        "auth_provider": "",
    } | given


class Sdk:
    """An old client: a body or not, each request says that it is JSON; each answer must have one code."""

    def __init__(self, http: httpx.AsyncClient, token: str = "") -> None:
        self._http = http
        self._token = token

    def with_token(self, token: str) -> Sdk:
        return Sdk(self._http, token)

    async def answer(self, method: str, target: str, body: Any = None) -> httpx.Response:
        """Whatever comes."""
        headers = {"Content-Type": "application/json"} | (bearer(self._token) if self._token else {})
        return await self._http.request(method, target, json=body, headers=headers)

    async def __call__(self, method: str, target: str, expected: int, body: Any = None) -> Any:
        """Send a request, insist on the very code, and decode what comes as the old clients did."""
        answer = await self.answer(method, target, body)
        assert answer.status_code == expected, f"{method} {target}: {answer.text}"
        return answer.json() if answer.content else None

    async def refusal(self, method: str, target: str, body: Any = None) -> dict[str, Any]:
        """What they read of a refusal: a code that is not the one they want, and two keys."""
        answer = await self.answer(method, target, body)
        assert answer.status_code >= 400, answer.text
        shown: dict[str, Any] = answer.json()
        assert shown["message"]
        assert shown["error"]
        return shown
