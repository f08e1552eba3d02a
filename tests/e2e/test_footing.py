"""What the program stands on before it serves: its folder, its root key, its port, its certificate."""

from __future__ import annotations

import signal
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.support.certificates import self_signed
from tests.support.program import PATIENCE, Program, program
from tests.support.waiting import at_last

IDLE_CONNECTIONS = 1_500


def test_a_command_that_only_looks_makes_no_service_where_there_is_none(usersd: Program) -> None:
    looked = usersd.cli("projections", "status")
    assert looked.code == 1
    assert looked.err.startswith("There is no data in ")
    # First how to find the service that there is, for most who read this have one.
    assert looked.err.index("MG_USERS_DB_HOST") < looked.err.index("usersd run")
    assert not (usersd.data / "pg").exists()


def test_a_command_beside_a_role_that_listens_needs_no_password_of_the_admin(usersd: Program) -> None:
    beside = {
        "MG_USERS_HTTP_HOST": "0.0.0.0",
        "MG_USERS_DB_HOST": "127.0.0.1",
        "MG_USERS_DB_PORT": "1",
        "MG_USERS_ES_URL": "nats://127.0.0.1:1",
        "MG_USERS_ROOT_KEY": "ab" * 32,
    }
    looked = usersd.cli("projections", "status", **beside)
    assert looked.code == 75
    assert "PostgreSQL cannot be used" in looked.err


def test_a_root_key_that_is_gone_is_not_replaced_by_another(usersd: Program) -> None:
    assert usersd.cli("migrate").code == 0
    assert usersd.cli("projections", "status").code == 0
    (usersd.data / "root.key").unlink()
    refused = usersd.cli("run")
    assert refused.code == 1
    assert "root.key is gone" in refused.err
    assert "Traceback" not in refused.err
    assert not (usersd.data / "root.key").exists()


def test_a_root_key_that_cannot_be_one_is_refused_in_a_line(usersd: Program) -> None:
    assert usersd.cli("migrate").code == 0
    for content in (b"", b"junk", b"ab" * 31, b"\xff"):
        (usersd.data / "root.key").write_bytes(content)
        refused = usersd.cli("run")
        assert refused.code == 1, content
        assert "root key" in refused.err, content
        assert "Traceback" not in refused.err, content


def test_a_port_that_is_taken_is_told_before_anything_is_made() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        with program(MG_USERS_HTTP_PORT=str(holder.getsockname()[1])) as usersd:
            assert usersd.cli("run").code == 1
            assert not usersd.data.exists()


def test_connections_that_say_nothing_keep_nobody_from_being_answered(usersd: Program) -> None:
    usersd.start()
    host, port = usersd.url.removeprefix("http://").split(":")
    with ExitStack() as held:
        for _ in range(IDLE_CONNECTIONS):
            held.enter_context(socket.create_connection((host, int(port)), timeout=10))
        assert httpx.get(f"{usersd.url}/livez", timeout=10, trust_env=False).status_code == 200


def test_a_certificate_makes_it_speak_https_and_a_signal_has_a_new_one_read(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    with program(MG_USERS_HTTP_SERVER_CERT=str(certificate), MG_USERS_HTTP_SERVER_KEY=str(key)) as usersd:
        usersd.start(wait=False)
        trust = ssl.create_default_context(cafile=str(certificate))
        usersd.wait_until_ready(verify=trust)
        assert usersd.url.startswith("https://")
        answer = httpx.get(f"{usersd.url}/health", verify=trust, trust_env=False)
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        self_signed(tmp_path)
        assert usersd.process is not None
        usersd.process.send_signal(signal.SIGHUP)
        at_last(lambda: usersd.is_ready(ssl.create_default_context(cafile=str(certificate))), PATIENCE)


def test_certificates_that_cannot_be_used_are_told_before_anything_is_made(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    key.write_bytes(certificate.read_bytes())
    with program(MG_USERS_HTTP_SERVER_CERT=str(certificate), MG_USERS_HTTP_SERVER_KEY=str(key)) as usersd:
        for command in (["run"], ["config", "check"]):
            refused = usersd.cli(*command)
            assert refused.code == 2
            expected = "should be a private key in PEM, without a passphrase (it holds none)"
            assert refused.err == f"MG_USERS_HTTP_SERVER_KEY={key}: {expected}\n"
        assert not usersd.data.exists()
