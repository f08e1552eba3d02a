"""What an unset setting takes from the others, where a fixed default would surprise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from uuid import uuid4

from infrastructure.settings.refusals import DEFAULT
from infrastructure.settings.secret import Secret

_MAGISTRALA_GRPC = "MG_USERS_GRPC_"
_MAGISTRALA_GRPC_PORT = 7002
_GRPC_SERVER = ("grpc_host", "grpc_server_cert", "grpc_server_key", "grpc_client_ca_certs")
_PUBLIC_KEY_ALGORITHMS = ("ES256", "EdDSA", "RS256")
_MAINFLUX = "mainflux"


class Followed(NamedTuple):
    """A value for a field, and the variable it follows from."""

    field: str
    value: Any
    source: str = DEFAULT
    warnings: tuple[str, ...] = ()


def follow(values: Mapping[str, Any], sources: Mapping[str, str]) -> Iterator[Followed]:
    """Values for settings nobody chose."""
    for followed in _all(values, sources):
        if sources[followed.field] == DEFAULT:
            yield followed


def _all(values: Mapping[str, Any], sources: Mapping[str, str]) -> Iterator[Followed]:
    yield Followed("instance_id", str(uuid4()))
    yield from _second_port(sources)
    if sources["db_host"].startswith("MF_"):
        yield Followed("db_user", _MAINFLUX)
        yield Followed("db_pass", Secret(_MAINFLUX))
    if values["email_template"] is not None:
        yield Followed("password_reset_email_template", values["email_template"], sources["email_template"])
    if values["public_url"] is not None:
        base = values["public_url"].rstrip("/")
        page, source = "/password/reset", sources["public_url"]
        if sources["token_reset_endpoint"] != DEFAULT:
            page, source = values["token_reset_endpoint"], sources["token_reset_endpoint"]
        yield Followed("password_reset_url_prefix", f"{base}{page}", source)
        yield Followed("verification_url_prefix", f"{base}/verify-email", sources["public_url"])
    if values["auth_grpc_url"] is None and values["auth_keys_algorithm"] is not None:
        yield _signing(values, sources["auth_keys_algorithm"])


def _signing(values: Mapping[str, Any], source: str) -> Followed:
    """Parties that took EdDSA tokens from Magistrala's Auth go on taking them from us."""
    algorithm, own = values["auth_keys_algorithm"], values["signing_algorithm"]
    if algorithm in _PUBLIC_KEY_ALGORITHMS:
        return Followed("signing_algorithm", algorithm, source)
    warning = (
        f"{source}={algorithm} is set aside: tokens are signed with {own} instead; "
        "MG_USERS_SIGNING_ALGORITHM=HS512 signs with the shared secret MF_USERS_SECRET_KEY."
    )
    return Followed("signing_algorithm", own, warnings=(warning,))


def _second_port(sources: Mapping[str, str]) -> Iterator[Followed]:
    """Magistrala's own port, unless the operator chose the port that its clients know."""
    if sources["grpc_port"].startswith(_MAGISTRALA_GRPC):
        return
    for field in _GRPC_SERVER:
        if sources[field].startswith(_MAGISTRALA_GRPC):
            yield Followed("grpc_second_port", _MAGISTRALA_GRPC_PORT, sources[field])
            return
