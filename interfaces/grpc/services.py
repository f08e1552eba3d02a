"""Every service of this server, put together from the .proto files and the table of methods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import grpc
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection, reflection_pb2

from interfaces.grpc import health
from interfaces.grpc.calls import Calls
from interfaces.grpc.methods import UNARY, WATCH, WATCH_SCOPE
from interfaces.grpc.stubs.auth.v1 import auth_pb2
from interfaces.grpc.stubs.mainflux.users.policies import auth_pb2 as policies_pb2
from interfaces.grpc.stubs.token.v1 import token_pb2
from interfaces.grpc.stubs.users.v1 import users_pb2
from interfaces.grpc.watching import Watching

FILES: tuple[FileDescriptor, ...] = (
    users_pb2.DESCRIPTOR,
    token_pb2.DESCRIPTOR,
    auth_pb2.DESCRIPTOR,
    policies_pb2.DESCRIPTOR,
)
NAMES: tuple[str, ...] = tuple(
    service.full_name for file in FILES for service in file.services_by_name.values()
)
"""The services of the contract; health and reflection come on top."""

REFLECTION: str = reflection.SERVICE_NAME


def handlers(calls: Calls, watching: Watching, healthy: health.Health) -> Iterator[Any]:
    """What a server is to be given."""
    for file in FILES:
        for service in file.services_by_name.values():
            yield grpc.method_handlers_generic_handler(
                service.full_name,
                {method.name: _handler(calls, watching, method) for method in service.methods},
            )
    yield healthy.handler()
    yield _reflection(calls)


def _handler(calls: Calls, watching: Watching, method: MethodDescriptor) -> Any:
    rpc = f"{method.containing_service.full_name}/{method.name}"
    request_type = GetMessageClass(method.input_type)
    if rpc == WATCH:
        return calls.stream(rpc, watching.watch, WATCH_SCOPE, request_type)
    return calls.unary(rpc, UNARY[rpc], request_type)


def _reflection(calls: Calls) -> Any:
    rpc = "ServerReflectionInfo"
    servicer = reflection.aio.ReflectionServicer((*NAMES, health.NAME, REFLECTION))
    handler = grpc.stream_stream_rpc_method_handler(
        calls.guarded(f"{REFLECTION}/{rpc}", cast(Any, servicer.ServerReflectionInfo)),
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(REFLECTION, {rpc: handler})
