"""Asks the roles that run on this machine whether they are ready: what a container's health check runs."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from infrastructure.roles import OPERATIONS_PORTS, Role
from infrastructure.settings import Settings, SettingsError, load
from interfaces.cli.output import USAGE
from interfaces.cli.tools import CommandFailed, Heard

PATIENCE = 4.0
"""Seconds for an answer; `/readyz` looks at its database for two at most."""

_ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}  # noqa: S104


class Asking:
    """Implements the part of the command line's Tools that takes no database."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def health(self, role: str | None) -> list[Heard]:
        """What the roles that answer here say of themselves, or what becomes of asking that one role.

        Without a role, ports at which nobody or another program answers are passed over.
        Raises CommandFailed.
        """
        try:
            settings = load(self._environ, role="health").settings
        except SettingsError as error:
            raise CommandFailed("\n".join(error.lines), USAGE) from None
        asked = [_ask(settings, name, port) for name, port in _ports(settings, role)]
        return asked if role else [heard for heard in asked if heard.answers]


def _ports(settings: Settings, role: str | None) -> Iterator[tuple[str, int]]:
    if role:
        chosen = Role(role)
        own = settings.operations_port
        other = OPERATIONS_PORTS.get(chosen, 0) if own is None else own
        yield role, settings.http_port if chosen.answers else other
        return
    yield Role.API.value, settings.http_port
    if settings.operations_port is None:
        yield from ((other.value, port) for other, port in OPERATIONS_PORTS.items())
    else:
        yield "a role without an API", settings.operations_port


def _ask(settings: Settings, name: str, port: int) -> Heard:
    host = _ANY_ADDRESS.get(settings.http_host, settings.http_host)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connection = _connection(settings, host, port)
    try:
        connection.request("GET", "/readyz", headers={"Accept": "application/json", "Connection": "close"})
        answer = connection.getresponse()
        body = json.loads(answer.read(65_536))
        status, checks = str(body["status"]), dict(body["checks"])
    except TimeoutError:
        says = f"it took the connection and gave no answer within {PATIENCE:.0f} s"
        return Heard(role=name, address=address, answers=True, ready=False, says=says)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        return Heard(role=name, address=address, answers=False, ready=False, says=f"no answer ({reason})")
    except (http.client.HTTPException, ValueError, KeyError, TypeError):
        return Heard(role=name, address=address, answers=False, ready=False, says="another program answers")
    finally:
        connection.close()
    ready = answer.status == 200 and status == "pass"
    return Heard(role=name, address=address, answers=True, ready=ready, says=_said(ready, checks))


def _said(ready: bool, checks: Mapping[str, Any]) -> str:
    troubles = ", ".join(f"{name}: {state}" for name, state in checks.items() if state != "ok")
    return f"{'ready' if ready else 'not ready'}{f' ({troubles})' if troubles else ''}"


def _connection(settings: Settings, host: str, port: int) -> http.client.HTTPConnection:
    if settings.http_server_cert is None:
        return http.client.HTTPConnection(host, port, timeout=PATIENCE)
    # The certificate names the address that others use, and nothing secret is said or believed here.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if settings.http_client_ca_certs is not None and settings.http_server_key is not None:
        # Where clients have to show a certificate, the service's own is the one that is at hand.
        context.load_cert_chain(settings.http_server_cert, settings.http_server_key)
    return http.client.HTTPSConnection(host, port, timeout=PATIENCE, context=context)
