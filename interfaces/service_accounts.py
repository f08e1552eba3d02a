"""The credential of a service account, over HTTP and gRPC alike (client_secret_basic, RFC 6749)."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from urllib.parse import unquote_plus
from uuid import UUID

from application.clients import Clients
from domain.access import Actor
from domain.errors import Unauthenticated


async def service_actor(authorization: str, clients: Clients, at: datetime) -> Actor:
    """Who shows this `authorization`. Raises Unauthenticated, Unavailable."""
    scheme, _, shown = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise Unauthenticated
    client_id, secret = _credentials(shown)
    client = await clients.authenticate(client_id, secret, at)
    if client is None:
        raise Unauthenticated("There is no such service account, its secret is another, or it was revoked.")
    return Actor("service", client.id, token="client", verified=True, scopes=tuple(client.scopes))


def _credentials(shown: str) -> tuple[UUID, str]:
    try:
        name, _, secret = base64.b64decode(shown.strip(), validate=True).decode().partition(":")
        # RFC 6749 section 2.3.1: both are form-encoded before they are joined.
        return UUID(unquote_plus(name)), unquote_plus(secret)
    except (binascii.Error, ValueError):
        raise Unauthenticated(
            "The Authorization header is no client_secret_basic of a service account."
        ) from None
