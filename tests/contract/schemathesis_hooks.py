"""Loaded by schemathesis: how to be signed in, and the few things that JSON Schema has no words for."""

from __future__ import annotations

import json
import os
import re
import string
from itertools import count
from typing import Any

import httpx
import schemathesis
from hypothesis import strategies as st

from interfaces.http.openapi.examples import USER_ID

URL = os.environ["USERSD_URL"]
ADMIN = json.loads(os.environ["USERSD_ADMIN"])
"""Who asks: `id`, `identity` and `secret`."""

SUBJECT = os.environ["USERSD_SUBJECT"]
"""The id of somebody for changes to be made to."""

UNSAYABLE = (
    "password policy",  # a setting, while the document is the same for every deployment
    "bytes",  # JSON Schema counts characters
    "unassigned character",  # engines of patterns differ in the version of Unicode they know
    "holds no invisible",  # the same, of emails
    "whole number lies between",  # within metadata, whose shape is the clients' own
    "nested at most",
    "Expected a JSON object",  # in a query, where it is a text
    "not a URL",  # the characters are said, the grammar of hosts and ports is not
    "If-Match takes",  # an empty header: no library tells a sent one from one that is not there
    "Usersd-Position is beyond",  # the end of the log, wherever that is by then
    "cursor",  # sealed by the service that gave it
    "token",  # of a mail, which only its recipient has
    "The two passwords differ",
    "A search needs",  # one of four parameters; OpenAPI describes them one by one
    "U+0000",  # no pattern reaches every text within metadata
)
"""What stands in the message of a refusal that can meet a body of which the schema holds."""

schemathesis.openapi.format(
    "password", st.text(string.ascii_letters + string.digits + "!?-_ ", min_size=8, max_size=72)
)


@schemathesis.serializer("application/x-ndjson")
def _lines(context: Any, value: Any) -> bytes | None:
    """Lines of JSON go as they are."""
    return value.encode("utf-8", "replace") if isinstance(value, str) else None


def login() -> dict[str, str]:
    """Tokens of a session that nothing else uses."""
    secrets = {name: ADMIN[name] for name in ("identity", "secret")}
    tokens: dict[str, str] = httpx.post(f"{URL}/users/tokens/issue", json=secrets, trust_env=False).json()
    return tokens


_numbers = count()
ACCESS_TOKEN = login()["access_token"]


class Access:
    """Signs requests with the token of one session, which lasts."""

    def get(self, case: Any, context: Any) -> str:
        return ACCESS_TOKEN

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


class Refresh(Access):
    """Signs each request with a refresh token of its own, for it is used up by one."""

    def get(self, case: Any, context: Any) -> str:
        return login()["refresh_token"]


class Service(Access):
    """Signs requests as a service account."""

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers["Authorization"] = os.environ["USERSD_SERVICE"]


WITH_PAGES = ("/password/reset", "/verify-email")
"""Paths with pages for people behind methods that the document, which is for programs, does not name."""

REFRESH = "/users/tokens/refresh"
REVOKE_ALL = "/users/tokens/revoke-all"
BULK = "/users/bulk"
INTROSPECT = "/oauth/introspect"
schemathesis.auth(refresh_interval=None).skip_for(path=[REFRESH, INTROSPECT])(Access)
schemathesis.auth(refresh_interval=None).apply_to(path=INTROSPECT)(Service)
schemathesis.auth(refresh_interval=None).apply_to(path=REFRESH)(Refresh)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Puts what only the running service knows in the place of examples.

    An id that is there, names that are free, and a key that nobody has used yet, as clients take them.
    """
    if (case.path_parameters or {}).get("user_id") == USER_ID:
        case.path_parameters["user_id"] = SUBJECT
    if case.path == REVOKE_ALL and isinstance(case.body, dict):
        # Whoever asks would end the session by which all others are asked.
        kept = case.body.get("keep_current")
        case.body["keep_current"] = True if kept is None or kept is False else kept
    key = (case.headers or {}).get("Idempotency-Key")
    if key is not None and re.fullmatch(r"[A-Za-z0-9-]{1,200}", str(key)):
        case.headers["Idempotency-Key"] = f"{key}-{next(_numbers)}"
    if (
        case.method == "POST"
        and isinstance(case.body, dict)
        and isinstance(case.body.get("credentials"), dict)
    ):
        _renew(case.body, "email")
        _renew(case.body["credentials"], "username", "identity")


def _renew(names: dict[str, Any], *keys: str) -> None:
    """Names of the examples are free but once."""
    for key in keys:
        if names.get(key) in ("ada", "ada@example.com", "charles@example.com"):
            names[key] = names[key].replace("a", f"a{next(_numbers)}", 1)


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Nobody saws off the branch: whoever asks does not change their own name, secret or standing."""
    if case.path == REVOKE_ALL and case.method == "POST" and type(case.body).__name__ == "NotSet":
        return False
    if case.path == BULK and case.method == "POST" and not isinstance(case.body, str):
        # Whatever is no text is no lines either, and cannot be sent as them.
        return False
    return bool(case.method == "GET" or (case.path_parameters or {}).get("user_id") != ADMIN["id"])


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether a failure counts."""
    if type(failure).__name__ in ("UnsupportedMethodResponse", "AllowHeaderMismatch"):
        return case.path not in WITH_PAGES
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    problem = response.json()
    if "code" not in problem:
        # In the form of OAuth, which points at nothing; a form with a token is all that is asked for.
        return True
    if problem["code"] in ("idempotency_key_reused", "stale_version"):
        # True of a request beside others that came before it; no schema of one request can say it.
        return False
    faults = [fault["message"] for fault in problem["errors"]]
    return not faults or not all(any(part in fault for part in UNSAYABLE) for fault in faults)
