"""One relay for each form that the settings name, and what becomes of the streams of the others."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg

from infrastructure.event_store.log import EventReader
from infrastructure.nats.clearing import clear, owed
from infrastructure.nats.configured import access_of, shape_of
from infrastructure.nats.connection import close, connect
from infrastructure.nats.form import Form, Session
from infrastructure.nats.own_stream import OwnStream
from infrastructure.nats.position import Fenced, Lease, acquire, excuse, release
from infrastructure.nats.publisher import Publisher
from infrastructure.nats.relay import Relay, WakeUp
from infrastructure.nats.shared_stream import SharedStream
from infrastructure.settings import Settings
from interfaces.events.magistrala import MAGISTRALA
from interfaces.events.mainflux import MAINFLUX
from interfaces.events.telling import Mode, Pii
from interfaces.scheduler import Job
from projections.readmodel import PageTrace

EVERY = timedelta(minutes=1)


def forms_of(settings: Settings) -> dict[str, Form]:
    """Every form there is, by its name in the settings."""
    pii: Pii = "none" if settings.events_pii == "none" else "full"
    mode: Mode = "binary" if settings.events_mode == "binary" else "structured"
    return {
        "cloudevents": OwnStream(pii=pii, mode=mode, shape=shape_of(settings)),
        "magistrala": SharedStream(MAGISTRALA, pii=pii),
        "mainflux": SharedStream(MAINFLUX, pii=pii),
    }


class Relays:
    """The relays of a service: `told` publish; in the streams of the `silent` ones users are forgotten."""

    def __init__(
        self,
        settings: Settings,
        reader: EventReader,
        conninfo: str,
        nats_url: str,
        wake_up: WakeUp,
        trace: PageTrace | None = None,
    ) -> None:
        self._reader = reader
        self._conninfo = conninfo
        self._url = nats_url
        self._access = access_of(settings)
        forms = forms_of(settings)
        told = {name: form for name, form in forms.items() if name in settings.events_format}
        self.names = [form.name for form in told.values()]
        self.told = [
            Relay(reader, conninfo, nats_url, wake_up, form, access=self._access, trace=trace)
            for form in told.values()
        ]
        self._silent = [form for name, form in forms.items() if name not in told]

    def jobs(self) -> list[Job]:
        """The regular work: erasures reach streams that a form was once published to."""
        if not self._silent:
            return []
        return [Job("forget in streams of forms switched off", EVERY, self.clear_silent)]

    async def clear_silent(self) -> str:
        """Forget whoever is owed it in a stream that nothing is published to any more."""
        done = 0
        for form in self._silent:
            async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                await excuse(connection, form.name)
                if waiting := len(await owed(connection, form.name)):
                    await self._clear(connection, form)
                    done += waiting
        return f"looked for {done} users who are erased" if done else ""

    async def _clear(self, connection: psycopg.AsyncConnection[Any], form: Form) -> None:
        owner = str(uuid4())

        async def renewed() -> Lease:
            # Whoever publishes this form still, being configured otherwise, forgets there too.
            if (lease := await acquire(connection, form.name, owner)) is None:
                raise Fenced
            return lease

        async def renew() -> None:
            await renewed()

        publisher = Publisher()
        with contextlib.suppress(Fenced):
            lease = await renewed()
            client = await connect(
                self._url, name=f"usersd {form.name}", access=self._access, on_lost=publisher.lost
            )
            try:
                await clear(
                    Session(connection, self._reader, lease, renew, client, publisher, first_page=1), form
                )
            finally:
                await close(client)
                await release(connection, form.name, owner)
