"""`usersd keys` on a real program: rotated while it runs, and its root key replaced while it does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx
import jwt
import psycopg
import pytest

from infrastructure.event_store.keyring import WrongRootKey, open_keyring
from infrastructure.keys.rewrap import rewrap
from infrastructure.keys.root_key import FileOfRootKey
from infrastructure.tokens.key_store import KeyStore
from tests.support.program import Program
from tests.support.servers import throw_away_folder
from tests.support.waiting import at_last

ACCOUNT = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "email": "ada@example.com",
    "credentials": {"username": "ada", "secret": "changeMe123"},
}
LOGIN = {"identity": "ada", "secret": "changeMe123"}


def post(usersd: Program, path: str, body: Mapping[str, object]) -> dict[str, str]:
    answer = httpx.post(f"{usersd.url}{path}", json=body, timeout=20, trust_env=False)
    assert answer.status_code == 201, answer.text
    made: dict[str, str] = answer.json()
    return made


def profile(usersd: Program, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{usersd.url}/users/profile", headers=headers, timeout=20, trust_env=False).status_code


def published(usersd: Program) -> set[str]:
    answer = httpx.get(f"{usersd.url}/.well-known/jwks.json", timeout=20, trust_env=False)
    return {key["kid"] for key in answer.json()["keys"]}


def logged_in(usersd: Program) -> tuple[str, str]:
    """A token and the id of the key that signed it."""
    token = post(usersd, "/users/tokens/issue", LOGIN)["access_token"]
    return token, jwt.get_unverified_header(token)["kid"]


def test_keys_are_rotated_and_retired_while_the_service_runs(usersd: Program) -> None:
    usersd.start()
    post(usersd, "/users", ACCOUNT)
    token, first = logged_in(usersd)
    active, following = usersd.cli("keys", "list", "--json").rows
    assert (active["kid"], active["state"], following["state"]) == (first, "active", "next")
    assert published(usersd) == {active["kid"], following["kid"]}

    early = usersd.cli("keys", "rotate")
    assert (early.code, early.out) == (75, "")
    assert "may sign in 16 min" in early.err
    with psycopg.connect(usersd.postgres, autocommit=True) as connection:
        connection.execute("UPDATE signing_keys SET created_at = created_at - interval '17 minutes'")
    (rotated,) = usersd.cli("keys", "rotate", "--json").rows
    assert rotated["kid"] == following["kid"]
    at_last(lambda: logged_in(usersd)[1] == following["kid"])
    assert profile(usersd, token) == 200
    assert len(published(usersd)) == 3

    assert "signs at present" in usersd.cli("keys", "retire", following["kid"]).err
    refused = usersd.cli("keys", "retire", first)
    assert refused.code == 1
    assert "can be alive until" in refused.err
    assert usersd.cli("keys", "retire", first, "--force").code == 0
    at_last(lambda: profile(usersd, token) == 401)
    assert first not in published(usersd)
    warned = usersd.cli("keys", "rotate", "--now")
    assert warned.code == 0
    assert "16 minutes" in warned.err
    for ended in (usersd.cli("keys", "list"), usersd.cli("keys", "retire", "made up")):
        assert "Traceback" not in ended.err


def test_the_root_key_is_replaced_while_nothing_runs(usersd: Program) -> None:
    usersd.start()
    post(usersd, "/users", ACCOUNT)
    token, kid = logged_in(usersd)
    old = usersd.root_key
    refused = usersd.cli("keys", "rewrap")
    assert refused.code == 1
    assert "stop every usersd" in refused.err
    assert usersd.root_key == old
    usersd.terminate()
    assert usersd.wait() == 0

    done = usersd.cli("keys", "rewrap", "--json")
    assert done.rows[0]["file"].endswith("root.key")
    assert usersd.root_key != old
    assert not (usersd.data / "root.key.next").exists()
    usersd.start()
    assert profile(usersd, token) == 200
    assert logged_in(usersd)[1] == kid
    usersd.terminate()
    assert usersd.wait() == 0
    (usersd.data / "root.key").write_text(old.hex())
    wrong = usersd.cli("run")
    assert wrong.code == 1
    assert "is not the key of this database" in wrong.err


def test_a_root_key_of_ones_own_is_made_given_and_taken(usersd: Program, tmp_path: Path) -> None:
    assert usersd.cli("migrate").code == 0
    new = usersd.cli("keys", "generate").out.strip()
    assert len(bytes.fromhex(new)) == 32
    file = tmp_path / "new.key"
    file.write_text("no key")
    assert usersd.cli("keys", "rewrap", "--new-key-file", str(file)).code == 2
    file.write_text(f"{new}\n")
    assert usersd.cli("keys", "rewrap", "--new-key-file", str(file)).code == 0
    assert usersd.root_key.hex() == new
    again = usersd.cli("keys", "rewrap", MG_USERS_ROOT_KEY_NEW=new)
    assert again.code == 1
    assert "nothing to do" in again.err


def test_without_a_new_root_key_one_of_the_operators_is_not_replaced(database: str) -> None:
    with pytest.raises(Exception, match="MG_USERS_ROOT_KEY_NEW"):
        rewrap(database, b"o" * 32, None, None)


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_killed_while_the_root_key_is_replaced_the_next_start_knows_which_holds(
    database: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    old, new = b"o" * 32, b"n" * 32
    with throw_away_folder() as folder, psycopg.connect(database, autocommit=True) as connection:
        path = folder / "root.key"
        path.write_text(old.hex())
        before = open_keyring(connection, old)
        KeyStore(connection, before).settle("ES256")

        def killed(*_: object) -> None:
            raise Killed

        if moment == "before the commit":
            monkeypatch.setattr("infrastructure.keys.rewrap._wrap_all", killed)
        else:
            monkeypatch.setattr(FileOfRootKey, "adopt", killed)
        with pytest.raises(Killed):
            rewrap(database, old, new, FileOfRootKey(path))
        monkeypatch.undo()
        assert path.read_text() == old.hex()
        assert path.with_name("root.key.next").exists()

        FileOfRootKey(path).settle(database)
        holds = old if moment == "before the commit" else new
        assert path.read_text() == holds.hex()
        assert not path.with_name("root.key.next").exists()
        after = open_keyring(connection, holds)
        assert after.digest("email", "a@b") == before.digest("email", "a@b")
        assert len(KeyStore(connection, after).all()) == 2
        with pytest.raises(WrongRootKey):
            open_keyring(connection, new if holds == old else old)
