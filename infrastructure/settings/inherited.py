"""Values that only other parts of the originals understood: mapped or set aside, never silently."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

_OTHER_STORES = ("amqp", "amqps", "redis", "rediss")
_JAEGER_PATH = "/api/traces"
_JAEGER_PORT = 14268
_OTLP_PORT = 4318

_TEMPLATES = {
    folder + name
    for folder in ("", "/", "/templates/")
    for name in ("email.tmpl", "reset-password-email.tmpl", "verification-email.tmpl")
}

# What Kubernetes and Docker add to the environment for each neighbouring service.
_LINK_NAME = re.compile(r".*_(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?|PORT_[0-9]+_(?:TCP|UDP)(?:_.+)?)")
_LINK_VALUES = ("tcp://", "udp://")


class Translation(NamedTuple):
    """What stands in for the value (None: as if unset), and the line that says so."""

    value: str | None
    warning: str


def event_store(name: str, value: str) -> Translation | None:
    """RabbitMQ, FluxMQ and Redis held the events of the originals."""
    scheme = value.partition("://")[0].lower()
    if scheme not in _OTHER_STORES or "://" not in value:
        return None
    return Translation(
        None,
        f"{name}={scheme}://… is set aside: events go to NATS JetStream, "
        "to the embedded one unless MG_USERS_ES_URL names another (nats://host:4222).",
    )


def jaeger(name: str, value: str) -> Translation | None:
    """Jaeger's own protocol gave way to OTLP, which the same Jaeger takes on another port."""
    try:
        url = urlsplit(value)
        old = url.port == _JAEGER_PORT or url.path.rstrip("/") == _JAEGER_PATH
    except ValueError:
        return None
    if not old or not url.hostname:
        return None
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    mapped = f"{url.scheme}://{host}:{_OTLP_PORT}/v1/traces"
    return Translation(
        mapped, f"{name} names Jaeger's old port or path: traces go by OTLP to {mapped} instead."
    )


def template(name: str, value: str) -> Translation | None:
    """The originals' environment files name templates that lay beside their own program.

    Any other file that an operator names has to be there.
    """
    if value not in _TEMPLATES or Path(value).is_file():
        return None
    return Translation(
        None, f"{name} is set aside: the file is not there, so the built-in text is sent instead."
    )


def service_link(name: str, value: str) -> Translation | None:
    """Kubernetes and Docker tell containers about their neighbours in variables that look like ours."""
    if not value.startswith(_LINK_VALUES):
        return None
    return Translation(
        None, f"{name}={value} is set aside: it was made for a service of that name, not for us."
    )


def is_service_link(name: str, value: str) -> bool:
    return value.startswith(_LINK_VALUES) or _LINK_NAME.fullmatch(name) is not None


def auth_address(name: str, value: str) -> Translation | None:
    """In Mainflux this variable told the other services where to find the users service: us."""
    if not name.startswith("MF_"):
        return None
    return Translation(
        None,
        f"{name} is set aside: in Mainflux it named the users service itself, so this service issues and "
        "checks its own tokens; MG_AUTH_GRPC_URL names an Auth service.",
    )
