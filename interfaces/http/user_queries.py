"""The routes that show users and change nothing."""

from __future__ import annotations

from uuid import UUID

from litestar import Controller, Response, get
from litestar.params import FromPath
from litestar.response import Stream

from application.queries.list_users import ListUsers
from application.queries.search_users import SearchUsers
from application.queries.user_history import UserHistory
from application.queries.view_feed import ViewFeed
from application.queries.view_user import ViewUser
from interfaces.http.caller import (
    AnyRequest,
    bus_of,
    list_answer,
    owed,
    page_answer,
    signed_in,
    user_in_path,
    view_answer,
)
from interfaces.http.feed import NDJSON, FeedQuery, feed_lines
from interfaces.http.oauth import reader
from interfaces.http.queries import HistoryQuery, ListQuery, SearchQuery
from interfaces.http.reading import read_query


class UserQueries(Controller):
    """Profile, view, list, search, history and feed."""

    path = "/users"

    @get(
        "/",
        opt={
            "query": ListQuery,
            "command": ListUsers,
            "access": "signed in or service",
            "answer": (200, "UserPage"),
        },
    )
    async def list_users(self, request: AnyRequest) -> Response[bytes]:
        context = owed(request, await reader(request))
        wanted = read_query(request.scope["query_string"], ListQuery, ListQuery.faults)
        return list_answer(request, await bus_of(request).ask(wanted.question(), context))

    @get(
        "/search",
        opt={
            "query": SearchQuery,
            "command": SearchUsers,
            "access": "signed in or service",
            "answer": (200, "CardPage"),
        },
    )
    async def search(self, request: AnyRequest) -> Response[bytes]:
        context = owed(request, await reader(request))
        wanted = read_query(request.scope["query_string"], SearchQuery, SearchQuery.faults)
        return list_answer(request, await bus_of(request).ask(wanted.question(), context))

    @get(
        "/feed",
        opt={
            "query": FeedQuery,
            "command": ViewFeed,
            "access": "signed in or service",
            "answer": (200, "Feed"),
            "media_type": NDJSON,
        },
    )
    async def feed(self, request: AnyRequest) -> Stream:
        context = await reader(request)
        wanted = read_query(request.scope["query_string"], FeedQuery)
        question = ViewFeed(after=UUID(wanted.after) if wanted.after else None)
        found = await bus_of(request).ask(question, context)
        headers = {"Cache-Control": "no-store"}
        return Stream(feed_lines(request, found), media_type=NDJSON, headers=headers)

    @get("/profile", opt={"command": ViewUser, "conditional_get": True, "answer": (200, "Document")})
    async def profile(self, request: AnyRequest) -> Response[bytes]:
        """Show the caller's own account."""
        context = await signed_in(request, unverified=True)
        assert context.actor.id is not None
        view = await bus_of(request).ask(ViewUser(user_id=context.actor.id), context)
        return view_answer(request, view)

    @get(
        "/{user_id:str}",
        opt={
            "command": ViewUser,
            "access": "signed in or service",
            "conditional_get": True,
            "card": True,
            "answer": (200, "Document"),
        },
    )
    async def view(self, request: AnyRequest, user_id: FromPath[str]) -> Response[bytes]:
        context = await reader(request)
        view = await bus_of(request).ask(ViewUser(user_id=user_in_path(user_id)), context)
        return view_answer(request, view)

    @get(
        "/{user_id:str}/history",
        opt={"query": HistoryQuery, "command": UserHistory, "answer": (200, "HistoryPage")},
    )
    async def history(self, request: AnyRequest, user_id: FromPath[str]) -> Response[bytes]:
        context = owed(request, await signed_in(request))
        wanted = read_query(request.scope["query_string"], HistoryQuery)
        question = UserHistory(user_id=user_in_path(user_id), limit=wanted.limit, offset=wanted.offset)
        return page_answer(await bus_of(request).ask(question, context), key="history")
