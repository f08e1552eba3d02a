"""Certificates: whose calls are carried out, who is not let in at all, and new ones without a restart."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode

from infrastructure.server.addresses import LOOPBACK, grpc_place
from infrastructure.settings import SettingsError, load
from interfaces.grpc.stubs.users.v1.users_pb2 import RetrieveUsersReq, WatchUsersReq
from interfaces.grpc.stubs.users.v1.users_pb2_grpc import UsersServiceStub
from tests.grpc.world import Metadata, World, reason_of, refusal, serving
from tests.support.certificates import Authority

NOTIFICATIONS = "CN=notifications,O=Example"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def retrieved(address: str, credentials: Any, metadata: Metadata = ()) -> StatusCode:
    """How it ends to ask for a user that there is not, over a connection of its own."""
    async with grpc.aio.secure_channel(address, credentials) as channel:
        stub: Any = UsersServiceStub(channel)
        request = RetrieveUsersReq(ids=["4ddf6ba4-5bbe-4f0f-8f6c-d5cbe6e0f3a4"])
        try:
            await stub.RetrieveUsers(request, metadata=metadata, timeout=20)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return StatusCode.OK


def asking(authority: Authority, subjects: str = NOTIFICATIONS) -> dict[str, str]:
    """The settings of a server that asks for certificates."""
    return {
        **authority.server_files(),
        "MG_USERS_GRPC_CLIENT_CA_CERTS": str(authority.file),
        "MG_USERS_GRPC_CLIENT_SUBJECTS": subjects,
    }


async def test_a_certificate_on_the_list_may_call_everything(here: World, authority: Authority) -> None:
    listed = f"CN=things; {NOTIFICATIONS}"
    async with serving(here.client, **asking(authority, listed)) as made:
        for subject in ("CN=things", NOTIFICATIONS):
            assert await retrieved(made.address, authority.credentials(subject)) is StatusCode.OK
        channel = grpc.aio.secure_channel(made.address, authority.credentials(NOTIFICATIONS))
        stub: Any = UsersServiceStub(channel)
        assert (await stub.WatchUsers(WatchUsersReq()).read()).position == 1
        await channel.close()


async def test_a_certificate_that_is_not_on_the_list_may_nothing(here: World, authority: Authority) -> None:
    async with serving(here.client, **asking(authority)) as made:
        for subject in ("CN=notifications", "CN=notifications,O=Other", "CN=Notifications,O=Example", "CN=x"):
            credentials = authority.credentials(subject)
            assert await retrieved(made.address, credentials) is StatusCode.PERMISSION_DENIED
            # The credential of a service account is as good over this connection as over any other.
            assert await retrieved(made.address, credentials, here.shows("read_users")) is StatusCode.OK
        async with grpc.aio.secure_channel(made.address, authority.credentials("CN=x")) as channel:
            error = await refusal(UsersServiceStub(channel).RetrieveUsers(RetrieveUsersReq()))
            assert reason_of(error) == "CERTIFICATE_NOT_LISTED"


async def test_without_a_certificate_of_the_authority_there_is_no_connection(
    here: World, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "CN=Other")
    async with serving(here.client, **asking(authority)) as made:
        key, certificate = other.issue(NOTIFICATIONS)
        stranger = grpc.ssl_channel_credentials(authority.certificate, key, certificate)
        for credentials in (authority.credentials(), stranger):
            code = await retrieved(made.address, credentials, here.shows("read_users"))
            assert code is StatusCode.UNAVAILABLE


async def test_tls_without_certificates_of_clients_takes_a_service_account(
    here: World, authority: Authority
) -> None:
    async with serving(here.client, **authority.server_files()) as made:
        assert await retrieved(made.address, authority.credentials()) is StatusCode.UNAUTHENTICATED
        shows = here.shows("read_users")
        assert await retrieved(made.address, authority.credentials(), shows) is StatusCode.OK
        async with grpc.aio.insecure_channel(made.address) as channel:
            stub: Any = UsersServiceStub(channel)
            call = stub.RetrieveUsers(RetrieveUsersReq(ids=["x"]), metadata=shows, timeout=20)
            assert (await refusal(call)).code() is StatusCode.UNAVAILABLE


async def test_new_certificates_are_used_without_a_restart(
    here: World, authority: Authority, tmp_path: Path
) -> None:
    environ = authority.server_files()
    shows = here.shows("read_users")
    async with serving(here.client, **environ) as made:
        assert await retrieved(made.address, authority.credentials(), shows) is StatusCode.OK
        successor = Authority(tmp_path, "CN=Successor")
        successor.server_files()
        assert await retrieved(made.address, successor.credentials(), shows) is StatusCode.OK
        assert await retrieved(made.address, authority.credentials(), shows) is StatusCode.UNAVAILABLE
        # What cannot be used changes nothing.
        os.unlink(environ["MG_USERS_GRPC_SERVER_KEY"])
        assert await retrieved(made.address, successor.credentials(), shows) is StatusCode.OK


def test_beyond_loopback_there_is_no_plaintext(authority: Authority) -> None:
    ports = {
        "MG_USERS_GRPC_PORT": "0", "MG_USERS_GRPC_SECOND_PORT": "0",
        "MG_USERS_EMBEDDED": "true", "MG_USERS_ADMIN_PASSWORD": "one-of-our-own",
    }  # fmt: skip
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        place = grpc_place(load({**ports, "MG_USERS_GRPC_HOST": host}).settings)
        assert place.host == LOOPBACK
        assert f"instead of {host}" in place.warning
        assert "MG_USERS_GRPC_SERVER_CERT" in place.warning
    with_tls = {**ports, "MG_USERS_GRPC_HOST": "0.0.0.0", **authority.server_files()}
    place = grpc_place(load(with_tls).settings)
    assert (place.host, place.warning) == ("0.0.0.0", "")
    for host in ("127.0.0.1", "localhost"):
        assert grpc_place(load({**ports, "MG_USERS_GRPC_HOST": host}).settings).warning == ""


def test_an_operator_hears_that_no_certificate_is_listed(authority: Authority) -> None:
    environ = {"MG_USERS_GRPC_PORT": "0", **asking(authority, "")}
    assert "MG_USERS_GRPC_CLIENT_SUBJECTS" in grpc_place(load(environ).settings).warning


def test_a_subject_is_compared_in_one_form_and_a_broken_one_is_refused() -> None:
    listed = load({"MG_USERS_GRPC_CLIENT_SUBJECTS": r"CN=a\2Cb,O=x ; CN=c"}).settings.grpc_client_subjects
    assert listed == [r"CN=a\,b,O=x", "CN=c"]
    with pytest.raises(SettingsError, match="MG_USERS_GRPC_CLIENT_SUBJECTS"):
        load({"MG_USERS_GRPC_CLIENT_SUBJECTS": "things"})
