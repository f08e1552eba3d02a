"""Users of Keycloak and of Firebase come with what an account can keep, and the rest is named."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from typing import Any

import msgspec
import pytest
from argon2.low_level import Type, hash_secret_raw
from hypothesis import given
from hypothesis import strategies as st

from application.import_runs import UnfitSource
from application.importing import faults
from infrastructure.accounts.foreign_hashes import FirebaseParameters, check_of, flaw_of
from infrastructure.importing import elements as scanning
from infrastructure.importing.elements import NoSuchArray, Odd, Torn, elements
from infrastructure.importing.exported import ExportSource, firebase, keycloak
from infrastructure.importing.files import NdjsonSource
from tests.importing.accounts import SECRET

SALT = b"0123456789abcdef"
PARAMETERS = FirebaseParameters(
    base64_signer_key="jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==",
    base64_salt_separator="Bw==",
    rounds=8,
    mem_cost=14,
)
SEALED = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(['"', "\\", "[{", "users"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(max_size=6) | st.just("user"), JSON, max_size=3),
    st.lists(st.dictionaries(st.text(max_size=6) | st.just("users"), JSON, max_size=3) | JSON, max_size=4),
    st.dictionaries(st.text(max_size=6), JSON, max_size=2),
    st.booleans(),
    st.integers(1, 40),
)
def test_the_elements_of_an_array_are_found_wherever_a_block_ends(
    before: dict[str, Any], users: list[Any], after: dict[str, Any], ascii_only: bool, block: int
) -> None:
    for other in (before, after):
        other.pop("users", None)
    text = json.dumps(before | {"users": users} | after, ensure_ascii=ascii_only, indent=block % 3 or None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "_BLOCK", block)
        found = list(elements(io.BytesIO(text.encode("utf-8", "surrogatepass")), "users"))
    assert [json.loads(each) if isinstance(each, bytes) else each for each in found] == [
        each if isinstance(each, dict) else Odd.NO_OBJECT for each in users
    ]


@given(st.binary(max_size=200) | st.text('{}[]"\\:,users', max_size=60).map(str.encode), st.integers(1, 9))
def test_no_bytes_break_the_search_for_elements(data: bytes, limit: int) -> None:
    try:
        for element in elements(io.BytesIO(b'{"users":[' + data), "users", limit):
            assert isinstance(element, Odd) or len(element) <= limit
    except (Torn, NoSuchArray):
        pass


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def credential(algorithm: str, rounds: int, digest: bytes, **more: list[str]) -> dict[str, str]:
    return {
        "type": "password",
        "secretData": json.dumps({"value": b64(digest), "salt": b64(SALT), "additionalParameters": {}}),
        "credentialData": json.dumps(
            {"hashIterations": rounds, "algorithm": algorithm, "additionalParameters": more}
        ),
    }


def of_keycloak(**changes: Any) -> dict[str, Any]:
    return {
        "id": "5d0d4a55-7d0c-4d0e-8a4f-3f0c1c7f6a02",
        "createdTimestamp": 1700000000123,
        "username": "ada",
        "enabled": True,
        "emailVerified": True,
        "firstName": "Ada",
        "lastName": "Lovelace",
        "email": "ada@example.com",
        "attributes": {"locale": ["en"]},
        "credentials": [],
        "requiredActions": [],
        "realmRoles": ["default-roles-test"],
    } | changes


def read(source: ExportSource) -> Any:
    (offered,) = source.offered()
    return offered


def keycloak_user(**changes: Any) -> Any:
    document = {"realm": "test", "users": [of_keycloak(**changes)]}
    return read(ExportSource(None, io.BytesIO(json.dumps(document).encode()), keycloak))


def test_a_user_of_keycloak_comes_with_names_times_and_attributes() -> None:
    offered = keycloak_user()
    account = offered.account
    assert (account.email, account.username, account.first_name) == ("ada@example.com", "ada", "Ada")
    assert account.private_metadata == {"locale": ["en"]}
    assert account.created_at.isoformat() == "2023-11-14T22:13:20.123000+00:00"
    assert account.verified_at == account.created_at
    assert offered.unkept == ("realmRoles",)
    again = next(NdjsonSource(stream=io.BytesIO(offered.raw)).offered())
    assert again.account == account
    assert keycloak_user(enabled=False, emailVerified=False).account.status == "disabled"
    assert keycloak_user(username="ADA@example.com").account.username is None


@pytest.mark.parametrize(
    "kept",
    [
        credential("pbkdf2-sha256", 100, hashlib.pbkdf2_hmac("sha256", SECRET.encode(), SALT, 100, 64)),
        credential("pbkdf2-sha512", 100, hashlib.pbkdf2_hmac("sha512", SECRET.encode(), SALT, 100, 64)),
        credential("pbkdf2", 100, hashlib.pbkdf2_hmac("sha1", SECRET.encode(), SALT, 100, 64)),
        credential(
            "argon2", 1, hash_secret_raw(SECRET.encode(), SALT, 1, 64, 1, 32, Type.ID),
            type=["id"], version=["1.3"], memory=["64"], parallelism=["1"], hashLength=["32"],
        ),
    ],
    ids=["sha256", "sha512", "sha1", "argon2"],
)  # fmt: skip
def test_a_secret_of_keycloak_opens(kept: dict[str, str]) -> None:
    account = keycloak_user(credentials=[{"type": "otp"}, kept]).account
    check = check_of(account.secret_hash)
    assert check is not None
    assert check(SECRET.encode())
    assert not check(b"other")


def test_a_user_of_firebase_gets_an_id_and_opens_with_the_parameters() -> None:
    user = {
        "localId": "zVQkMJ1pC3WcXbVx9mT1abcdefg2",
        "email": "grace@example.com",
        "emailVerified": True,
        "passwordHash": SEALED,
        "salt": "42xEC+ixf3L2lw==",
        "displayName": "Grace Hopper",
        "createdAt": "1700000000123",
        "providerUserInfo": [{"providerId": "password"}],
        "disabled": True,
    }
    document = json.dumps({"users": [user]}).encode()
    first = read(ExportSource(None, io.BytesIO(document), firebase(PARAMETERS)))
    account = first.account
    assert (account.name, account.status, first.unkept) == ("Grace Hopper", "disabled", ("providerUserInfo",))
    check = check_of(account.secret_hash)
    assert check is not None
    assert check(b"user1password")
    assert read(ExportSource(None, io.BytesIO(document), firebase(PARAMETERS))).account.id == account.id
    without = read(ExportSource(None, io.BytesIO(document), firebase(None))).account
    assert [fault.pointer for fault in faults(without, hash_flaw=flaw_of)] == ["/secret_hash"]


@pytest.mark.parametrize(
    "broken",
    [
        {"credentials": [{"type": "password"}]},
        {"credentials": "x"},
        {"createdTimestamp": "soon"},
        {"createdTimestamp": 10**30},
        {"email": None},
        {"id": 7},
    ],
    ids=["no data", "no list", "no time", "too late", "no email", "no id"],
)
def test_a_user_that_cannot_be_read_is_offered_with_the_reason(broken: dict[str, Any]) -> None:
    offered = keycloak_user(**broken)
    assert offered.account is None
    assert offered.faults
    assert offered.place == 1


def test_a_document_that_is_cut_off_or_holds_no_users_says_so() -> None:
    whole = json.dumps({"users": [of_keycloak(), of_keycloak()]}).encode()
    first, second = ExportSource(None, io.BytesIO(whole[:-30]), keycloak).offered()
    assert first.account is not None
    assert "middle" in second.faults[0].message
    with pytest.raises(UnfitSource):
        list(ExportSource(None, io.BytesIO(b'{"realm": "test"}'), keycloak).offered())
    assert msgspec.json.decode(first.raw or b"")["email"] == "ada@example.com"


@pytest.mark.parametrize(
    ("users", "odd"),
    [
        ("[1, {}]", [1]),
        ('[{}, "x", null]', [2, 3]),
        ('[[{"id": 1}], true, {}]', [1, 2]),
        ("[\n  -1.5e3\n]", [1]),
        ("[]", []),
    ],
    ids=["a number", "a text and null", "an array and true", "alone", "nothing"],
)
def test_an_element_that_is_no_object_is_named_by_its_number(users: str, odd: list[int]) -> None:
    document = f'{{"users": {users}, "realm": "x"}}'.encode()
    offered = list(ExportSource(None, io.BytesIO(document), keycloak).offered())
    named = [one.place for one in offered if "is no object" in one.faults[0].message]
    assert named == odd
    assert [one.place for one in offered] == list(range(1, len(json.loads(users)) + 1))


@pytest.mark.parametrize("said", ["false", "true", 0, 1, [], {}], ids=str)
@pytest.mark.parametrize("name", ["enabled", "emailVerified"])
def test_a_text_or_a_number_is_neither_true_nor_false(name: str, said: Any) -> None:
    offered = keycloak_user(**{name: said})
    assert offered.account is None
    assert [(fault.pointer, fault.message) for fault in offered.faults] == [
        (f"/{name}", "This is neither true nor false.")
    ]


@pytest.mark.parametrize("name", ["disabled", "emailVerified"])
def test_firebase_says_true_and_false_in_no_other_way(name: str) -> None:
    user = {"localId": "a", "email": "a@example.com", "createdAt": "1", name: "false"}
    document = json.dumps({"users": [user]}).encode()
    offered = read(ExportSource(None, io.BytesIO(document), firebase(None)))
    assert [fault.pointer for fault in offered.faults] == [f"/{name}"]
    user[name] = None  # type: ignore[assignment]
    document = json.dumps({"users": [user]}).encode()
    assert read(ExportSource(None, io.BytesIO(document), firebase(None))).account.status == "enabled"


@pytest.mark.parametrize(
    "twice", ['"enabled": false,', '"attributes": {"a": ["1"], "a": ["2"]},'], ids=["a field", "an attribute"]
)
def test_a_key_that_stands_twice_in_an_export_keeps_its_user_out(twice: str) -> None:
    user = (
        json.dumps(of_keycloak(attributes={})).replace("{", "{" + twice, 1).replace('"attributes": {},', "")
    )
    offered = read(ExportSource(None, io.BytesIO(f'{{"users": [{user}]}}'.encode()), keycloak))
    assert offered.account is None
    assert "twice" in offered.faults[0].message


def test_a_key_that_stands_twice_in_what_keycloak_keeps_of_a_secret_keeps_its_user_out() -> None:
    kept = credential("pbkdf2-sha256", 100, hashlib.pbkdf2_hmac("sha256", SECRET.encode(), SALT, 100, 64))
    kept["credentialData"] = kept["credentialData"].replace("{", '{"algorithm": "pbkdf2",', 1)
    offered = keycloak_user(credentials=[kept])
    assert offered.account is None
    assert "twice" in offered.faults[0].message
