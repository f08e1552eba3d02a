"""Whatever events, users and contexts can be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from application.ports import Recorded
from domain import events
from domain.access import Actor
from domain.events import EVENTS, Event
from domain.user import User, fold
from domain.values import MAX_INTEGER, Role, Status

USER = UUID(int=7)

times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
uuids = st.uuids(version=4)
texts = st.text(st.characters(exclude_categories=("Cc", "Cn", "Cs")), max_size=12)
emails = st.builds(
    lambda name, host: f"{name}@{host}.example", *[st.text("abcéßЖ.+", min_size=1, max_size=8)] * 2
)
usernames = st.text("abcXYZ019_-", min_size=1, max_size=12)
tags = st.lists(texts, max_size=4)
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
metadata = st.dictionaries(texts, _json, max_size=3)
roles, statuses = st.sampled_from(Role), st.sampled_from([Status.ENABLED, Status.DISABLED])

_profile: dict[str, Any] = {
    "email": emails,
    "username": st.none() | usernames,
    "first_name": texts,
    "last_name": texts,
    "name": texts,
    "tags": tags,
    "metadata": metadata,
    "private_metadata": metadata,
    "profile_picture": texts,
    "status": statuses,
    "role": roles,
    "dialect": st.sampled_from(["magistrala", "mainflux"]),
    "auth_provider": texts,
}
_fields: dict[type[Event], dict[str, Any]] = {
    events.Registered: _profile,
    events.Imported: _profile
    | {"created_at": times, "updated_at": st.none() | times, "verified_at": st.none() | times}
    | {"updated_by": texts},
    events.Verified: {"email": emails},
    events.ProfileUpdated: {name: st.none() | texts for name in ("first_name", "last_name", "name")}
    | {name: st.none() | metadata for name in ("metadata", "private_metadata")},
    events.TagsChanged: {"tags": tags},
    events.PictureChanged: {"profile_picture": texts},
    events.EmailChanged: {"email": emails},
    events.UsernameChanged: {"username": usernames},
    events.RoleChanged: {"role": roles},
    events.SecretChanged: {"way": st.sampled_from(["changed", "reset"])},
}


def events_of(kind: type[Event]) -> st.SearchStrategy[Any]:
    """Any event of a kind."""
    return st.builds(kind, by=st.none() | uuids, at=times, **_fields.get(kind, {}))


beginnings: st.SearchStrategy[Event] = st.one_of(
    *(events_of(kind) for kind in (events.Registered, events.Imported))
)
changes: st.SearchStrategy[Event] = st.one_of(
    *(events_of(kind) for kind in EVENTS if kind not in (events.Registered, events.Imported))
)
histories: st.SearchStrategy[list[Event]] = st.builds(
    lambda first, rest: [first, *rest], beginnings, st.lists(changes, max_size=6)
)
users: st.SearchStrategy[User] = st.builds(lambda history: fold(USER, history), histories)

actors: st.SearchStrategy[Callable[[UUID | None], Actor]] = st.builds(
    lambda role, verified, token: (
        lambda by: Actor("user", by, role, token, verified) if by else Actor("anonymous")
    ),
    roles,
    st.booleans(),
    st.sampled_from(["access", "client"]),
)


@st.composite
def records(draw: st.DrawFn, kinds: st.SearchStrategy[Event]) -> Recorded:
    """Any event as the log would hold it, before it has a position."""
    event = draw(kinds)
    return Recorded(
        position=0,
        user_id=draw(uuids),
        version=draw(st.integers(1, 2**40)),
        name=event.stored_name,
        event=event,
        event_id=draw(uuids),
        actor=draw(actors)(event.by),
        command_id=draw(uuids),
        correlation_id=draw(uuids),
        causation_id=draw(st.none() | uuids),
        request_id=draw(texts),
        traceparent=draw(texts),
    )
