"""Every variable the service reads, one row each; all else about the settings derives from it."""

from __future__ import annotations

from infrastructure.settings import inherited, kinds
from infrastructure.settings.kinds import choice, choices, whole
from infrastructure.settings.variable import Group, Variable, both, foreign, ours

_THE_SERVICE = Group(
    "The service",
    (
        Variable(
            "log_level", both("USERS_LOG_LEVEL"), kinds.LOG_LEVEL, "info", "The least level that is logged."
        ),
        Variable(
            "instance_id",
            both("USERS_INSTANCE_ID", "INSTANCE_ID"),
            kinds.TEXT,
            None,
            "The name of this process in health reports, traces and log lines.",
            unset="a random UUID",
        ),
        Variable(
            "data_dir",
            ours("DATA_DIR"),
            kinds.PATH,
            "./.usersd",
            "The folder of the embedded PostgreSQL and NATS, the generated root key and unsent mails.",
        ),
        Variable(
            "embedded",
            ours("EMBEDDED"),
            kinds.BOOL,
            None,
            "Whether PostgreSQL and NATS may be the embedded ones where none is named; roles that share a "
            "data folder use the servers of whoever came first, for as long as that one runs.",
            unset="only for `usersd run` on loopback",
        ),
        Variable(
            "public_url",
            ours("PUBLIC_URL"),
            kinds.WEB_URL,
            None,
            "The address under which people reach this service; links in mails begin with it.",
        ),
        Variable(
            "shutdown_timeout",
            ours("SHUTDOWN_TIMEOUT"),
            kinds.DURATION,
            "10s",
            "How long requests in flight may take to finish after SIGTERM; then they are cut off.",
        ),
        Variable(
            "shutdown_delay",
            ours("SHUTDOWN_DELAY"),
            kinds.DURATION,
            None,
            "How long after SIGTERM everything is still served while `/readyz` already answers 503, so that "
            "load balancers look away first; the time for requests in flight begins after it.",
            unset="no time at all",
        ),
    ),
)

_HTTP = Group(
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

_GRPC = Group(
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

_POSTGRES = Group(
    "PostgreSQL",
    (
        Variable(
            "db_host",
            both("USERS_DB_HOST"),
            kinds.POSTGRES_HOST,
            None,
            "The host of PostgreSQL.",
            unset="the embedded PostgreSQL, for `usersd run` on loopback",
        ),
        Variable(
            "db_port",
            both("USERS_DB_PORT"),
            kinds.PORT,
            "5432",
            "The port of PostgreSQL.",
            legacy=inherited.service_link,
        ),
        Variable(
            "db_user",
            both("USERS_DB_USER"),
            kinds.ANY_TEXT,
            "magistrala",
            "The user who owns the tables.",
            unset="`magistrala`, or `mainflux` where the host comes from `MF_USERS_DB_HOST`",
        ),
        Variable(
            "db_pass",
            both("USERS_DB_PASS"),
            kinds.ANY_TEXT,
            "magistrala",
            "The password of that user.",
            secret=True,
            unset="`magistrala`, or `mainflux` where the host comes from `MF_USERS_DB_HOST`",
        ),
        Variable("db_name", both("USERS_DB_NAME"), kinds.ANY_TEXT, "users", "The name of the database."),
        Variable(
            "db_ssl_mode",
            both("USERS_DB_SSL_MODE"),
            kinds.SSL_MODE,
            "disable",
            "How far the connection is encrypted and the server checked, in the words of libpq.",
        ),
        Variable(
            "db_ssl_cert", both("USERS_DB_SSL_CERT"), kinds.FILE, None, "The certificate shown to PostgreSQL."
        ),
        Variable(
            "db_ssl_key", both("USERS_DB_SSL_KEY"), kinds.FILE, None, "The private key of that certificate."
        ),
        Variable(
            "db_ssl_root_cert",
            both("USERS_DB_SSL_ROOT_CERT"),
            kinds.FILE,
            None,
            "The authorities PostgreSQL's certificate is checked against.",
        ),
        Variable(
            "db_direct_host",
            ours("DB_DIRECT_HOST"),
            kinds.POSTGRES_HOST,
            None,
            "PostgreSQL itself where `MG_USERS_DB_HOST` is a pooler; LISTEN and the appender need it.",
            unset="`MG_USERS_DB_HOST`",
        ),
        Variable(
            "db_direct_port",
            ours("DB_DIRECT_PORT"),
            kinds.PORT,
            None,
            "The port of PostgreSQL itself.",
            unset="`MG_USERS_DB_PORT`",
        ),
        Variable(
            "db_replica_host",
            ours("DB_REPLICA_HOST"),
            kinds.POSTGRES_HOST,
            None,
            "A hot standby of that PostgreSQL, for lists, searches and timelines of whoever sends "
            "`Usersd-Position`; what it lacks or does not answer, the primary answers.",
            unset="no standby is asked",
        ),
        Variable(
            "db_replica_port",
            ours("DB_REPLICA_PORT"),
            kinds.PORT,
            None,
            "The port of the standby.",
            unset="`MG_USERS_DB_PORT`",
        ),
        Variable(
            "db_replica_lists",
            ours("DB_REPLICA_LISTS"),
            kinds.BOOL,
            "false",
            "Have the standby answer lists, searches, timelines and feeds of everybody, as long as it is as "
            "far as the primary's read models.",
        ),
        Variable(
            "db_pool_size",
            ours("DB_POOL_SIZE"),
            whole(1, 1000),
            "10",
            "The most connections for reading that one process opens.",
        ),
    ),
)

_EVENTS = Group(
    "Events",
    (
        Variable(
            "es_url",
            both("USERS_ES_URL", "ES_URL"),
            kinds.STREAM_URL,
            None,
            "The NATS cluster that carries the events; it may hold a user and password.",
            secret=True,
            unset="the embedded NATS, for `usersd run` on loopback",
            legacy=inherited.event_store,
        ),
        Variable(
            "es_ca_certs",
            ours("ES_CA_CERTS"),
            kinds.FILE,
            None,
            "The authorities (PEM) that NATS servers are checked by; with them TLS is required.",
            unset="those of the system, where the URL begins with tls://",
        ),
        Variable(
            "es_client_cert",
            ours("ES_CLIENT_CERT"),
            kinds.FILE,
            None,
            "The certificate (PEM) that NATS is shown, together with its key; with it TLS is required.",
        ),
        Variable(
            "es_client_key",
            ours("ES_CLIENT_KEY"),
            kinds.FILE,
            None,
            "The private key (PEM) of the certificate that NATS is shown.",
        ),
        Variable(
            "es_creds",
            ours("ES_CREDS"),
            kinds.FILE,
            None,
            "A creds file (JWT and seed) that NATS is shown; read anew for every connection.",
        ),
        Variable(
            "es_nkey_seed",
            ours("ES_NKEY_SEED"),
            kinds.NKEY_SEED,
            None,
            "The seed of the nkey that NATS is shown.",
            secret=True,
        ),
        Variable(
            "stream_replicas",
            ours("STREAM_REPLICAS"),
            whole(1, 5),
            "1",
            "How many servers of the NATS cluster hold each event.",
        ),
        Variable(
            "stream_max_age",
            ours("STREAM_MAX_AGE"),
            kinds.DURATION,
            None,
            "How long NATS keeps an event.",
            unset="without limit",
        ),
        Variable(
            "stream_max_bytes",
            ours("STREAM_MAX_BYTES"),
            whole(2**20, 2**50),
            None,
            "How many bytes of events NATS keeps at most; the oldest go first.",
            unset="as it is set on the stream, without limit on a new one",
        ),
        Variable(
            "stream_shards",
            ours("STREAM_SHARDS"),
            whole(0, 65536),
            "0",
            "Over how many shards users are spread (`users.<shard>.<event>`), for tens of millions of them; "
            "0: each has a subject of their own.",
        ),
        Variable(
            "events_pii",
            ours("EVENTS_PII"),
            choice("full", "none"),
            "full",
            "Whether published events carry names and emails, as the originals' did, or only ids.",
        ),
        Variable(
            "events_mode",
            ours("EVENTS_MODE"),
            choice("structured", "binary"),
            "structured",
            "Whether the attributes of a CloudEvent stand in one JSON object with its data, or in headers.",
        ),
        Variable(
            "events_format",
            ours("EVENTS_FORMAT"),
            choices("cloudevents", "magistrala", "mainflux"),
            "cloudevents",
            "The forms in which each event is published, each to its own stream or subjects.",
        ),
    ),
)

_KEYS = Group(
    "Keys",
    (
        Variable(
            "root_key",
            ours("ROOT_KEY"),
            kinds.ROOT_KEY,
            None,
            "The key that wraps every other key; a backup is the database and this key.",
            secret=True,
            unset="generated together with an embedded PostgreSQL, refused with any other",
        ),
        Variable(
            "root_key_new",
            ours("ROOT_KEY_NEW"),
            kinds.ROOT_KEY,
            None,
            "The key that takes the place of the root key in `usersd keys rewrap`, and for nothing else.",
            secret=True,
            unset="a random one, where the root key is in the data folder",
        ),
        Variable(
            "secret_key",
            both("USERS_SECRET_KEY"),
            kinds.ANY_TEXT,
            "mainflux",
            "The shared secret of HS512 tokens, for parties that verify with it, and nothing else.",
            secret=True,
        ),
    ),
)

_ACCOUNTS = Group(
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

_LOG = Group(
    "Integrity of the log",
    (
        Variable(
            "checkpoint_events",
            ours("CHECKPOINT_EVENTS"),
            whole(1, 10**9),
            "100000",
            "After how many events at most the log gets a signed checkpoint.",
        ),
        Variable(
            "checkpoint_interval",
            ours("CHECKPOINT_INTERVAL"),
            kinds.DURATION,
            "10m",
            "After how long at most an event is covered by a signed checkpoint.",
        ),
        Variable(
            "checkpoint_file",
            ours("CHECKPOINT_FILE"),
            kinds.PATH,
            None,
            "The file, outside the database, that keeps the checkpoints; keep copies of it elsewhere.",
            unset="`log-checkpoints.jws` in the data directory",
        ),
        Variable(
            "projection_check",
            ours("PROJECTION_CHECK"),
            whole(0, 1_000_000),
            "1000",
            "Of how many users a minute the rows of each read model are compared with the log; 0: of none.",
        ),
    ),
)

_TOKENS = Group(
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

_AUTH = Group(
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

_MAIL = Group(
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

_OBSERVING = Group(
    "Observing",
    (
        Variable(
            "jaeger_url",
            both("JAEGER_URL"),
            kinds.WEB_URL,
            None,
            "The collector of traces, by OTLP over HTTP.",
            unset="no traces are sent",
            legacy=inherited.jaeger,
        ),
        Variable(
            "jaeger_trace_ratio",
            both("JAEGER_TRACE_RATIO"),
            kinds.RATIO,
            "1.0",
            "The share of requests that are traced.",
        ),
        Variable(
            "send_telemetry",
            both("SEND_TELEMETRY"),
            kinds.BOOL,
            "true",
            "Whether telemetry may be sent at all; it holds nothing personal.",
        ),
        Variable(
            "telemetry_url",
            ("MG_TELEMETRY_URL",),
            kinds.WEB_URL,
            None,
            "The receiver of telemetry.",
            unset="nothing is sent",
        ),
    ),
)

_ELSEWHERE = Group(
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

GROUPS = (
    _THE_SERVICE,
    _HTTP,
    _GRPC,
    _POSTGRES,
    _EVENTS,
    _KEYS,
    _ACCOUNTS,
    _LOG,
    _TOKENS,
    _AUTH,
    _MAIL,
    _OBSERVING,
    _ELSEWHERE,
)
VARIABLES = tuple(row for group in GROUPS for row in group.rows)
BY_FIELD = {row.field: row for row in VARIABLES if row.field is not None}
KNOWN = {spelling: row for row in VARIABLES for spelling in row.spellings}
