"""Who the first admin is, and what is asked of accounts and their secrets."""

from __future__ import annotations

from infrastructure.settings import kinds
from infrastructure.settings.kinds import choices, whole
from infrastructure.settings.variable import Group, Variable, both, ours

ACCOUNTS = Group(
    "Accounts",
    (
        Variable(
            "admin_email",
            both("USERS_ADMIN_EMAIL"),
            kinds.EMAIL,
            "admin@example.com",
            "The email of the first admin, who is made only while there has never been one.",
        ),
        Variable(
            "admin_password",
            both("USERS_ADMIN_PASSWORD"),
            kinds.FIRST_SECRET,
            "12345678",
            "The password of the first admin; the default is refused beyond loopback.",
            secret=True,
        ),
        Variable(
            "admin_username",
            both("USERS_ADMIN_USERNAME"),
            kinds.USERNAME,
            "admin",
            "The username of the first admin.",
        ),
        Variable(
            "admin_first_name",
            both("USERS_ADMIN_FIRST_NAME"),
            kinds.NAME,
            "super",
            "The first name of the first admin.",
        ),
        Variable(
            "admin_last_name",
            both("USERS_ADMIN_LAST_NAME"),
            kinds.NAME,
            "admin",
            "The last name of the first admin.",
        ),
        Variable(
            "pass_regex",
            both("USERS_PASS_REGEX"),
            kinds.PATTERN,
            "^.{8,}$",
            "What a new password must match somewhere (RE2); over 72 bytes it is refused anyway.",
        ),
        Variable(
            "throttle",
            ours("THROTTLE"),
            kinds.BOOL,
            "true",
            "Whether whoever fails too often has to wait; false is for measuring and for tests.",
        ),
        Variable(
            "breached_secrets",
            ours("BREACHED_SECRETS"),
            kinds.FILE,
            None,
            "A file of SHA-1 hashes in order, as Have I Been Pwned has it; no secret in it may be set.",
            unset="No such list is asked.",
        ),
        Variable(
            "bcrypt_cost",
            ours("BCRYPT_COST"),
            whole(4, 16),
            "10",
            "The cost of a password's hash; one more takes twice as long.",
        ),
        Variable(
            "self_register",
            both("USERS_ALLOW_SELF_REGISTER"),
            kinds.BOOL,
            "true",
            "Whether anybody may register, or only an admin registers others.",
        ),
        Variable(
            "unverified_allowed",
            both("ALLOW_UNVERIFIED_USER"),
            kinds.BOOL,
            "true",
            "Whether a user may act before the email is verified.",
        ),
        Variable(
            "delete_interval",
            both("USERS_DELETE_INTERVAL"),
            kinds.DURATION,
            "24h",
            "How often the sweep looks for accounts to erase.",
        ),
        Variable(
            "delete_after",
            both("USERS_DELETE_AFTER"),
            kinds.DURATION,
            "720h",
            "How long after its deletion an account is erased.",
        ),
        Variable(
            "sweep",
            ours("SWEEP"),
            choices("deleted", "disabled", needed="deleted"),
            "deleted",
            "Which accounts the sweep erases; the first sweep of a new kind only reports.",
        ),
        Variable(
            "key_epoch_interval",
            ours("KEY_EPOCH_INTERVAL"),
            kinds.DURATION,
            "720h",
            "How often the epoch that wraps users' keys changes, if somebody was erased under it.",
        ),
        Variable(
            "erasure_ledger",
            ours("ERASURE_LEDGER"),
            kinds.PATH,
            None,
            "The file, outside the database, that tells a restored backup who was erased since.",
            unset="`erasure-ledger.ndjson` in the data directory",
        ),
    ),
)
