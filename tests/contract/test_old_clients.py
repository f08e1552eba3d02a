"""Old clients, of both dialects, point at this service, change nothing else, and go on."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import pytest

from tests.contract.sdk import ALWAYS, ZERO, Sdk, whole_user
from tests.support.service import ADMIN, SECRET, Client

TIMES = ("created_at", "updated_at", "verified_at")


class Given(NamedTuple):
    """A service, an admin's client, a user of one dialect and that user's client."""

    sdk: Sdk
    admin: Sdk
    dialect: str
    user: dict[str, Any]
    own: Sdk
    login: dict[str, str]

    @property
    def path(self) -> str:
        return f"/users/{self.user['id']}"


REGISTRATIONS = {
    "magistrala": whole_user(
        first_name="Ada",
        last_name="Lovelace",
        email="ada@example.com",
        credentials={"username": "ada", "secret": SECRET},
        tags=["engine"],
        metadata={"team": "analysis"},
    ),
    "mainflux": whole_user(
        name="Ada Lovelace",
        credentials={"identity": "ada@example.com", "secret": SECRET},
        tags=["engine"],
        metadata={"team": "analysis"},
    ),
}
LOGINS = {
    "magistrala": {"username": "ada", "password": SECRET},
    "mainflux": {"identity": "ada@example.com", "secret": SECRET},
}


@pytest.fixture(params=["magistrala", "mainflux"])
async def given(request: pytest.FixtureRequest, client: Client) -> Given:
    """A user of each dialect in turn, registered and signed in the way of that dialect."""
    sdk, dialect = Sdk(client.http), str(request.param)
    user = await sdk("POST", "/users", 201, REGISTRATIONS[dialect])
    token = (await sdk("POST", "/users/tokens/issue", 201, LOGINS[dialect]))["access_token"]
    admin = (await sdk("POST", "/users/tokens/issue", 201, ADMIN))["access_token"]
    return Given(sdk, sdk.with_token(admin), dialect, user, sdk.with_token(token), LOGINS[dialect])


def changed(given: Given, **fields: Any) -> dict[str, Any]:
    """The user as the client holds it, as a whole, with changes: what it sends to change one thing."""
    return whole_user(**given.user) | fields


async def test_a_user_is_created_from_the_whole_object(given: Given) -> None:
    assert given.user["id"]
    assert given.user["created_at"] != ZERO
    assert (given.user["updated_at"], given.user["verified_at"]) == (ZERO, ZERO)
    assert (given.user["status"], given.user["role"]) == ("enabled", "user")
    assert given.user["email"] == "ada@example.com"
    assert "secret" not in given.user["credentials"]


async def test_every_time_parses_as_rfc_3339(given: Given) -> None:
    updated = await given.own("PATCH", given.path, 200, changed(given, metadata={"floor": 2}))
    for shown in (given.user, updated, await given.own("GET", "/users/profile", 200)):
        for name in TIMES:
            assert shown[name].endswith("Z")
            datetime.fromisoformat(shown[name])


async def test_login_and_refresh_answer_201_with_a_pair(given: Given) -> None:
    issued = await given.sdk("POST", "/users/tokens/issue", 201, given.login)
    assert issued["access_type"] == "Bearer"
    refreshed = await given.sdk.with_token(issued["refresh_token"])("POST", "/users/tokens/refresh", 201)
    assert set(refreshed) == {"access_token", "refresh_token", "access_type"}
    await given.sdk.with_token(refreshed["access_token"])("GET", "/users/profile", 200)


async def test_view_and_profile_answer_200_with_the_user(given: Given) -> None:
    for sdk, target in ((given.own, given.path), (given.own, "/users/profile"), (given.admin, given.path)):
        assert await sdk("GET", target, 200) == given.user


@pytest.mark.parametrize("more", ["", "&total=0", "&roles=true", "&limit=10&offset=0&total=100&roles=true"])
async def test_a_list_takes_what_old_clients_add(given: Given, more: str) -> None:
    page = await given.admin("GET", f"/users?{ALWAYS}{more}", 200)
    assert page["total"] == 2
    assert {user["email"] for user in page["users"]} == {"ada@example.com", ADMIN["identity"]}


async def test_a_list_is_filtered_in_the_words_of_either_dialect(given: Given) -> None:
    for words in ("email=ada@example.com", "tags=engine", "tag=engine", "status=all&email=ada"):
        page = await given.admin("GET", f"/users?{ALWAYS}&{words}", 200)
        assert [user["id"] for user in page["users"]] == [given.user["id"]], words
    own = "identity=ada@example.com" if given.dialect == "mainflux" else "username=ada"
    page = await given.admin("GET", f"/users?{ALWAYS}&{own}", 200)
    assert [user["id"] for user in page["users"]] == [given.user["id"]]


async def test_a_minus_is_part_of_a_tag(given: Given) -> None:
    await given.own("PATCH", f"{given.path}/tags", 200, changed(given, tags=["a-b"]))
    for tags, total in (("a-b", 1), ("a", 0)):
        page = await given.admin("GET", f"/users?{ALWAYS}&tags={tags}", 200)
        assert page["total"] == total


async def test_a_search_answers_200_to_any_user(given: Given) -> None:
    page = await given.own("GET", f"/users/search?{ALWAYS}&username=ada&limit=10&offset=0", 200)
    # Mainflux had no search, and its accounts have none of the names that it looks in.
    found = [] if given.dialect == "mainflux" else [given.user["id"]]
    assert [user["id"] for user in page["users"]] == found


async def test_an_update_with_the_whole_user_changes_names_and_metadata_alone(given: Given) -> None:
    names = {"name": "Augusta"} if given.dialect == "mainflux" else {"first_name": "Augusta"}
    body = changed(
        given, **names, metadata={"floor": 2}, tags=["no"], role="admin", status="disabled",
        email="else@example.com", profile_picture="https://example.com/no.png",
    )  # fmt: skip
    after = await given.own("PATCH", given.path, 200, body)
    assert after == given.user | names | {
        "metadata": {"floor": 2}, "updated_at": after["updated_at"], "updated_by": given.user["id"]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("route", "field", "value"),
    [("tags", "tags", ["engine", "notes"]), ("picture", "profile_picture", "https://example.com/ada.png")],
)
async def test_tags_and_picture_with_the_whole_user_change_nothing_else(
    given: Given, route: str, field: str, value: Any
) -> None:
    body = changed(given, first_name="No", name="No", role="admin", **{field: value})
    after = await given.own("PATCH", f"{given.path}/{route}", 200, body)
    assert after == given.user | {
        field: value, "updated_at": after["updated_at"], "updated_by": given.user["id"]
    }  # fmt: skip


async def test_a_role_with_the_whole_user_changes_the_role_alone(given: Given) -> None:
    body = changed(given, role="admin", first_name="No", status="disabled")
    after = await given.admin("PATCH", f"{given.path}/role", 200, body)
    assert (after["role"], after["status"]) == ("admin", "enabled")
    assert after.get("first_name") == given.user.get("first_name")


async def test_a_role_as_a_number_is_refused_with_what_would_do(given: Given) -> None:
    refusal = await given.admin.refusal("PATCH", f"{given.path}/role", {"role": 1})
    assert refusal["message"] == "Expected one of: user, admin."


async def test_a_username_changes(given: Given) -> None:
    after = await given.own("PATCH", f"{given.path}/username", 200, {"username": "lovelace"})
    assert after["credentials"]["username"] == "lovelace"


async def test_an_email_changes_and_the_same_one_is_200_too(given: Given) -> None:
    same = await given.own("PATCH", f"{given.path}/email", 200, {"email": "ada@example.com"})
    assert same == given.user
    after = await given.own("PATCH", f"{given.path}/email", 200, {"email": "lovelace@example.com"})
    assert after["email"] == "lovelace@example.com"


async def test_an_identity_changes_the_mainflux_way(given: Given) -> None:
    after = await given.own("PATCH", f"{given.path}/identity", 200, {"identity": "lovelace@example.com"})
    assert after["email"] == "lovelace@example.com"
    shown = {"identity": "lovelace@example.com"} if given.dialect == "mainflux" else {"username": "ada"}
    assert after["credentials"] == shown


async def test_a_password_changes(given: Given) -> None:
    secrets = {"old_secret": SECRET, "new_secret": SECRET + "4"}
    after = await given.own("PATCH", "/users/secret", 200, secrets)
    assert after["id"] == given.user["id"]
    assert "secret" not in after["credentials"]
    login = {"identity": "ada@example.com", "secret": SECRET + "4"}
    await given.sdk("POST", "/users/tokens/issue", 201, login)


async def test_disable_and_enable_need_no_body_and_answer_200(given: Given) -> None:
    assert (await given.admin("POST", f"{given.path}/disable", 200))["status"] == "disabled"
    assert (await given.admin("POST", f"{given.path}/enable", 200))["status"] == "enabled"


async def test_a_deletion_answers_204_and_nothing_else(given: Given) -> None:
    assert await given.own("DELETE", given.path, 204) is None
    assert (await given.admin("GET", given.path, 200))["status"] == "deleted"


async def test_health_answers_200(given: Given) -> None:
    health = await given.sdk("GET", "/health", 200)
    assert (health["status"], health["description"]) == ("pass", "users service")


async def test_a_refusal_has_the_two_keys_that_old_clients_read(given: Given) -> None:
    wrong = given.login | {"password": "wrong-one", "secret": "wrong-one"}
    assert (await given.sdk.refusal("POST", "/users/tokens/issue", wrong))["error"] == "Unauthorized"
    again = await given.sdk.refusal("POST", "/users", REGISTRATIONS[given.dialect])
    assert again["error"] == "Conflict"


async def test_an_error_of_a_list_by_a_plain_user_is_403_as_documented(given: Given) -> None:
    assert (await given.own.refusal("GET", f"/users?{ALWAYS}"))["status"] == 403
