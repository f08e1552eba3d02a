"""The headers that requests may bring and answers carry, each described once."""

from __future__ import annotations

from typing import Any

Header = dict[str, Any]

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = rf"^ *(?:\*|(?:, *)*{_TAG} *(?:, *(?:{_TAG} *)?)*)? *$"
_KEY = (
    r'^ *(?:"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255}"'
    r"|[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{1,255}) *$"
)
_ETAG = r'^"[0-9a-f]+"$'


def _asked(name: str, description: str, **schema: Any) -> Header:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string"} | schema,
    }


def _told(description: str, *, always: bool = True, **schema: Any) -> Header:
    return {"description": description, "required": always, "schema": {"type": "string"} | schema}


IF_MATCH = _asked(
    "If-Match",
    "Change the user only while its ETag is one of these; else 412. `*` stands for any.",
    pattern=_TAGS,
    examples=["*", '"3"', 'W/"3", "4"'],
)
IF_NONE_MATCH = _asked(
    "If-None-Match",
    "Answer 304 and nothing else while the ETag is one of these; one that is none of ours never is.",
    examples=['"3"'],
)
PREFER = _asked(
    "Prefer",
    "`respond-async`: answer as soon as the change is stored, whether or not lists show it (RFC 7240).",
    examples=["respond-async"],
)
POSITION = _asked(
    "Usersd-Position",
    "What this answers must hold the log up to this position, which an earlier answer has named; where it "
    "does not in time: 503.",
    pattern="^ *(?:0|[1-9][0-9]{0,17}) *$",
    examples=["0"],
)
IDEMPOTENCY_KEY = _asked(
    "Idempotency-Key",
    "A repeat with the same key within 24 hours gets the outcome of the first; with another body: 422.",
    pattern=_KEY,
    examples=["5f0c5e0a-6f0c-4b67-8d1f-0d5a4b6c7e8f"],
)
REQUEST_ID = _asked(
    "X-Request-ID",
    "Names the request in logs and events; one that is not 1 to 64 letters, digits, '.', '_' and '-' is "
    "replaced.",
    examples=["gate-7.Ab_1"],
)
TRACEPARENT = _asked(
    "traceparent",
    "The trace that this request is part of (W3C Trace Context); a malformed one counts as none.",
    examples=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
)

REACHED = _told(
    "The position of the log that this holds, where the request asks for one or a replica may answer.",
    always=False,
    pattern="^[0-9]+$",
    examples=["42"],
)

TOLD: dict[str, Header] = {
    "x-request-id": _told("The request id.", pattern="^[A-Za-z0-9._-]{1,64}$", examples=["gate-7.Ab_1"]),
    "ETag": _told(
        "The version of the user, or what tells one set of keys from another; a card has none.",
        always=False,
        pattern=_ETAG,
        examples=['"3"'],
    ),
    "Vary": _told("Strangers see a card, the user and admins all.", const="Authorization"),
    "Location": _told(
        "Where the new user is.",
        pattern="^/users/.",
        examples=["/users/6f1f1a2e-8a1e-4a53-9d4b-1f9f3c0a2b11"],
    ),
    "Usersd-Position": _told(
        "The position of the log that this write reached.", pattern="^[0-9]+$", examples=["42"]
    ),
    "Usersd-Read-Model": _told("Lists do not show this write yet.", always=False, const="behind"),
    "Preference-Applied": _told("The preference was followed.", always=False, const="respond-async"),
    "Idempotency-Replayed": _told("This is the outcome of an earlier request.", always=False, const="true"),
    "Link": _told(
        "The next page, where there is one (RFC 8288).",
        always=False,
        examples=['</users?cursor=CiQ2>; rel="next"'],
    ),
    "Cache-Control": _told("Whether and for how long the answer may be kept."),
    "Content-Disposition": _told(
        "The name of the file to keep it in (RFC 6266).",
        pattern="^attachment; filename=",
        examples=['attachment; filename="user-6f1f1a2e-8a1e-4a53-9d4b-1f9f3c0a2b11.json"'],
    ),
    "WWW-Authenticate": _told("How to show who is asking (RFC 6750, RFC 7617).", pattern="^(Bearer|Basic) "),
    "Retry-After": _told("Seconds until another try is worth it.", pattern="^[0-9]+$", examples=["1"]),
}


def told(*names: str, always: tuple[str, ...] = ()) -> dict[str, Header]:
    """The headers of an answer; those in `always` are there without exception."""
    return {name: TOLD[name] | ({"required": True} if name in always else {}) for name in names}
