"""How long tokens live, and how they are signed."""

from __future__ import annotations

from infrastructure.settings import kinds
from infrastructure.settings.kinds import choice
from infrastructure.settings.variable import Group, Variable, both, ours

TOKENS = Group(
    "Tokens",
    (
        Variable(
            "access_token_duration",
            both("USERS_ACCESS_TOKEN_DURATION") + both("AUTH_ACCESS_TOKEN_DURATION"),
            kinds.DURATION,
            "15m",
            "How long an access token lives.",
        ),
        Variable(
            "refresh_token_duration",
            both("USERS_REFRESH_TOKEN_DURATION") + both("AUTH_REFRESH_TOKEN_DURATION"),
            kinds.DURATION,
            "24h",
            "How long a refresh token lives.",
        ),
        Variable(
            "security_log_retention",
            ours("SECURITY_LOG_RETENTION"),
            kinds.DURATION,
            "2160h",
            "How long logins, failed logins and other facts of the security log are kept.",
        ),
        Variable(
            "signing_algorithm",
            ours("SIGNING_ALGORITHM"),
            choice("ES256", "EdDSA", "RS256", "HS512"),
            "ES256",
            "How this service signs its access tokens.",
            unset="`MG_AUTH_KEYS_ALGORITHM` where that is ES256, EdDSA or RS256, else `ES256`",
        ),
        Variable(
            "issuer", ours("ISSUER"), kinds.TEXT, "magistrala.auth", "The issuer (`iss`) of the tokens."
        ),
        Variable(
            "audience", ours("AUDIENCE"), kinds.TEXT, "magistrala", "The audience (`aud`) of the tokens."
        ),
    ),
)
