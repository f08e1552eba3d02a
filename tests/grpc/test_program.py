"""`usersd run` with gRPC, and the example client, as somebody meets both for the first time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.support.program import Program, program

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "grpc_client.py"
PROTOS = ROOT / "interfaces" / "grpc" / "protos"


@pytest.fixture(scope="module")
def usersd() -> Iterator[Program]:
    with program() as made:
        made.start()
        yield made


def address(usersd: Program) -> str:
    return str(usersd.endpoints["grpc"])


def healthy(target: str) -> bool:
    with grpc.insecure_channel(target) as channel:
        stub: Any = HealthStub(channel)
        return bool(stub.Check(HealthCheckRequest(), timeout=20).status == HealthCheckResponse.SERVING)


def test_it_serves_grpc_and_says_where(usersd: Program) -> None:
    assert healthy(address(usersd))


def test_the_example_client_works_from_the_protos_alone(usersd: Program, tmp_path: Path) -> None:
    scopes = ["introspect", "read_users", "follow_feed"]
    (account,) = usersd.cli(
        "clients", "add", "example", *(part for scope in scopes for part in ("--scope", scope)), "--json"
    ).rows
    with httpx.Client(base_url=usersd.url, trust_env=False) as http:
        body = {
            "first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com",
            "credentials": {"username": "ada", "secret": "changeMe123"},
        }  # fmt: skip
        user = http.post("/users", json=body).raise_for_status().json()
        login = {"identity": "ada", "secret": "changeMe123"}
        token = http.post("/users/tokens/issue", json=login).raise_for_status().json()["access_token"]
    # Alone in a folder, so that nothing of ours can be imported.
    alone = tmp_path / "client.py"
    alone.write_bytes(EXAMPLE.read_bytes())
    ended = subprocess.run(
        [sys.executable, "-P", str(alone), str(PROTOS), address(usersd), "--token", token, "--changes", "2"],
        env={"USERSD_CLIENT_ID": account["id"], "USERSD_CLIENT_SECRET": account["secret"], "PATH": ""},
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    first, *changes = ended.stdout.splitlines()
    assert first == f"token {user['id']} ada"
    assert [line.split()[:3] for line in changes] == [
        ["change", "1", "users.registered.v1"], ["change", "2", "users.registered.v1"],
    ]  # fmt: skip
    assert changes[1].endswith(user["id"])


def test_a_second_one_on_the_same_port_says_what_to_do(usersd: Program) -> None:
    port = address(usersd).rpartition(":")[2]
    with program(MG_USERS_GRPC_PORT=port) as second:
        refused = second.cli("run")
        assert refused.code == 1
        assert "MG_USERS_GRPC_PORT" in refused.err
        assert not second.data.exists()


def test_it_ends_well_while_somebody_watches(usersd: Program) -> None:
    with grpc.insecure_channel(address(usersd)) as channel:
        stub: Any = HealthStub(channel)
        watch = stub.Watch(HealthCheckRequest())
        assert next(watch).status == HealthCheckResponse.SERVING
        usersd.terminate()
        assert next(watch).status == HealthCheckResponse.NOT_SERVING
        assert usersd.wait() == 0, usersd.output()
    assert "Traceback" not in usersd.output()
