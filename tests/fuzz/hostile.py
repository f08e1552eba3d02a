"""Values that break programs: in JSON, in text, in queries, in paths and in headers."""

from __future__ import annotations

import random
from typing import Any

from tests.fuzz.canaries import Kind, mint


def deep(levels: int) -> bytes:
    """Lists within lists, written out."""
    return b"[" * levels + b"]" * levels


TEXTS: tuple[str, ...] = (
    "", " ", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "\ufeff", "\u202e", "\uffff", "\U0010ffff",
    "e\u0301" * 50, "İ", "ß", "ﬀ", "Å", "\u0378", "\r\nX-Injected: 1", "%00", "%", "%%s%n",
    "{0}{x.__class__}", "' OR 1=1--", "\"'`\\", "../../etc/passwd", "${jndi:x}", "<script>", "null", "true",
    "-0", "NaN", "1e309", "٣", "𝟙", "💥" * 100, "a" * 255, "a" * 73, "x" * 10_000, "\u0130" * 3000, "@",
    "a@b", "a@", "@b", "a@b@c", ".@.", "a..b@c", "ﷺ" * 60, "2020-13-45T99:99:99Z", "9999-12-31T23:59:60Z",
    "0001-01-01T00:00:00+23:59", "-1", "0x10", "1_000",
)  # fmt: skip

NUMBERS: tuple[bytes, ...] = (
    b"0", b"-0", b"-1", b"1e400", b"-1e400", b"1e-400", b"9223372036854775807", b"9223372036854775808",
    b"-9223372036854775809", b"1" * 400, b"0." + b"1" * 5000, b"1E+2", b"01", b"+1", b".5", b"5.", b"0x1",
    b"NaN", b"Infinity", b"-Infinity", b"18446744073709551616", b"3.141592653589793238462643383279",
)  # fmt: skip

FRAGMENTS: tuple[bytes, ...] = (
    b"null", b"true", b"[]", b"{}", b'""', b"[null]", b'{"":""}', b'"\\ud800"', b'"\\u0000"', b'"\\x41"',
    b'"\xff\xfe"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\xf4\x90\x80\x80"', b'"\n"', b'"unended', b"{",
    b"}", b"[1,]", b'{"a":1,}', b"{'a':1}", b"// no\n1", deep(40), deep(1000), deep(100_000),
    b'{"a":' * 500 + b"1" + b"}" * 500, b"[" + b"0," * 5000 + b"0]", b'{"\\ud800":1}', b'{"\\u0000":1}',
    b'{"a":1,"a":2}', b'"' + b"\\u0041" * 2000 + b'"',
)  # fmt: skip

PERCENTED: tuple[bytes, ...] = (
    b"", b"%00", b"%", b"%2", b"%zz", b"%ff%fe", b"%C3%28", b"%ED%A0%80", b"%F0%9F%92%A5",
    b"%0d%0aX-Injected:%201", b"..", b"%2e%2e%2f", b"%252e", b"*", b"'", b"%27--", b"a" * 300,
    b"%61" * 3000, b"\xff", b"\xc3\xa9", b"{}", b"+", b"%5B%5D", b"%5B" * 2000, b"%7B%22a%22:" * 200,
    b"%7B%22a%22:1e999%7D", b"%7B%22a%22:%22%5Cu0000%22%7D", b"-1", b"99999999999999999999", b"1" * 5000,
    b"0", b"1e1", b"2147483648", b"%D9%A3", b"true", b"null", b",,,+", b"+", b"2020-01-01T00:00:00%2B99:99",
    b"9999-12-31T23:59:59.9999999Z", b"0001-01-01T00:00:00%2B14:00", b"%EF%BF%BF", b"a,b" * 500, b"#x",
    b";a=b", b"%E2%80%AE", b"%%30%30", b"%u0041", b"%C4%B0" * 84, b"\\", b"|",
)  # fmt: skip

HEADER_VALUES: tuple[bytes, ...] = (
    b"", b"*", b'"', b'""', b'"\\"', b'W/"1"', b'"1","2"', b'"1" "2"', b'"0"', b'"-1"',
    b'"99999999999999999999"', b'"' + b"9" * 5000 + b'"', b",,,,", b'",' * 2000, b"\xff\xfe", b"\xc3\xa9",
    b"\x01", b"a\tb", b"null", b"0", b"-1", b"application/json; charset=utf-16",
    b"application/json;charset=\xff", b"text/plain", b"multipart/form-data",
    b"multipart/form-data; boundary=" + b"b" * 5000, b"application/x-www-form-urlencoded", b"/",
    b"a/b+json", b"bytes=0-", b"gzip", b"100-continue", b"websocket", b"h2c", b"respond-async" * 500,
    b"respond-async, respond-async;x=1", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-ff", b"x" * 3000,
    b"a=b; c=d", b"[::1", b"localhost:99999", b"@", b"(" * 500,
)  # fmt: skip

HEADER_NAMES: tuple[bytes, ...] = (
    b"Authorization", b"If-Match", b"If-None-Match", b"Idempotency-Key", b"Prefer", b"Content-Type",
    b"Host", b"Accept", b"Accept-Encoding", b"Content-Encoding", b"Expect", b"Upgrade", b"Cookie", b"Range",
    b"traceparent", b"X-Request-ID", b"X-Forwarded-For", b"X-HTTP-Method-Override", b"Origin",
    b"Content-Length", b"Transfer-Encoding", b"TE", b"Trailer", b"Forwarded", b"If-Modified-Since", b"Date",
    b"Connection", b"Keep-Alive", b"HTTP2-Settings", b"Sec-WebSocket-Key",
)  # fmt: skip

METHODS: tuple[bytes, ...] = (
    b"GET", b"POST", b"PATCH", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"get",
    b"QUERY", b"PRI", b"M" * 300, b"!#$%&'*+-.^_`|~",
)  # fmt: skip

LINES: tuple[bytes, ...] = (
    b"GET", b"GET /", b"GET / HTTP/0.9", b"GET / HTTP/9.9", b"GET  / HTTP/1.1", b"GET / HTTP/1.1 x",
    b" GET / HTTP/1.1", b"GET\t/\tHTTP/1.1", b"GET http://localhost/livez HTTP/1.1",
    b"GET //localhost/livez HTTP/1.1", b"GET * HTTP/1.1", b"OPTIONS * HTTP/1.1",
    b"CONNECT localhost:80 HTTP/1.1", b"GET localhost:80 HTTP/1.1", b"GET /\x00 HTTP/1.1",
    b"GET /\xff\xfe HTTP/1.1", b"GET /" + b"a" * 70_000 + b" HTTP/1.1",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0", b"GET / HTTP/1.0",
    b"GET /livez#x HTTP/1.1", b"GET ?x HTTP/1.1", b"GET / http/1.1", b"\r\n\r\n\r\n",
    b"POST /users HTTP/1.1\nHost: a\n", b"GET /livez?%s HTTP/1.1" % (b"a" * 60_000),
)  # fmt: skip


def json_value(chance: random.Random, kind: Kind = "name") -> Any:
    """A value that no field expects, or one that many do with something wrong about it."""
    what = chance.randrange(6)
    if what == 0:
        return chance.choice((None, True, False, 0, -1, 1.5, 2**63, 2**64, -(2**63) - 1, 10**40, 1e308))
    if what == 1:
        return [chance.choice(TEXTS) for _ in range(chance.choice((0, 1, 5, 101)))]
    if what == 2:
        return {chance.choice(TEXTS): chance.choice(TEXTS) for _ in range(chance.choice((0, 1, 5)))}
    if what == 3:
        return mint(kind, chance) + chance.choice(TEXTS)
    return chance.choice(TEXTS)
