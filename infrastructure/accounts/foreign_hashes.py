"""Hashes that other services made: which ones a secret can be checked against, and the check itself.

Accounts that are brought in keep the hash they had; the next login replaces it by ours. Whatever would
take seconds or much memory to check is not known here, so that nobody can have a login do heaps of work;
nor is what no library writes, such as numbers with leading zeros: others read it in another way.

bcrypt:  `$2a$`, `$2b$`, `$2y$`; not `$2x$`, whose makers computed something else beyond ASCII
argon2:  `$argon2id$v=19$m=65536,t=3,p=4$salt$hash` (RFC 9106, PHC string), `$argon2i$…`, also without `v`
scrypt:  `$scrypt$ln=17,r=8,p=1$salt$hash` (RFC 7914, PHC string)
PBKDF2:  `$pbkdf2-sha256$i=600000,l=32$salt$hash` (RFC 8018, PHC string), `$pbkdf2-sha256$29000$salt$hash`
         of passlib, `pbkdf2_sha256$600000$salt$hash` of Django; each also with sha512, two with sha1
Firebase: `$firebase-scrypt$ln=14,r=8$salt$separator$signer$hash`, made by the import of its export
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

MAX_BCRYPT_COST: Final = 15
MAX_MEMORY_KIB: Final = 256 * 1024
MAX_ARGON2_WORK: Final = 1024 * 1024
"""KiB times passes: 1 GiB is filled about once a second."""
MAX_SCRYPT_WORK: Final = 2**22
"""N times r times p."""
MAX_PBKDF2_ROUNDS: Final = 4_000_000
MAX_LANES: Final = 16
MIN_DIGEST: Final = 16
"""Bytes: against a shorter one too many secrets would match."""
MAX_DIGEST: Final = 128
MAX_SALT: Final = 256

_B64 = r"[A-Za-z0-9+/]+"
_BCRYPT = re.compile(
    r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}([./A-Za-z0-9])[./A-Za-z0-9]{30}([./A-Za-z0-9])", re.ASCII
)
_BCRYPT_ENDS: Final = (".Oeu", ".CGKOSWaeimquy26")
"""The last characters of a salt and of a hash carry 2 and 4 bits: nobody writes others."""
_ARGON2 = re.compile(
    rf"\$(argon2id|argon2i)\$(?:v=(16|19)\$)?m=(\d{{1,8}}),t=(\d{{1,6}}),p=(\d{{1,3}})\$({_B64})\$({_B64})",
    re.ASCII,
)
_SCRYPT = re.compile(
    rf"\$scrypt\$ln=(\d{{1,2}}),r=(\d{{1,3}}),p=(\d{{1,3}})\$({_B64}=*)\$({_B64}=*)", re.ASCII
)
_PBKDF2 = re.compile(
    r"\$pbkdf2(?:-(sha1|sha256|sha512))?\$(?:i=)?(\d{1,8})(?:,l=(\d{1,3}))?"
    r"\$([A-Za-z0-9+/.]*={0,2})\$([A-Za-z0-9+/.]+={0,2})",
    re.ASCII,
)
_DJANGO = re.compile(rf"pbkdf2_(sha256|sha512)\$(\d{{1,8}})\$([^$\s]{{1,256}})\$({_B64}={{0,2}})", re.ASCII)
_FIREBASE = re.compile(
    rf"\$firebase-scrypt\$ln=(\d{{1,2}}),r=(\d{{1,2}})\$({_B64})\$((?:{_B64})?)\$({_B64})\$({_B64})",
    re.ASCII,
)

Check = Callable[[bytes], bool]
"""Whether a secret matches; takes as long as its hash was made to take."""


class _Unknown(Exception):
    """The text is no hash that can be checked, or one that would cost too much; it says which."""


_NO_KIND: Final = "No secret can be checked against a hash of this kind."
_TOO_MUCH: Final = "To check a secret under the parameters of this hash takes too much, or is impossible."
_NOT_CANONICAL: Final = "The hash is not written as its kind is: its base64 has stray bits (RFC 4648, 3.5)."
_ZEROS: Final = "The hash is not written as its kind is: a number in it has leading zeros."


def flaw_of(hashed: str) -> str | None:
    """Why no login can be checked against a hash in bounded time and memory; None where one can."""
    try:
        if found := _BCRYPT.fullmatch(hashed):
            _require(4 <= int(found[1]) <= MAX_BCRYPT_COST)
            _require(found[2] in _BCRYPT_ENDS[0] and found[3] in _BCRYPT_ENDS[1], _NOT_CANONICAL)
        else:
            _made(hashed)
    except _Unknown as unknown:
        return str(unknown)
    return None


def check_of(hashed: str) -> Check | None:
    """What checks a secret against a hash of another kind than bcrypt; None where none can be."""
    try:
        return _made(hashed)
    except _Unknown:
        return None


def _made(hashed: str) -> Check:
    for pattern, made in _KINDS:
        if found := pattern.fullmatch(hashed):
            return made(found)
    raise _Unknown(_NO_KIND)


def _argon2(found: re.Match[str]) -> Check:
    kind, _, memory, passes, lanes, salt, digest = found.groups()
    kib, times, parallel = _number(memory), _number(passes), _number(lanes)
    _require(1 <= parallel <= MAX_LANES and 8 * parallel <= kib <= MAX_MEMORY_KIB)
    _require(times >= 1 and kib * times <= MAX_ARGON2_WORK)
    _require(8 <= len(_bytes(salt)) <= MAX_SALT and MIN_DIGEST <= len(_bytes(digest)) <= MAX_DIGEST)
    encoded = found[0].encode()

    def check(secret: bytes) -> bool:
        # Imported here because most services never meet one.
        from argon2.exceptions import InvalidHash, VerificationError
        from argon2.low_level import Type, verify_secret

        try:
            return verify_secret(encoded, secret, Type.ID if kind == "argon2id" else Type.I)
        except (VerificationError, InvalidHash):
            return False

    return check


def _scrypt(found: re.Match[str]) -> Check:
    salt, digest = _bytes(found[4]), _digest(found[5])
    derive = _scrypt_of(_number(found[1]), _number(found[2]), _number(found[3]), salt, len(digest))
    return lambda secret: hmac.compare_digest(derive(secret), digest)


def _scrypt_of(exponent: int, block: int, lanes: int, salt: bytes, length: int) -> Callable[[bytes], bytes]:
    _require(1 <= exponent <= 22 and block >= 1 and 1 <= lanes <= MAX_LANES and len(salt) <= MAX_SALT)
    # RFC 7914 section 2: otherwise nobody computes it.
    _require(exponent < 16 * block)
    memory = 128 * block * (2**exponent + lanes + 2)
    _require(memory <= (MAX_MEMORY_KIB + 1024) * 1024 and 2**exponent * block * lanes <= MAX_SCRYPT_WORK)
    return lambda secret: hashlib.scrypt(
        secret, salt=salt, n=2**exponent, r=block, p=lanes, maxmem=memory + 1024 * 1024, dklen=length
    )


def _pbkdf2(found: re.Match[str]) -> Check:
    # passlib writes '.' where base64 has '+'.
    salt, digest = _bytes(found[4].replace(".", "+")), _digest(found[5].replace(".", "+"))
    _require(found[3] is None or _number(found[3]) == len(digest))
    return _pbkdf2_of(found[1] or "sha1", _number(found[2]), salt, digest)


def _django(found: re.Match[str]) -> Check:
    return _pbkdf2_of(found[1], _number(found[2]), found[3].encode(), _digest(found[4]))


def _pbkdf2_of(algorithm: str, rounds: int, salt: bytes, digest: bytes) -> Check:
    # A digest of more than one block costs its rounds for each of them.
    blocks = -(-len(digest) // hashlib.new(algorithm).digest_size)
    _require(rounds >= 1 and rounds * blocks <= MAX_PBKDF2_ROUNDS and len(salt) <= MAX_SALT)
    return lambda secret: hmac.compare_digest(
        hashlib.pbkdf2_hmac(algorithm, secret, salt, rounds, len(digest)), digest
    )


def _firebase(found: re.Match[str]) -> Check:
    # scrypt makes a key, and what is kept is the project's own key encrypted with it.
    salt, signer, sealed = _bytes(found[3]) + _bytes(found[4]), _bytes(found[5]), _digest(found[6])
    _require(len(signer) == len(sealed))
    derive = _scrypt_of(_number(found[1]), _number(found[2]), 1, salt, 64)

    def check(secret: bytes) -> bool:
        cipher = Cipher(algorithms.AES(derive(secret)[:32]), modes.CTR(bytes(16))).encryptor()
        return hmac.compare_digest(cipher.update(signer) + cipher.finalize(), sealed)

    return check


_KINDS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Check]], ...] = (
    (_ARGON2, _argon2),
    (_SCRYPT, _scrypt),
    (_PBKDF2, _pbkdf2),
    (_DJANGO, _django),
    (_FIREBASE, _firebase),
)


class FirebaseParameters(msgspec.Struct, frozen=True):
    """The password hash parameters of a Firebase project, named as its console names them."""

    base64_signer_key: str
    base64_salt_separator: str
    rounds: int
    mem_cost: int


def firebase_hash(given: FirebaseParameters, salt: str, hashed: str) -> str:
    """The one text that holds what it takes to check a secret of a Firebase user."""
    texts = (salt, given.base64_salt_separator, given.base64_signer_key, hashed)
    plain = "$".join(text.replace("-", "+").replace("_", "/").rstrip("=") for text in texts)
    return f"$firebase-scrypt$ln={given.mem_cost},r={given.rounds}${plain}"


def _digest(text: str) -> bytes:
    digest = _bytes(text)
    _require(MIN_DIGEST <= len(digest) <= MAX_DIGEST)
    return digest


def _bytes(text: str) -> bytes:
    bare = text.rstrip("=")
    padded = bare + "=" * (-len(bare) % 4)
    try:
        found = base64.b64decode(padded, validate=True)
    except binascii.Error:
        raise _Unknown(_NOT_CANONICAL) from None
    _require(text in (bare, padded) and base64.b64encode(found).decode() == padded, _NOT_CANONICAL)
    return found


def _number(text: str) -> int:
    _require(text == "0" or not text.startswith("0"), _ZEROS)
    return int(text)


def _require(fits: bool, otherwise: str = _TOO_MUCH) -> None:
    if not fits:
        raise _Unknown(otherwise)
