"""The metrics that dashboards of the originals are built on."""

from __future__ import annotations

import re

from litestar import Litestar

from infrastructure.telemetry.originals import METHODS, WITHOUT_NAME
from interfaces.http.app import routes
from tests.support.service import Client
from tests.telemetry.scraping import scraped

ORIGINAL = {
    "register_user", "send_verification", "verify_email", "issue_token", "refresh_token",
    "revoke_refresh_token", "list_active_refresh_tokens", "view_user", "view_profile", "list_users",
    "search_users", "update_user", "update_user_tags", "update_user_email", "update_user_secret",
    "update_usernames", "update_profile_picture", "send_password_reset", "reset_secret", "update_user_role",
    "enable_user", "disable_user", "identify", "oauth_callback", "delete_user", "add_user_policy",
}  # fmt: skip
"""Every method that Magistrala's metrics knew."""


async def test_the_two_metrics_have_their_old_names_types_and_labels(client: Client) -> None:
    user = await client.register()
    headers = await client.as_user(user["email"])
    for _ in range(3):
        await client.http.get("/users/profile", headers=headers)
    await client.http.patch(f"/users/{user['id']}/email", json={"email": "b@example.com"}, headers=headers)
    await client.http.patch(
        f"/users/{user['id']}/identity", json={"identity": "c@example.com"}, headers=headers
    )
    lines = (await scraped(client)).splitlines()
    assert "# TYPE users_api_request_count counter" in lines
    assert "# TYPE users_api_request_latency_microseconds summary" in lines
    for line in (
        'users_api_request_count{method="register_user"} 1',
        'users_api_request_count{method="view_profile"} 3',
        'users_api_request_count{method="update_user_email"} 2',
        'users_api_request_latency_microseconds_count{method="view_profile"} 3',
    ):
        assert line in lines
    quantiles = [line for line in lines if 'method="view_profile",quantile' in line]
    assert [re.findall(r'quantile="([\d.]+)"', line)[0] for line in quantiles] == ["0.5", "0.9", "0.99"]


async def test_the_latency_is_in_seconds_whatever_its_name_says(client: Client) -> None:
    await client.register()
    text = await scraped(client)
    found = re.search(r'latency_microseconds_sum\{method="register_user"\} (\S+)', text)
    ours = re.search(r'duration_seconds_sum\{method="POST",route="/users",status="201"\} (\S+)', text)
    assert found
    assert ours
    assert float(found[1]) == float(ours[1])
    assert 0 < float(found[1]) < 10


def test_every_route_with_a_use_case_has_the_name_it_had() -> None:
    app = Litestar(routes(), openapi_config=None)
    there = {
        f"{method} {route.path_format}"
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if handler.opt.get("command")
        for method in handler.http_methods
    }
    unnamed = there - METHODS.keys() - WITHOUT_NAME
    assert not unnamed, f"edit infrastructure/telemetry/originals.py: {sorted(unnamed)}"


def test_no_name_is_made_up() -> None:
    assert set(METHODS.values()) <= ORIGINAL
    # Not by HTTP, or not kept.
    assert ORIGINAL - set(METHODS.values()) == {"identify", "oauth_callback", "add_user_policy"}
