"""What HTTP listens on, and how much and how long it takes of whom."""

from __future__ import annotations

from infrastructure.settings import inherited, kinds
from infrastructure.settings.kinds import whole
from infrastructure.settings.variable import Group, Variable, both, foreign, ours

HTTP = Group(
    "HTTP",
    (
        Variable(
            "http_host", both("USERS_HTTP_HOST"), kinds.HOST, "localhost", "The address HTTP listens on."
        ),
        Variable(
            "http_port",
            both("USERS_HTTP_PORT"),
            kinds.LISTENING_PORT,
            "9002",
            "The port HTTP listens on; 0 takes any free one.",
            legacy=inherited.service_link,
        ),
        Variable(
            "operations_port",
            ours("OPERATIONS_PORT"),
            kinds.LISTENING_PORT,
            None,
            "The port at which a role without an API answers `/livez`, `/readyz`, `/health` and `/metrics`; "
            "0 takes any free one.",
            unset="9012 for `projector`, 9013 `relay`, 9014 `mailer`, 9015 `sweeper`",
        ),
        Variable(
            "http_server_cert",
            both("USERS_HTTP_SERVER_CERT"),
            kinds.FILE,
            None,
            "The certificate (PEM) that makes HTTP into HTTPS, together with its key.",
        ),
        Variable(
            "http_server_key",
            both("USERS_HTTP_SERVER_KEY"),
            kinds.FILE,
            None,
            "The private key (PEM) of HTTPS.",
        ),
        Variable(
            "http_client_ca_certs",
            both("USERS_HTTP_CLIENT_CA_CERTS"),
            kinds.FILE,
            None,
            "The authorities (PEM) whose certificates HTTPS clients must show.",
        ),
        *foreign("USERS_HTTP_SERVER_CA_CERTS", help="Had no effect on a server in the originals either."),
        Variable(
            "http_read_timeout",
            both("USERS_HTTP_SERVER_READ_TIMEOUT"),
            kinds.DURATION,
            "15s",
            "How long a client may take to send a body; then it is answered 408 and the connection closed.",
        ),
        Variable(
            "http_write_timeout",
            both("USERS_HTTP_SERVER_WRITE_TIMEOUT"),
            kinds.DURATION,
            "15s",
            "How long a client may take to read an answer; then the connection is dropped.",
        ),
        Variable(
            "http_read_header_timeout",
            both("USERS_HTTP_SERVER_READ_HEADER_TIMEOUT"),
            kinds.DURATION,
            "5s",
            "How long a client may take to send the headers of a request, and a new one its first, with TLS.",
        ),
        Variable(
            "http_idle_timeout",
            both("USERS_HTTP_SERVER_IDLE_TIMEOUT"),
            kinds.DURATION,
            "60s",
            "How long a connection without a request is kept (this and the write timeout: on Linux only).",
        ),
        Variable(
            "http_max_header_bytes",
            both("USERS_HTTP_SERVER_MAX_HEADER_BYTES"),
            whole(1024, 2**30),
            "1048576",
            "How large headers may be, rounded up to a power of two (8192 at least); beyond it: 431.",
        ),
        Variable(
            "http_max_body_bytes",
            ours("HTTP_MAX_BODY_BYTES"),
            whole(1024, 2**30),
            "262144",
            "How large the body of a request may be.",
        ),
        Variable(
            "bulk_max_lines",
            ours("BULK_MAX_LINES"),
            whole(1, 100_000),
            "10000",
            "How many accounts one `POST /users/bulk` may register.",
        ),
        Variable(
            "bulk_max_bytes",
            ours("BULK_MAX_BYTES"),
            whole(1024, 2**30),
            "67108864",
            "How large the body of one `POST /users/bulk` may be.",
        ),
        Variable(
            "trusted_proxies",
            ours("TRUSTED_PROXIES"),
            kinds.NETWORKS,
            "",
            "The proxies whose `X-Forwarded-For` is believed, or, where there is none, whose `Forwarded`.",
            unset="none",
        ),
        Variable(
            "cors_origins",
            ours("CORS_ORIGINS"),
            kinds.ORIGINS,
            "",
            "The web origins whose scripts may call this service, never with credentials of the browser.",
            unset="none",
        ),
    ),
)
