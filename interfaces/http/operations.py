"""The routes for those who run the service: is it well, is it alive, is it ready."""

from __future__ import annotations

from typing import Protocol

import msgspec
from litestar import Response, get

from interfaces.http.caller import JSON, AnyRequest

EXPOSITION = "text/plain; version=0.0.4"

_NEEDED = ("postgres", "schema", "read_models", "process")


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What `/health` answers, as both originals did."""

    status: str = "pass"
    version: str
    commit: str
    description: str = "users service"
    build_time: str
    instance_id: str


class Readiness(Protocol):
    async def __call__(self) -> dict[str, str]:
        """What the service stands on, each `ok` or what is wrong with it."""


class Exposition(Protocol):
    async def __call__(self) -> bytes:
        """The metrics, in the text format of Prometheus."""


@get(
    "/health",
    sync_to_thread=False,
    opt={"access": "anyone", "answer": (200, "Health"), "media_type": "application/health+json"},
)
def health(request: AnyRequest) -> Response[bytes]:
    """Who answers here; probes nothing, as in both originals."""
    body = msgspec.json.encode(request.app.state["health"])
    return Response(body, media_type="application/health+json")


@get("/livez", sync_to_thread=False, opt={"access": "anyone", "answer": (200, "Liveness")})
def livez() -> Response[bytes]:
    """200 while the process serves requests at all; never looks at anything else."""
    return Response(b'{"status":"pass"}', media_type=JSON)


@get(
    "/readyz",
    opt={
        "access": "anyone",
        "answer": (200, "Readiness"),
        "refuses": (503,),
        "refuses_as": JSON,
        "refuses_shape": "Readiness",
    },
)
async def readyz(request: AnyRequest) -> Response[bytes]:
    """200 when requests can be served, else 503; a broker that is away does not make it unready."""
    readiness: Readiness = request.app.state["readiness"]
    checks = await readiness()
    ready = all(checks.get(name, "ok") == "ok" for name in _NEEDED)
    body = msgspec.json.encode({"status": "pass" if ready else "fail", "checks": checks})
    if ready:
        return Response(body, media_type=JSON)
    return Response(body, status_code=503, headers={"Retry-After": "1"}, media_type=JSON)


@get(
    "/metrics",
    opt={"access": "anyone", "answer": (200, "Exposition"), "media_type": EXPOSITION},
)
async def metrics(request: AnyRequest) -> Response[bytes]:
    """The metrics of this process, for Prometheus; open to all, as in both originals."""
    exposition: Exposition = request.app.state["exposition"]
    return Response(await exposition(), media_type=EXPOSITION)
