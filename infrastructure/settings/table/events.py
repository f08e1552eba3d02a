"""Where events are published, and in which forms."""

from __future__ import annotations

from infrastructure.settings import inherited, kinds
from infrastructure.settings.kinds import choice, choices, whole
from infrastructure.settings.variable import Group, Variable, both, ours

EVENTS = Group(
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
