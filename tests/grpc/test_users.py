"""RetrieveUsers: all that are asked for, in the order of the request, with what the contract lists."""

from __future__ import annotations

from uuid import uuid4

from google.protobuf.json_format import MessageToDict
from grpc import StatusCode

from interfaces.grpc.stubs.users.v1.users_pb2 import RetrieveUsersReq
from interfaces.grpc.users import MOST_IDS
from tests.grpc.world import World, reason_of, refusal, status_of


async def test_all_users_are_answered_in_the_order_of_the_request(here: World) -> None:
    headers = await here.client.as_admin()
    admin = (await here.client.http.get("/users/profile", headers=headers)).json()["id"]
    disabled, deleted, plain = [(await here.client.register())["id"] for _ in range(3)]
    await here.client.http.post(f"/users/{disabled}/disable", headers=headers)
    await here.client.http.delete(f"/users/{deleted}", headers=headers)
    asked = [plain, str(uuid4()), admin, deleted, "nobody", disabled, admin]
    answer = await here.users.RetrieveUsers(RetrieveUsersReq(ids=asked), metadata=here.shows("read_users"))
    assert [user.id for user in answer.users] == [plain, admin, deleted, disabled]
    assert [user.role for user in answer.users] == [0, 1, 0, 0]
    assert [user.status for user in answer.users] == [0, 0, 2, 1]
    assert (answer.total, answer.limit, answer.offset) == (4, 7, 0)


async def test_a_user_holds_every_field_that_the_contract_fills(here: World) -> None:
    account = here.client.account(
        tags=["a", "b"], metadata={"n": 1, "deep": {"list": [1, None, "x"]}}, private_metadata={"x": 1}
    )
    user = (await here.client.http.post("/users", json=account)).json()
    headers = await here.client.as_admin()
    path = f"/users/{user['id']}"
    picture = {"profile_picture": "https://example.com/a.png"}
    shown = (await here.client.http.patch(f"{path}/picture", json=picture, headers=headers)).json()
    answer = await here.users.RetrieveUsers(
        RetrieveUsersReq(ids=[user["id"]]), metadata=here.shows("read_users")
    )
    (found,) = answer.users
    assert MessageToDict(found, preserving_proto_field_name=True) == {
        "id": user["id"], "first_name": "Ada", "last_name": "Lovelace", "tags": ["a", "b"],
        "metadata": {"n": 1.0, "deep": {"list": [1.0, None, "x"]}},
        "profile_picture": "https://example.com/a.png",
        "username": account["credentials"]["username"], "email": account["email"],
        "created_at": shown["created_at"], "updated_at": shown["updated_at"],
        "updated_by": shown["updated_by"],
    }  # fmt: skip
    assert not found.HasField("verified_at")


async def test_a_page_of_the_users_is_cut_out_of_the_request(here: World) -> None:
    ids = [(await here.client.register())["id"] for _ in range(4)]
    shows = here.shows("read_users")
    for offset, limit, expected in ((1, 2, ids[1:3]), (0, 0, ids), (3, 9, ids[3:]), (9, 1, [])):
        request = RetrieveUsersReq(ids=ids, offset=offset, limit=limit)
        answer = await here.users.RetrieveUsers(request, metadata=shows)
        assert [user.id for user in answer.users] == expected
        assert answer.total == 4


async def test_too_many_ids_and_none_are_refused(here: World) -> None:
    shows = here.shows("read_users")
    for ids in ([], [str(uuid4())] * (MOST_IDS + 1)):
        error = await refusal(here.users.RetrieveUsers(RetrieveUsersReq(ids=ids), metadata=shows))
        assert error.code() is StatusCode.INVALID_ARGUMENT
        assert reason_of(error) == "INVALID_REQUEST"
        assert b"ids" in status_of(error).details[1].value
    none = await here.users.RetrieveUsers(
        RetrieveUsersReq(ids=[str(uuid4()) for _ in range(MOST_IDS)]), metadata=shows
    )
    assert (none.total, len(none.users)) == (0, 0)


async def test_an_answer_that_clients_would_not_take_is_refused_with_words(here: World) -> None:
    ids = [(await here.client.register(metadata={"blob": "x" * 250_000}))["id"] for _ in range(17)]
    shows = here.shows("read_users")
    error = await refusal(here.users.RetrieveUsers(RetrieveUsersReq(ids=ids), metadata=shows))
    assert (error.code(), reason_of(error)) == (StatusCode.RESOURCE_EXHAUSTED, "ANSWER_TOO_LARGE")
    few = await here.users.RetrieveUsers(RetrieveUsersReq(ids=ids, limit=5), metadata=shows)
    assert len(few.users) == 5
