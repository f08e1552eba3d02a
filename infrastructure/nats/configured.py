"""What the settings say of NATS: how it is reached, and what the stream is to be."""

from __future__ import annotations

from infrastructure.nats.credentials import Access
from infrastructure.nats.stream import Shape
from infrastructure.settings import Settings


def access_of(settings: Settings) -> Access:
    return Access(
        ca_certs=settings.es_ca_certs,
        client_cert=settings.es_client_cert,
        client_key=settings.es_client_key,
        creds=settings.es_creds,
        nkey_seed=settings.es_nkey_seed.reveal() if settings.es_nkey_seed else None,
    )


def shape_of(settings: Settings) -> Shape:
    return Shape(
        replicas=settings.stream_replicas,
        max_age=settings.stream_max_age.total_seconds() if settings.stream_max_age else None,
        max_bytes=settings.stream_max_bytes,
        shards=settings.stream_shards,
    )
