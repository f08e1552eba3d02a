"""Hashes of other services: which are known, that they open for their secret alone, and what is too much."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator

import pytest
from argon2.low_level import Type, hash_secret

from infrastructure.accounts.foreign_hashes import (
    FirebaseParameters,
    check_of,
    firebase_hash,
    flaw_of,
)
from infrastructure.accounts.passwords import BcryptHasher
from tests.importing.accounts import BCRYPT, SECRET


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


SALT = b"0123456789abcdef"
SCRYPT = hashlib.scrypt(SECRET.encode(), salt=SALT, n=1024, r=8, p=1, dklen=32)


def pbkdf2(algorithm: str, salt: bytes = SALT) -> bytes:
    return hashlib.pbkdf2_hmac(algorithm, SECRET.encode(), salt, 1000)


HASHES = {
    "bcrypt of Go": "$2a" + BCRYPT[3:],
    "bcrypt of PHP": "$2y" + BCRYPT[3:],
    "bcrypt": BCRYPT,
    "argon2id": hash_secret(SECRET.encode(), SALT, 1, 64, 2, 32, Type.ID).decode(),
    "argon2i": hash_secret(SECRET.encode(), SALT, 1, 64, 1, 32, Type.I).decode(),
    "argon2id 1.0": hash_secret(SECRET.encode(), SALT, 1, 64, 1, 32, Type.ID, version=16).decode(),
    "scrypt": f"$scrypt$ln=10,r=8,p=1${b64(SALT)}${b64(SCRYPT)}",
    "PBKDF2": f"$pbkdf2-sha256$i=1000,l=32${b64(SALT)}${b64(pbkdf2('sha256'))}",
    "PBKDF2 of passlib": f"$pbkdf2-sha512$1000${b64(SALT)}${b64(pbkdf2('sha512')).replace('+', '.')}",
    "PBKDF2 with SHA-1": f"$pbkdf2$1000${b64(SALT)}${b64(pbkdf2('sha1')).replace('+', '.')}",
    "PBKDF2 of Django": "pbkdf2_sha256$1000$NaCl$" + base64.b64encode(pbkdf2("sha256", b"NaCl")).decode(),
}


@pytest.fixture(scope="module")
async def hasher() -> AsyncIterator[BcryptHasher]:
    made = BcryptHasher(4)
    yield made
    made.close()


@pytest.mark.parametrize("kind", HASHES)
async def test_a_hash_opens_for_its_secret_alone(kind: str, hasher: BcryptHasher) -> None:
    assert flaw_of(HASHES[kind]) is None
    assert await hasher.verify(SECRET, HASHES[kind])
    assert not await hasher.verify(SECRET + "x", HASHES[kind])
    assert not await hasher.verify("", HASHES[kind])
    assert hasher.outdated(HASHES[kind]) != HASHES[kind].startswith("$2")


@pytest.mark.parametrize(
    "hashed",
    [
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        "$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44",
    ],
)
def test_hashes_that_others_have_published_open(hashed: str) -> None:
    check = check_of(hashed)
    assert check is not None
    assert check(b"password")
    assert not check(b"Password")


def test_the_hash_that_firebase_has_published_opens() -> None:
    given = FirebaseParameters(
        base64_signer_key="jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==",
        base64_salt_separator="Bw==",
        rounds=8,
        mem_cost=14,
    )
    sealed = "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
    check = check_of(firebase_hash(given, "42xEC+ixf3L2lw==", sealed))
    assert check is not None
    assert check(b"user1password")
    assert not check(b"user2password")


@pytest.mark.parametrize(
    "hashed",
    [
        "",
        "secret",
        "$2x" + BCRYPT[3:],
        "$2b$31" + BCRYPT[6:],
        "$2b$03" + BCRYPT[6:],
        "$2b$\u0660\u0664" + BCRYPT[6:],
        "$scrypt$ln=16,r=1,p=1$MDEyMzQ1Njc4OQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODk",
        BCRYPT[:-1],
        BCRYPT + "\n",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "$6$rounds=5000$salt$hash",
        "$argon2d$v=19$m=64,t=1,p=1$MDEyMzQ1Njc4OQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODk",
        "$argon2id$v=19$m=2097152,t=1,p=4$MDEyMzQ1Njc4OQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODk",
        "$argon2id$v=19$m=65536,t=1000,p=4$MDEyMzQ1Njc4OQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODk",
        "$argon2id$v=19$m=64,t=1,p=255$MDEyMzQ1Njc4OQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODk",
        "$argon2id$v=19$m=64,t=0,p=1$MDEyMzQ1Njc4OQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODk",
        "$argon2id$v=19$m=64,t=1,p=1$MDEyMzQ1Njc4OQ$MDEy",
        "$scrypt$ln=25,r=8,p=1$MDEyMzQ1Njc4OQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODk",
        "$scrypt$ln=17,r=8,p=16$MDEyMzQ1Njc4OQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODk",
        "$scrypt$ln=10,r=0,p=1$MDEyMzQ1Njc4OQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODk",
        "$pbkdf2-sha256$i=99999999$MDEyMzQ1Njc4OQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODk",
        "$pbkdf2-sha256$i=0$MDEyMzQ1Njc4OQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODk",
        "$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OQ$MDEy",
        "$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4O$MDEyMzQ1Njc4OTAxMjM0NTY3ODk",
        "$pbkdf2-md5$i=1000$MDEyMzQ1Njc4OQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODk",
    ],
)
def test_what_cannot_be_checked_or_would_cost_too_much_is_not_known(hashed: str) -> None:
    assert flaw_of(hashed)


BITS = "stray bits"


@pytest.mark.parametrize(
    ("hashed", "flaw"),
    [
        (BCRYPT[:28] + "v" + BCRYPT[29:], BITS),
        (BCRYPT[:-1] + "9", BITS),
        (f"$scrypt$ln=10,r=8,p=1$MDEyMzQ1Njc4OR${b64(SCRYPT)}", BITS),
        (f"$scrypt$ln=10,r=8,p=1${b64(SALT)}${b64(SCRYPT)}==", BITS),
        (f"$scrypt$ln=10,r=8,p=1$A${b64(SCRYPT)}", BITS),
        (f"$argon2id$v=19$m=64,t=1,p=1$MDEyMzQ1Njc4OR${b64(SCRYPT)}", BITS),
        (HASHES["argon2id"].replace("m=64", "m=064"), "leading zeros"),
        (HASHES["argon2id"].replace("t=1", "t=01"), "leading zeros"),
        (HASHES["scrypt"].replace("r=8", "r=08"), "leading zeros"),
        (HASHES["PBKDF2"].replace("i=1000", "i=0001000"), "leading zeros"),
        (HASHES["PBKDF2"].replace("l=32", "l=032"), "leading zeros"),
        (HASHES["PBKDF2"].replace("l=32", "l=31"), "parameters"),
        (HASHES["PBKDF2 of Django"].replace("$1000", "$01000"), "leading zeros"),
        ("$2b$31" + BCRYPT[6:], "parameters"),
        ("{SSHA}MDEyMzQ1Njc4OQ", "of this kind"),
    ],
    ids=[
        "bcrypt's salt", "bcrypt's hash", "a salt", "too much padding", "one letter", "argon2's salt",
        "memory", "passes", "blocks", "rounds", "a length", "another length", "Django's rounds", "a cost",
        "LDAP",
    ],
)  # fmt: skip
def test_what_no_library_writes_is_refused_by_name(hashed: str, flaw: str) -> None:
    assert flaw in (flaw_of(hashed) or "")
    assert hashed.startswith("$2") or check_of(hashed) is None


async def test_a_long_secret_counts_to_its_end_under_a_foreign_hash(hasher: BcryptHasher) -> None:
    long = "ß" * 100
    hashed = hash_secret(long.encode(), SALT, 1, 64, 1, 32, Type.ID).decode()
    assert await hasher.verify(long, hashed)
    assert not await hasher.verify(long[:-1], hashed)


async def test_foreign_hashes_are_checked_beside_the_loop(hasher: BcryptHasher) -> None:
    hashed = f"$scrypt$ln=14,r=8,p=1${b64(SALT)}${b64(SCRYPT)}"
    checking = asyncio.create_task(hasher.verify(SECRET, hashed))
    await asyncio.sleep(0)
    assert hasher.waiting == 1
    assert not await checking
