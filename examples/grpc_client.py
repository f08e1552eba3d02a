"""Another service of the platform: checks a token, fetches users, follows what happens to them.

Written from the .proto files alone, whose folder is the first argument; nothing of usersd is imported. It
needs grpcio and grpcio-tools. The credential is that of a service account with the scopes introspect,
read_users and follow_feed (`usersd clients add`), in USERSD_CLIENT_ID and USERSD_CLIENT_SECRET.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import grpc
from grpc_tools import protoc

PACKAGE = "platform_api"
"""The stubs lie in a package of ours: on the top level, `token` would hide a module of Python's own."""

AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


def make_stubs(protos: Path) -> None:
    """Make the stubs where Python finds them; a real service does it once, when it is built."""
    folder = tempfile.mkdtemp(prefix="stubs-")
    well_known = Path(protoc.__file__).parent / "_proto"
    files = [f"{PACKAGE}/{file.relative_to(protos)}" for file in protos.rglob("*.proto")]
    out = [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    if protoc.main(["protoc", f"-I{PACKAGE}={protos}", f"-I{well_known}", *out, *files]) != 0:
        sys.exit("the stubs could not be made")
    sys.path.insert(0, folder)


def credential() -> tuple[tuple[str, str], ...]:
    """The metadata that every call carries: HTTP Basic, both parts form-encoded (RFC 6749, 2.3.1)."""
    names = ("USERSD_CLIENT_ID", "USERSD_CLIENT_SECRET")
    both = ":".join(quote_plus(os.environ[name]) for name in names)
    return (("authorization", "Basic " + base64.b64encode(both.encode()).decode()),)


def connect(address: str, authorities: Path | None) -> grpc.Channel:
    """A channel; with TLS where the authorities that the server's certificate comes from are named."""
    if authorities is None:
        return grpc.insecure_channel(address)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(authorities.read_bytes()))


def follow(users: Any, messages: Any, position: int, most: int) -> None:
    """Print changes. After a lost connection it goes on from the last position: no gap, nothing twice."""
    while most > 0:
        try:
            for answer in users.WatchUsers(messages.WatchUsersReq(after=position), metadata=credential()):
                position = answer.position
                if answer.HasField("change"):
                    event = json.loads(answer.change.cloud_event)
                    print("change", position, answer.change.type, event["subject"], flush=True)
                    most -= 1
                if most == 0:
                    return
        except grpc.RpcError as error:
            if error.code() not in AGAIN:
                raise
            print(f"the stream has ended ({error.details()}); going on from {position}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("protos", type=Path, help="the folder of the .proto files")
    parser.add_argument("address", help="for instance localhost:7001")
    parser.add_argument("--authorities", type=Path, help="who signed the server's certificate (PEM)")
    parser.add_argument("--token", default="", help="an access token, to be told whose it is")
    parser.add_argument("--after", type=int, default=0, help="the position to follow from")
    parser.add_argument("--changes", type=int, default=sys.maxsize, help="end after so many changes")
    chosen = parser.parse_args()
    make_stubs(chosen.protos)
    from platform_api.auth.v1 import auth_pb2, auth_pb2_grpc
    from platform_api.users.v1 import users_pb2, users_pb2_grpc

    with connect(chosen.address, chosen.authorities) as channel:
        auth, users = auth_pb2_grpc.AuthServiceStub(channel), users_pb2_grpc.UsersServiceStub(channel)
        if chosen.token:
            who = auth.Authenticate(auth_pb2.AuthNReq(token=chosen.token), metadata=credential(), timeout=5)
            request = users_pb2.RetrieveUsersReq(ids=[who.user_id])
            (user,) = users.RetrieveUsers(request, metadata=credential(), timeout=5).users
            print("token", user.id, user.username, flush=True)
        follow(users, users_pb2, chosen.after, chosen.changes)


if __name__ == "__main__":
    main()
