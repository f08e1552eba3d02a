"""How mails are sent, and what their links begin with."""

from __future__ import annotations

from infrastructure.settings import inherited, kinds
from infrastructure.settings.kinds import choice
from infrastructure.settings.variable import Group, Variable, both

MAIL = Group(
    "Mail",
    (
        Variable(
            "email_host",
            both("EMAIL_HOST"),
            kinds.HOST,
            None,
            "The SMTP server.",
            unset="mails are written to the console and the data directory",
        ),
        Variable("email_port", both("EMAIL_PORT"), kinds.PORT, "25", "The port of the SMTP server."),
        Variable(
            "email_tls",
            ("MG_EMAIL_TLS",),
            choice("none", "starttls", "tls", any_case=True),
            None,
            "How the connection is encrypted; nothing is sent where that cannot be had.",
            unset="`tls` at port 465, `none` on loopback, else `starttls`",
        ),
        Variable(
            "email_ca_certs",
            ("MG_EMAIL_CA_CERTS",),
            kinds.FILE,
            None,
            "The authorities that the SMTP server's certificate may come from.",
            unset="those of the system",
        ),
        Variable(
            "email_timeout",
            ("MG_EMAIL_TIMEOUT",),
            kinds.DURATION,
            "10s",
            "How long the SMTP server may take for each of its answers; a whole mail gets six times as long, "
            "and a minute at most.",
        ),
        Variable(
            "email_username",
            both("EMAIL_USERNAME"),
            kinds.ANY_TEXT,
            "",
            "The user to log in as at the SMTP server.",
            unset="no login",
        ),
        Variable(
            "email_password",
            both("EMAIL_PASSWORD"),
            kinds.ANY_TEXT,
            None,
            "The password of that user.",
            secret=True,
        ),
        Variable(
            "email_from_address",
            both("EMAIL_FROM_ADDRESS"),
            kinds.EMAIL,
            "no-reply@localhost",
            "The sender's address of every mail.",
        ),
        Variable(
            "email_from_name", both("EMAIL_FROM_NAME"), kinds.TEXT, "", "The sender's name.", unset="no name"
        ),
        Variable(
            "email_template",
            both("EMAIL_TEMPLATE"),
            kinds.FILE,
            None,
            "Mainflux's template of the mail that resets a password.",
            unset="the built-in text",
            legacy=inherited.template,
        ),
        Variable(
            "password_reset_email_template",
            both("PASSWORD_RESET_EMAIL_TEMPLATE"),
            kinds.FILE,
            None,
            "The template of the mail that resets a password.",
            unset="`MG_EMAIL_TEMPLATE`, else the built-in text",
            legacy=inherited.template,
        ),
        Variable(
            "verification_email_template",
            both("VERIFICATION_EMAIL_TEMPLATE"),
            kinds.FILE,
            None,
            "The template of the mail that verifies an email.",
            unset="the built-in text",
            legacy=inherited.template,
        ),
        Variable(
            "password_reset_url_prefix",
            both("PASSWORD_RESET_URL_PREFIX"),
            kinds.WEB_URL,
            None,
            "What the link of a reset mail begins with; `?token=…` follows.",
            unset="the page `/password/reset` of `MG_USERS_PUBLIC_URL`, else of the service's own address",
        ),
        Variable(
            "verification_url_prefix",
            both("VERIFICATION_URL_PREFIX"),
            kinds.WEB_URL,
            None,
            "What the link of a verification mail begins with; `?token=…` follows.",
            unset="the page `/verify-email` of `MG_USERS_PUBLIC_URL`, else of the service's own address",
        ),
        Variable(
            "token_reset_endpoint",
            both("TOKEN_RESET_ENDPOINT"),
            kinds.URL_PATH,
            "/reset-request",
            "Mainflux's path of the page that sets a new password: where it is set, reset links begin with "
            "`MG_USERS_PUBLIC_URL` and it.",
        ),
    ),
)
