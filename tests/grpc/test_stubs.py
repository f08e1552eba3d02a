"""The .proto files are the contract: names, numbers and types stand here a second time, and never change."""

from __future__ import annotations

import subprocess

from google.protobuf.descriptor import FieldDescriptor, FileDescriptor

from interfaces.grpc.services import FILES
from interfaces.grpc.stubs.domains.v1 import domains_pb2
from tests.architecture.sources import ROOT

CONTRACT = {
    "users.v1.RetrieveUsersReq": "ids=1[] offset=2:u64 limit=3:u64",
    "users.v1.RetrieveUsersRes": "total=1:u64 limit=2:u64 offset=3:u64 users=4[]:users.v1.User",
    "users.v1.User": "id=1 first_name=2 last_name=3 tags=4[] metadata=5:google.protobuf.Struct "
    "private_metadata=6:google.protobuf.Struct status=7:u32 role=8:u32 profile_picture=9 username=10 "
    "email=11 created_at=12:google.protobuf.Timestamp updated_at=13:google.protobuf.Timestamp updated_by=14 "
    "verified_at=15:google.protobuf.Timestamp auth_provider=16 permissions=17[]",
    "users.v1.WatchUsersReq": "after=1:u64",
    "users.v1.WatchUsersRes": "position=1:u64 change=2:users.v1.Change",
    "users.v1.Change": "user_id=1 version=2:u64 type=3 cloud_event=4:bytes",
    "token.v1.IssueReq": "user_id=1 user_role=2:u32 type=3:u32 verified=4:bool description=5",
    "token.v1.RefreshReq": "refresh_token=1 verified=2:bool",
    "token.v1.Token": "access_token=1 refresh_token=2? access_type=3",
    "token.v1.RevokeReq": "token_id=1 user_id=2",
    "token.v1.RevokeRes": "",
    "token.v1.ListUserRefreshTokensReq": "user_id=1",
    "token.v1.ListUserRefreshTokensRes": "refresh_tokens=1[]:token.v1.RefreshToken",
    "token.v1.RefreshToken": "id=1 description=2",
    "auth.v1.AuthNReq": "token=1",
    "auth.v1.AuthNRes": "id=1 user_id=2 user_role=3:u32 verified=4:bool token_type=5:u32",
    "auth.v1.AuthZReq": "policy_req=1:auth.v1.PolicyReq pat_req=2?:auth.v1.PATReq",
    "auth.v1.PolicyReq": "domain=1 subject_type=2 subject_kind=3 subject_relation=4 subject=5 relation=6 "
    "permission=7 object=8 object_type=9",
    "auth.v1.PATReq": "pat_id=1 domain=2 operation=3 user_id=4 entity_id=5 entity_type=6",
    "auth.v1.AuthZRes": "authorized=1:bool id=2",
    "domains.v1.DeleteUserReq": "id=1",
    "domains.v1.DeleteUserRes": "deleted=1:bool",
    "mainflux.users.policies.IdentifyReq": "token=1",
    "mainflux.users.policies.IdentifyRes": "id=1",
    "mainflux.users.policies.AuthorizeReq": "subject=1 object=2 action=3 entityType=4",
    "mainflux.users.policies.AuthorizeRes": "authorized=1:bool",
}

SERVICES = {
    "users.v1.UsersService": "RetrieveUsers(RetrieveUsersReq)=RetrieveUsersRes "
    "WatchUsers(WatchUsersReq)=stream WatchUsersRes",
    "token.v1.TokenService": "Issue(IssueReq)=Token ListUserRefreshTokens(ListUserRefreshTokensReq)="
    "ListUserRefreshTokensRes Refresh(RefreshReq)=Token Revoke(RevokeReq)=RevokeRes",
    "auth.v1.AuthService": "Authenticate(AuthNReq)=AuthNRes Authorize(AuthZReq)=AuthZRes",
    "domains.v1.DomainsService": "DeleteUserFromDomains(DeleteUserReq)=DeleteUserRes",
    "mainflux.users.policies.AuthService": "Authorize(AuthorizeReq)=AuthorizeRes "
    "Identify(IdentifyReq)=IdentifyRes",
}

ALL: tuple[FileDescriptor, ...] = (*FILES, domains_pb2.DESCRIPTOR)
_TYPES = {FieldDescriptor.TYPE_UINT32: "u32", FieldDescriptor.TYPE_UINT64: "u64",
          FieldDescriptor.TYPE_BOOL: "bool", FieldDescriptor.TYPE_BYTES: "bytes",
          FieldDescriptor.TYPE_STRING: ""}  # fmt: skip


def _field(field: FieldDescriptor) -> str:
    kind = field.message_type.full_name if field.message_type else _TYPES[field.type]
    marks = "[]" if field.is_repeated else "?" if field.containing_oneof else ""
    return f"{field.name}={field.number}{marks}" + (f":{kind}" if kind else "")


def test_every_message_has_the_fields_and_numbers_of_the_contract() -> None:
    found = {
        message.full_name: " ".join(_field(field) for field in message.fields)
        for file in ALL
        for message in file.message_types_by_name.values()
    }
    assert found == CONTRACT


def test_every_service_has_the_methods_of_the_contract() -> None:
    found = {
        service.full_name: " ".join(
            f"{method.name}({method.input_type.name})={'stream ' * method.server_streaming}"
            f"{method.output_type.name}"
            for method in sorted(service.methods, key=lambda method: method.name)
        )
        for file in ALL
        for service in file.services_by_name.values()
    }
    assert found == SERVICES


def test_the_stubs_are_made_from_the_files_of_the_tree_and_never_committed() -> None:
    protos = ROOT / "interfaces" / "grpc" / "protos"
    stubs = ROOT / "interfaces" / "grpc" / "stubs"
    sources = {file.relative_to(protos).with_suffix("") for file in protos.rglob("*.proto")}
    made = {
        file.relative_to(stubs).with_name(file.name.removesuffix("_pb2.py"))
        for file in stubs.rglob("*_pb2.py")
    }
    assert made == sources
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", str(stubs)],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert listed.stdout == ""
