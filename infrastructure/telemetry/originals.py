"""The two metrics of the originals, so that dashboards built on them go on working.

Their latency was in seconds under a name that says microseconds. Whoever reads it has allowed for that,
so the numbers stay what they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import nan

from infrastructure.telemetry.catalogue import BY_NAME
from infrastructure.telemetry.requests import RequestTimes, Timed

QUANTILES = (0.5, 0.9, 0.99)

METHODS = {
    "POST /users": "register_user",
    "GET /users": "list_users",
    "GET /users/search": "search_users",
    "GET /users/profile": "view_profile",
    "GET /users/{user_id}": "view_user",
    "PATCH /users/{user_id}": "update_user",
    "DELETE /users/{user_id}": "delete_user",
    "PATCH /users/{user_id}/username": "update_usernames",
    "PATCH /users/{user_id}/tags": "update_user_tags",
    "PATCH /users/{user_id}/picture": "update_profile_picture",
    "PATCH /users/{user_id}/email": "update_user_email",
    "PATCH /users/{user_id}/identity": "update_user_email",
    "PATCH /users/{user_id}/role": "update_user_role",
    "PATCH /users/secret": "update_user_secret",
    "POST /users/{user_id}/enable": "enable_user",
    "POST /users/{user_id}/disable": "disable_user",
    "POST /users/send-verification": "send_verification",
    "GET /verify-email": "verify_email",
    "POST /verify-email": "verify_email",
    "POST /users/tokens/issue": "issue_token",
    "POST /users/tokens/refresh": "refresh_token",
    "POST /users/tokens/revoke": "revoke_refresh_token",
    "GET /users/tokens/refresh-tokens": "list_active_refresh_tokens",
    "POST /password/reset-request": "send_password_reset",
    "PUT /password/reset": "reset_secret",
    "POST /password/reset": "reset_secret",
}
"""What the originals called the method behind a route; a route they did not have is not here."""

WITHOUT_NAME = {
    "GET /password/reset",
    "GET /users/feed",
    "POST /users/bulk",
    "GET /users/{user_id}/export",
    "GET /users/{user_id}/history",
    "GET /users/{user_id}/security-log",
    "GET /users/{user_id}/throttle",
    "DELETE /users/{user_id}/throttle",
    "POST /users/tokens/revoke-all",
    "POST /oauth/introspect",
    "POST /oauth/revoke",
}
"""Routes with a command or query of which the originals had nothing like."""


def lines(times: RequestTimes) -> Iterator[str]:
    """Both metrics as text: the library can only write counters whose names end in `_total`."""
    methods = _by_method(times)
    count = "users_api_request_count"
    yield from _head(count)
    for method, found in methods.items():
        yield f'{count}{{method="{method}"}} {sum(timed.count for timed in found)}'
    latency = "users_api_request_latency_microseconds"
    yield from _head(latency)
    for method, found in methods.items():
        # Every status of a route shares one record of what was recent.
        recent = sorted(
            second for own in {id(timed.recent): timed.recent for timed in found}.values() for second in own
        )
        for quantile in QUANTILES:
            value = recent[min(int(quantile * len(recent)), len(recent) - 1)] if recent else nan
            yield f'{latency}{{method="{method}",quantile="{quantile}"}} {value}'
        yield f'{latency}_sum{{method="{method}"}} {sum(timed.seconds for timed in found)}'
        yield f'{latency}_count{{method="{method}"}} {sum(timed.count for timed in found)}'


def _by_method(times: RequestTimes) -> dict[str, list[Timed]]:
    methods: dict[str, list[Timed]] = {}
    for (method, route, _), timed in times.timed.items():
        if name := METHODS.get(f"{method} {route}"):
            methods.setdefault(name, []).append(timed)
    return dict(sorted(methods.items()))


def _head(name: str) -> Iterator[str]:
    metric = BY_NAME[name]
    yield f"# HELP {name} {metric.help}"
    yield f"# TYPE {name} {metric.kind}"
