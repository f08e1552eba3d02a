"""Requests that are wrong as bytes: request lines, headers, lengths and chunks that HTTP does not allow."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from tests.fuzz import hostile
from tests.fuzz.canaries import mint
from tests.fuzz.requests import Request

_LENGTH = re.compile(rb"Content-Length: \d+\r\n")


def request_line(sent: bytes, chance: random.Random) -> bytes:
    return chance.choice(hostile.LINES) + b"\r\n" + sent.partition(b"\r\n")[2]


def byte_flips(sent: bytes, chance: random.Random) -> bytes:
    changed = bytearray(sent)
    for _ in range(chance.choice((1, 1, 2, 10))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def cut(sent: bytes, chance: random.Random) -> bytes:
    return sent[: chance.randrange(len(sent))]


def left_out(sent: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(sent))
    return sent[:at] + sent[at + chance.choice((1, 2, 20)) :]


def inserted(sent: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(sent))
    pieces = (
        b"\x00",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b":",
        b"\xff\xfe",
        b"\r\n\r\n",
        b"\x0b",
        b"%0d%0a",
        b"\t",
        b";",
    )
    return sent[:at] + chance.choice(pieces) + sent[at:]


def bare_line_feeds(sent: bytes, chance: random.Random) -> bytes:
    return sent.replace(b"\r\n", chance.choice((b"\n", b"\r", b"\r\r\n")))


def header_lines(sent: bytes, chance: random.Random) -> bytes:
    """A line among the headers that is none, or one that is two."""
    secret, token = mint("secret", chance).encode(), mint("token", chance).encode()
    lines = (
        b"no colon at all", b": no name", b"Na me: x", b"Name : x", b" folded: x", b"\tfolded", b"X\x00: y",
        b"X: \x00", b"X: a\rInjected: 1", b"X: a\nX-Injected: 1", b"X-\xff: 1",
        b"Authorization: Bearer " + token + b"\r" + token, b"Authorization\x00: Bearer " + token, secret,
        b"X-Secret: " + secret + b"\x01", b"Host: a\r\nHost: b",
        b"Content-Type: application/json\r\n ; charset=" + secret, b"Cookie: " + b"a=b;" * 20_000,
    )  # fmt: skip
    first, _, rest = sent.partition(b"\r\n")
    return first + b"\r\n" + chance.choice(lines) + b"\r\n" + rest


def lengths(sent: bytes, chance: random.Random) -> bytes:
    """A Content-Length that is not the body's, or not one, or one of two."""
    head, parted, body = sent.partition(b"\r\n\r\n")
    real = len(body)
    told = (
        b"%d" % (real + 1), b"%d" % (real + 10**6), b"%d" % max(real - 1, 0), b"-1", b"+%d" % real,
        b"0x%x" % real, b"%d, %d" % (real, real), b"%d\r\nContent-Length: %d" % (real, real + 5), b"",
        b"1e1", b"9" * 30, b"0", b"%d\r\nTransfer-Encoding: chunked" % real, b" %d " % real, b"\xd9\xa3",
        b"18446744073709551616",
    )  # fmt: skip
    head = _LENGTH.sub(b"", head + b"\r\n").removesuffix(b"\r\n")
    return head + b"\r\nContent-Length: " + chance.choice(told) + parted + body


def chunks(sent: bytes, chance: random.Random) -> bytes:
    """A chunked body that is wrong in one of its many parts."""
    head, parted, body = sent.partition(b"\r\n\r\n")
    head = _LENGTH.sub(b"", head + b"\r\n").removesuffix(b"\r\n")
    size, secret = b"%x" % len(body), mint("secret", chance).encode()
    bodies = (
        size + b";a=b;c=\"d\"\r\n" + body + b"\r\n0\r\n\r\n",
        size + b";" + b"e" * 20_000 + b"\r\n" + body + b"\r\n0\r\n\r\n",
        size + b"\r\n" + body + b"0\r\n\r\n", size + b"\n" + body + b"\n0\n\n",
        b"-1\r\n" + body + b"\r\n0\r\n\r\n", b"f" * 17 + b"\r\n" + body + b"\r\n0\r\n\r\n",
        b"0x" + size + b"\r\n" + body + b"\r\n0\r\n\r\n", b"\r\n\r\n",
        b"00000000" + size + b"\r\n" + body + b"\r\n00000\r\n\r\n",
        size + b"\r\n" + body[:-1] + b"\r\n0\r\n\r\n",
        size + b"\r\n" + body + b"\r\n0\r\nX-Trailer: " + secret + b"\r\nContent-Length: 5\r\n\r\n",
        size + b"\r\n" + body + b"\r\n0\r\n" + b"T: t\r\n" * 5000 + b"\r\n", secret + b"\r\n" + body,
        b"".join(b"1\r\n%c\r\n" % byte for byte in body[:3000]) + b"0\r\n\r\n",
        size + b"\r\n" + body + b"\r\n",
    )  # fmt: skip
    coding = chance.choice(
        (b"chunked", b"chunked", b"Chunked", b"gzip, chunked", b"chunked, gzip", b"identity", b"x")
    )
    return head + b"\r\nTransfer-Encoding: " + coding + parted + chance.choice(bodies)


def smuggled(sent: bytes, chance: random.Random) -> bytes:
    """A second request within what the first calls its body."""
    inner = b"GET /users/" + mint("token", chance).encode() + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    head, parted, _ = sent.partition(b"\r\n\r\n")
    head = _LENGTH.sub(b"", head + b"\r\n").removesuffix(b"\r\n").replace(b"Connection: close", b"X: y")
    both = b"\r\nContent-Length: %d\r\nTransfer-Encoding: chunked" % (len(inner) + 5)
    framings = (
        both,
        b"\r\nTransfer-Encoding : chunked",
        b"\r\nTransfer-Encoding: xchunked",
        b"\r\nContent-Length: 0",
    )
    return head + chance.choice(framings) + parted + b"0\r\n\r\n" + inner


def http2(sent: bytes, chance: random.Random) -> bytes:
    """The preface of HTTP/2 (RFC 9113 section 3.4), and frames of which most are broken."""
    frames = [b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"]
    for _ in range(chance.randrange(5)):
        payload = chance.choice((b"", chance.randbytes(30), mint("secret", chance).encode(), sent[:16_000]))
        kind, flags, stream = (
            chance.randrange(12),
            chance.randrange(64),
            chance.choice((0, 1, 2, 3, 2**31 - 1)),
        )
        size = chance.choice((len(payload), len(payload), 2**24 - 1))
        frames.append(size.to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload)
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"".join(frames)


def repeated(sent: bytes, chance: random.Random) -> bytes:
    """A slice of the request twice over, or the whole of it many times on one connection."""
    if chance.random() < 0.3:
        return sent.replace(b"Connection: close\r\n", b"") * chance.choice((2, 20))
    at = chance.randrange(len(sent))
    return sent[: at + chance.randrange(1, 100)] + sent[at:]


WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    request_line, byte_flips, byte_flips, cut, left_out, inserted, inserted, bare_line_feeds, header_lines,
    header_lines, lengths, lengths, chunks, chunks, smuggled, http2, repeated,
)  # fmt: skip


def spoil(request: Request, chance: random.Random) -> None:
    """Turn a request into bytes that may be none any more."""
    way = chance.choice(WAYS)
    request.raw = way(request.written(), chance)
    request.changes.append(way.__name__.replace("_", " "))
