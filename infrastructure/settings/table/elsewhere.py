"""What belongs to parts of the originals that are not here."""

from __future__ import annotations

from infrastructure.settings.variable import Group, foreign

ELSEWHERE = Group(
    "Read and not used",
    (
        *foreign(
            "OAUTH_UI_REDIRECT_URL",
            "OAUTH_UI_ERROR_URL",
            help="Where the browser went after signing in with Google, which is not part of this service.",
        ),
        *foreign(
            "GOOGLE_CLIENT_ID",
            "GOOGLE_REDIRECT_URL",
            help="Belongs to signing in with Google, which is not part of this service.",
        ),
        *foreign(
            "GOOGLE_CLIENT_SECRET",
            "GOOGLE_STATE",
            help="Belongs to signing in with Google, which is not part of this service.",
            secret=True,
        ),
    ),
)
