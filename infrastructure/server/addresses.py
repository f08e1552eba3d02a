"""Where a server may listen: an address is tried before anything is made or started."""

from __future__ import annotations

import socket

import msgspec

from infrastructure.settings import Settings
from infrastructure.settings.refusals import is_loopback

LOOPBACK = "127.0.0.1"

_HOSTS = {
    "HTTP_PORT": "MG_USERS_HTTP_HOST",
    "OPERATIONS_PORT": "MG_USERS_HTTP_HOST",
    "GRPC_PORT": "MG_USERS_GRPC_HOST",
}


class CannotListen(Exception):
    """The address is taken or not ours."""


def free_address(host: str, port: int, setting: str) -> tuple[str, int]:
    """The address behind a host, IPv4 where there is a choice, and a port that is free.

    `setting` names the port: HTTP_PORT, OPERATIONS_PORT or GRPC_PORT. Raises CannotListen.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        for candidate in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            if candidate[0] is socket.AF_INET:
                family, kind, _, _, address = candidate
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return str(address[0]), probe.getsockname()[1]
    except OSError as error:
        raise CannotListen(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. Set {_HOSTS[setting]} and "
            f"MG_USERS_{setting} to an address of this machine that is free."
        ) from None


class Place(msgspec.Struct, frozen=True):
    """Where to listen, and what an operator should hear about it."""

    host: str
    ports: tuple[int, ...]
    warning: str = ""


def grpc_place(settings: Settings) -> Place:
    """Where gRPC listens, after trying it. Raises CannotListen.

    Beyond loopback credentials and tokens would cross the network in clear, unless there is TLS.
    """
    wanted, warning = settings.grpc_host, ""
    if settings.grpc_server_cert is None and not is_loopback(wanted):
        warning = (
            f"gRPC listens on {LOOPBACK} instead of {wanted}: beyond loopback it takes "
            "MG_USERS_GRPC_SERVER_CERT and MG_USERS_GRPC_SERVER_KEY, and callers that show a certificate "
            "(MG_USERS_GRPC_CLIENT_CA_CERTS, MG_USERS_GRPC_CLIENT_SUBJECTS) or the credential of a "
            "service account (`usersd clients add`)."
        )
        wanted = LOOPBACK
    elif settings.grpc_client_ca_certs and not settings.grpc_client_subjects:
        warning = (
            "gRPC asks for certificates and MG_USERS_GRPC_CLIENT_SUBJECTS lists none: each caller has to "
            "show the credential of a service account as well."
        )
    ports = [settings.grpc_port, *([settings.grpc_second_port] if settings.grpc_second_port else [])]
    tried = [free_address(wanted, port, "GRPC_PORT") for port in dict.fromkeys(ports)]
    return Place(tried[0][0], tuple(port for _, port in tried), warning)
