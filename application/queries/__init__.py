"""What callers may ask: one file per question, and the table of them all."""

from __future__ import annotations

from application.bus import Handler
from application.queries import list_users, search_users, user_history, view_user

QUERIES: dict[type, Handler] = {
    view_user.ViewUser: view_user.handle,
    list_users.ListUsers: list_users.handle,
    search_users.SearchUsers: search_users.handle,
    user_history.UserHistory: user_history.handle,
}
