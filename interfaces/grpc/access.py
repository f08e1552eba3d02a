"""Who may call: a service account by its credential, or a program by its certificate's subject."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from datetime import datetime
from typing import Any

import grpc
from cryptography import x509

from application.clients import SCOPES, Clients
from domain.access import Actor
from domain.errors import Forbidden, Unauthenticated
from interfaces.service_accounts import service_actor

AUTHORIZATION = "authorization"
MOST_REMEMBERED = 1_000

_CERTIFICATE = "x509_pem_cert"
_LISTED = Actor("service", token="client", verified=True, scopes=SCOPES)


class NotListed(Forbidden):
    code = "certificate_not_listed"
    message = "The subject of this certificate is not on the list of those that may call."


class Access:
    """Finds out who calls. `subjects` are the listed ones, as RFC 4514 writes them."""

    def __init__(self, clients: Clients, subjects: Collection[str]) -> None:
        self._clients = clients
        self._subjects = frozenset(subjects)
        self._known: dict[bytes, bool] = {}

    async def caller(
        self, context: grpc.aio.ServicerContext[Any, Any], metadata: Mapping[str, str], at: datetime
    ) -> Actor:
        """Raises Unauthenticated, Forbidden, Unavailable."""
        shown = self._certificate(context) if self._subjects else None
        if shown is not None and self._is_listed(shown):
            return _LISTED
        if authorization := metadata.get(AUTHORIZATION):
            return await service_actor(authorization, self._clients, at)
        if shown is not None:
            raise NotListed
        raise Unauthenticated("The credential of a service account is needed, as metadata `authorization`.")

    def name_of(self, context: grpc.aio.ServicerContext[Any, Any], actor: Actor) -> Hashable:
        """What tells this caller from others: a service account's id, or else the certificate."""
        return actor.id or self._certificate(context)

    @staticmethod
    def _certificate(context: grpc.aio.ServicerContext[Any, Any]) -> bytes | None:
        found = context.auth_context().get(_CERTIFICATE)
        return next(iter(found), None) if found else None

    def _is_listed(self, certificate: bytes) -> bool:
        known = self._known.get(certificate)
        if known is None:
            # To read a certificate takes longer than the call.
            subject = x509.load_pem_x509_certificate(certificate).subject.rfc4514_string()
            known = subject in self._subjects
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[certificate] = known
        return known
