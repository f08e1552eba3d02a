"""A call over gRPC is traced as a request is: it goes on with its caller's trace, and names nobody."""

from __future__ import annotations

import pytest

from interfaces.grpc.stubs.mainflux.users.policies.auth_pb2 import IdentifyReq
from tests.grpc.world import Metadata, refusal, serving
from tests.support.waiting import eventually
from tests.telemetry.receiver import Receiver, Span
from tests.telemetry.test_tracing import CALLER, CANARY, TRACE, traced_service

SAMPLED: Metadata = (("traceparent", f"00-{TRACE}-{CALLER}-01"),)


@pytest.fixture(autouse=True)
def delivered_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infrastructure.telemetry.tracing.EVERY_MILLISECONDS", 50)


def calls_of(collector: Receiver) -> list[Span]:
    return [span for span in collector.spans if "rpc.method" in span.attributes]


async def test_a_call_goes_on_with_its_caller_s_trace_and_tells_how_it_ended(
    database: str, collector: Receiver
) -> None:
    async with (
        traced_service(database, collector, MG_JAEGER_TRACE_RATIO="0") as client,
        serving(client) as world,
    ):
        shows = world.shows("introspect")
        user = await client.register()
        token = (await client.login(user["email"]))["access_token"]
        await world.policies.Identify(IdentifyReq(token=token), metadata=shows)
        await world.policies.Identify(IdentifyReq(token=token), metadata=shows + SAMPLED)
        marks: Metadata = (
            ("x-request-id", CANARY),
            ("tracestate", f"vendor={CANARY}"),
            ("user-agent", CANARY),
        )
        refused = await refusal(
            world.policies.Identify(IdentifyReq(token=CANARY), metadata=shows + SAMPLED + marks)
        )
        assert refused.code().name == "UNAUTHENTICATED"

        async def both() -> bool:
            return len(calls_of(collector)) == 2

        await eventually(both)
    answered, not_admitted = calls_of(collector)
    for span, code in ((answered, "OK"), (not_admitted, "UNAUTHENTICATED")):
        assert (span.trace, span.parent) == (TRACE, CALLER)
        service = str(span.attributes["rpc.service"])
        assert service.endswith("AuthService")
        assert span.name == f"{service}/Identify"
        assert span.attributes == {
            "rpc.system": "grpc", "rpc.service": service, "rpc.method": "Identify",
            "rpc.response.status_code": code,
        }  # fmt: skip
        assert not span.error
    assert {span.trace for span in collector.spans} == {TRACE}
    sent = collector.everything
    assert CANARY.lower().encode() not in sent.lower()
    assert token.encode() not in sent
