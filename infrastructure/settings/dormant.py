"""The settings that are read and checked and change nothing yet: an operator is told, not left to believe."""

from __future__ import annotations

from collections.abc import Mapping

DORMANT: frozenset[str] = frozenset(
    {
        "grpc_host",
        "grpc_port",
        "grpc_second_port",
        "grpc_server_cert",
        "grpc_server_key",
        "grpc_client_ca_certs",
        "events_format",
        "auth_grpc_url",
        "auth_grpc_timeout",
        "auth_grpc_client_cert",
        "auth_grpc_client_key",
        "auth_grpc_server_ca_certs",
        "auth_jwks_url",
        "auth_keys_algorithm",
        "domains_grpc_url",
        "domains_grpc_timeout",
        "domains_grpc_client_cert",
        "domains_grpc_client_key",
        "domains_grpc_server_ca_certs",
        "spicedb_host",
        "spicedb_port",
        "spicedb_pre_shared_key",
    }
)
"""Fields of Settings. Whoever makes one work takes it out; a test holds this list against the code."""


def warning(sources: Mapping[str, str]) -> str | None:
    """One line that names the variables that were set and change nothing; None where there are none."""
    given = {source for field in DORMANT if (source := sources[field]).startswith(("MG_", "MF_"))}
    return f"Read, and without effect in this version: {', '.join(sorted(given))}." if given else None
