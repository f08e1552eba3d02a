"""The settings as the rest of the service sees them: typed, frozen, their secrets masked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec

from infrastructure.settings.kinds import Network, compile_pattern
from infrastructure.settings.secret import Secret


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One field for each variable of the table; `load` fills them all."""

    log_level: str
    instance_id: str
    data_dir: Path
    embedded: bool | None
    public_url: str | None
    shutdown_timeout: timedelta
    shutdown_delay: timedelta | None

    http_host: str
    http_port: int
    operations_port: int | None
    http_server_cert: Path | None
    http_server_key: Path | None
    http_client_ca_certs: Path | None
    http_read_timeout: timedelta
    http_write_timeout: timedelta
    http_read_header_timeout: timedelta
    http_idle_timeout: timedelta
    http_max_header_bytes: int
    http_max_body_bytes: int
    bulk_max_lines: int
    bulk_max_bytes: int
    trusted_proxies: list[Network]
    cors_origins: list[str]

    grpc_host: str
    grpc_port: int
    grpc_second_port: int | None
    grpc_server_cert: Path | None
    grpc_server_key: Path | None
    grpc_client_ca_certs: Path | None
    grpc_client_subjects: list[str]
    grpc_enabled: bool

    db_host: str | None
    db_port: int
    db_user: str
    db_pass: Secret[str]
    db_name: str
    db_ssl_mode: str
    db_ssl_cert: Path | None
    db_ssl_key: Path | None
    db_ssl_root_cert: Path | None
    db_direct_host: str | None
    db_direct_port: int | None
    db_replica_host: str | None
    db_replica_port: int | None
    db_replica_lists: bool
    db_pool_size: int

    es_url: Secret[str] | None
    es_ca_certs: Path | None
    es_client_cert: Path | None
    es_client_key: Path | None
    es_creds: Path | None
    es_nkey_seed: Secret[str] | None
    stream_replicas: int
    stream_max_age: timedelta | None
    stream_max_bytes: int | None
    stream_shards: int
    events_pii: str
    events_mode: str
    events_format: list[str]

    root_key: Secret[bytes] | None
    root_key_new: Secret[bytes] | None
    secret_key: Secret[str]

    admin_email: str
    admin_password: Secret[str]
    admin_username: str
    admin_first_name: str
    admin_last_name: str
    pass_regex: str
    throttle: bool
    breached_secrets: Path | None
    bcrypt_cost: int
    self_register: bool
    unverified_allowed: bool
    delete_interval: timedelta
    delete_after: timedelta
    sweep: list[str]
    key_epoch_interval: timedelta
    erasure_ledger: Path | None

    checkpoint_events: int
    checkpoint_interval: timedelta
    checkpoint_file: Path | None
    projection_check: int

    access_token_duration: timedelta
    refresh_token_duration: timedelta
    security_log_retention: timedelta
    signing_algorithm: str
    issuer: str
    audience: str

    auth_grpc_url: str | None
    auth_grpc_timeout: timedelta
    auth_grpc_client_cert: Path | None
    auth_grpc_client_key: Path | None
    auth_grpc_server_ca_certs: Path | None
    auth_jwks_url: str
    auth_keys_algorithm: str | None
    domains_grpc_url: str | None
    domains_grpc_timeout: timedelta
    domains_grpc_client_cert: Path | None
    domains_grpc_client_key: Path | None
    domains_grpc_server_ca_certs: Path | None

    email_host: str | None
    email_port: int
    email_tls: str | None
    email_ca_certs: Path | None
    email_timeout: timedelta
    email_username: str
    email_password: Secret[str] | None
    email_from_address: str
    email_from_name: str
    email_template: Path | None
    password_reset_email_template: Path | None
    verification_email_template: Path | None
    password_reset_url_prefix: str | None
    verification_url_prefix: str | None
    token_reset_endpoint: str

    jaeger_url: str | None
    jaeger_trace_ratio: float
    send_telemetry: bool
    telemetry_url: str | None

    spicedb_host: str | None
    spicedb_port: int
    spicedb_pre_shared_key: Secret[str] | None
    spicedb_ca_certs: Path | None

    @property
    def secret_allowed(self) -> Callable[[str], bool]:
        """Whether a new password matches the policy somewhere, as the originals searched."""
        pattern = compile_pattern(self.pass_regex)
        return lambda secret: pattern.search(secret.encode("utf-8", "replace")) is not None

    def postgres_conninfo(self) -> str | None:
        """How libpq reaches PostgreSQL, perhaps through a pooler; None where it is the embedded one."""
        return None if self.db_host is None else self._conninfo(self.db_host, self.db_port)

    def postgres_direct_conninfo(self) -> str | None:
        """How libpq reaches PostgreSQL itself, past any pooler; None where it is the embedded one."""
        if self.db_host is None:
            return None
        return self._conninfo(self.db_direct_host or self.db_host, self.db_direct_port or self.db_port)

    def postgres_replica_conninfo(self) -> str | None:
        """How libpq reaches the standby that answers reads; None where there is none."""
        if self.db_host is None or self.db_replica_host is None:
            return None
        return self._conninfo(self.db_replica_host, self.db_replica_port or self.db_port)

    def _conninfo(self, host: str, port: int) -> str:
        parts = {
            "host": host,
            "port": port,
            "user": self.db_user,
            "password": self.db_pass.reveal(),
            "dbname": self.db_name,
            "sslmode": self.db_ssl_mode,
            "sslcert": self.db_ssl_cert,
            "sslkey": self.db_ssl_key,
            "sslrootcert": self.db_ssl_root_cert,
            "application_name": "usersd",
            # A network that swallows packets must look like a lost server, and soon.
            "connect_timeout": 5,
            "tcp_user_timeout": 10_000,
            "keepalives_idle": 30,
        }
        return " ".join(f"{key}={_quoted(str(part))}" for key, part in parts.items() if part is not None)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
