"""Where this service is reached when nobody has said under which name people know it."""

from __future__ import annotations

import ipaddress

from infrastructure.settings.model import Settings


def own_address(settings: Settings, port: int) -> str:
    """The URL of the address that is listened on."""
    scheme = "https" if settings.http_server_cert else "http"
    host = settings.http_host
    try:
        address = ipaddress.ip_address(host)
        named = f"[{host}]" if address.version == 6 else host
        host = "localhost" if address.is_unspecified or address.is_loopback else named
    except ValueError:
        host = host or "localhost"
    return f"{scheme}://{host}:{port}"
