"""Where the platform's Auth service and its neighbours are."""

from __future__ import annotations

from infrastructure.settings import inherited, kinds
from infrastructure.settings.kinds import choice
from infrastructure.settings.variable import Group, Variable, both, foreign

AUTH = Group(
    "A remote Auth service",
    (
        Variable(
            "auth_grpc_url",
            both("AUTH_GRPC_URL"),
            kinds.TARGET,
            None,
            "The Auth service of Magistrala that issues and checks the tokens.",
            unset="this service does both itself",
            legacy=inherited.auth_address,
        ),
        Variable(
            "auth_grpc_timeout",
            both("AUTH_GRPC_TIMEOUT"),
            kinds.DURATION,
            "1s",
            "How long a call to the Auth service may take.",
        ),
        Variable(
            "auth_grpc_client_cert",
            both("AUTH_GRPC_CLIENT_CERT"),
            kinds.FILE,
            None,
            "The certificate (PEM) shown to the Auth service.",
        ),
        Variable(
            "auth_grpc_client_key",
            both("AUTH_GRPC_CLIENT_KEY"),
            kinds.FILE,
            None,
            "The private key (PEM) of that certificate.",
        ),
        Variable(
            "auth_grpc_server_ca_certs",
            both("AUTH_GRPC_SERVER_CA_CERTS", "AUTH_GRPC_CA_CERTS"),
            kinds.FILE,
            None,
            "The authorities (PEM) that vouch for the Auth service; naming them turns TLS on.",
        ),
        *foreign(
            "AUTH_GRPC_CLIENT_TLS", help="Turned TLS on in old clients; naming the authorities does so here."
        ),
        Variable(
            "auth_jwks_url",
            both("AUTH_JWKS_URL"),
            kinds.WEB_URL,
            "http://auth:9001/keys/.well-known/jwks.json",
            "Where a remote Auth service shows its public keys.",
        ),
        Variable(
            "auth_keys_algorithm",
            both("AUTH_KEYS_ALGORITHM"),
            choice("ES256", "EdDSA", "RS256", "HS256", "HS384", "HS512"),
            None,
            "How a remote Auth service signs: HS… is checked by asking it, the rest by its public keys.",
            unset="by its public keys",
        ),
        Variable(
            "domains_grpc_url",
            both("DOMAINS_GRPC_URL"),
            kinds.TARGET,
            None,
            "The Domains service, which is told when an account is erased; needed with an Auth service.",
            unset="nobody is told but the readers of events",
        ),
        Variable(
            "domains_grpc_timeout",
            both("DOMAINS_GRPC_TIMEOUT"),
            kinds.DURATION,
            "1s",
            "How long a call to the Domains service may take.",
        ),
        Variable(
            "domains_grpc_client_cert",
            both("DOMAINS_GRPC_CLIENT_CERT"),
            kinds.FILE,
            None,
            "The certificate (PEM) shown to the Domains service.",
        ),
        Variable(
            "domains_grpc_client_key",
            both("DOMAINS_GRPC_CLIENT_KEY"),
            kinds.FILE,
            None,
            "The private key (PEM) of that certificate.",
        ),
        Variable(
            "domains_grpc_server_ca_certs",
            both("DOMAINS_GRPC_SERVER_CA_CERTS"),
            kinds.FILE,
            None,
            "The authorities (PEM) that vouch for the Domains service; naming them turns TLS on.",
        ),
        Variable(
            "spicedb_host",
            both("SPICEDB_HOST"),
            kinds.HOST,
            None,
            "The host of the SpiceDB where the Auth service looks up who is an admin; needed with one.",
        ),
        Variable("spicedb_port", both("SPICEDB_PORT"), kinds.PORT, "50051", "The port of SpiceDB."),
        Variable(
            "spicedb_pre_shared_key",
            both("SPICEDB_PRE_SHARED_KEY"),
            kinds.ANY_TEXT,
            None,
            "The key of SpiceDB; needed with an Auth service.",
            secret=True,
        ),
        Variable(
            "spicedb_ca_certs",
            ("MG_SPICEDB_CA_CERTS",),
            kinds.FILE,
            None,
            "The authorities (PEM) that vouch for SpiceDB; naming them turns TLS on.",
        ),
    ),
)
