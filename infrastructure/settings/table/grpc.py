"""What gRPC listens on, and who may call it."""

from __future__ import annotations

from infrastructure.settings import inherited, kinds
from infrastructure.settings.variable import Group, Variable, both, foreign, ours

GRPC = Group(
    "gRPC",
    (
        Variable(
            "grpc_host", both("USERS_GRPC_HOST"), kinds.HOST, "localhost", "The address gRPC listens on."
        ),
        Variable(
            "grpc_port",
            both("USERS_GRPC_PORT"),
            kinds.LISTENING_PORT,
            "7001",
            "The port gRPC listens on; 0 takes any free one.",
            legacy=inherited.service_link,
        ),
        Variable(
            "grpc_second_port",
            ours("GRPC_SECOND_PORT"),
            kinds.LISTENING_PORT,
            None,
            "A second port for gRPC, so that the clients of both originals find it.",
            unset="7002, Magistrala's, when any other `MG_USERS_GRPC_…` but `MG_USERS_GRPC_PORT` is set",
        ),
        Variable(
            "grpc_server_cert",
            both("USERS_GRPC_SERVER_CERT"),
            kinds.FILE,
            None,
            "The certificate (PEM) that gives gRPC TLS, together with its key.",
        ),
        Variable(
            "grpc_server_key",
            both("USERS_GRPC_SERVER_KEY"),
            kinds.FILE,
            None,
            "The private key (PEM) of gRPC's certificate.",
        ),
        Variable(
            "grpc_client_ca_certs",
            # Magistrala asked clients for certificates when either was set, so neither may be passed over.
            (*both("USERS_GRPC_CLIENT_CA_CERTS"), "MG_USERS_GRPC_SERVER_CA_CERTS"),
            kinds.FILE,
            None,
            "The authorities (PEM) whose certificates gRPC clients must show.",
        ),
        Variable(
            "grpc_client_subjects",
            ours("GRPC_CLIENT_SUBJECTS"),
            kinds.SUBJECTS,
            "",
            "The subjects of the certificates with which every gRPC method may be called, separated by `;` "
            "(`openssl x509 -noout -subject -nameopt RFC2253` shows one's own).",
            unset="none: callers show the credential of a service account",
        ),
        Variable(
            "grpc_enabled",
            ours("GRPC_ENABLED"),
            kinds.BOOL,
            "true",
            "Whether gRPC is served at all.",
        ),
        Variable(
            None,
            ("MF_USERS_GRPC_SERVER_CA_CERTS",),
            kinds.ANY_TEXT,
            None,
            "Was accepted by Mainflux and had no effect on its gRPC server.",
            used=False,
        ),
        *foreign(
            "USERS_GRPC_SERVER_READ_TIMEOUT",
            "USERS_GRPC_SERVER_WRITE_TIMEOUT",
            "USERS_GRPC_SERVER_READ_HEADER_TIMEOUT",
            "USERS_GRPC_SERVER_IDLE_TIMEOUT",
            "USERS_GRPC_SERVER_MAX_HEADER_BYTES",
            help="Was accepted by the originals and had no effect on their gRPC server.",
        ),
        *foreign(
            "USERS_GRPC_URL",
            "USERS_GRPC_TIMEOUT",
            "USERS_GRPC_CLIENT_CERT",
            "USERS_GRPC_CLIENT_KEY",
            help="Tells other services how to reach this one.",
        ),
    ),
)
