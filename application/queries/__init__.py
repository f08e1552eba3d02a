"""What callers may ask: one file per question, and the table of them all."""

from __future__ import annotations

from application.bus import Handler
from application.queries import (
    authorize_user,
    check_link,
    export_user,
    identify,
    introspect_token,
    list_sessions,
    list_sessions_of,
    list_users,
    retrieve_users,
    search_users,
    user_history,
    view_feed,
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
    identify.Identify: identify.handle,
    authorize_user.AuthorizeUser: authorize_user.handle,
    retrieve_users.RetrieveUsers: retrieve_users.handle,
    list_sessions_of.ListSessionsOf: list_sessions_of.handle,
    list_sessions.ListSessions: list_sessions.handle,
    view_feed.ViewFeed: view_feed.handle,
    view_security_log.ViewSecurityLog: view_security_log.handle,
    view_throttle.ViewThrottle: view_throttle.handle,
    check_link.CheckLink: check_link.handle,
    export_user.ExportUser: export_user.handle,
}
