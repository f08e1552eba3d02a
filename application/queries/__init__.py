"""What callers may ask: one file per question, and the table of them all."""

from __future__ import annotations

from application.bus import Handler
from application.queries import (
    check_link,
    introspect_token,
    list_sessions,
    list_users,
    search_users,
    user_history,
    view_security_log,
    view_throttle,
    view_user,
)

QUERIES: dict[type, Handler] = {
    view_user.ViewUser: view_user.handle,
    list_users.ListUsers: list_users.handle,
    search_users.SearchUsers: search_users.handle,
    user_history.UserHistory: user_history.handle,
    introspect_token.IntrospectToken: introspect_token.handle,
    list_sessions.ListSessions: list_sessions.handle,
    view_security_log.ViewSecurityLog: view_security_log.handle,
    view_throttle.ViewThrottle: view_throttle.handle,
    check_link.CheckLink: check_link.handle,
}
