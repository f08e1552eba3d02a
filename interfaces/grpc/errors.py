"""Turns every refusal into a status of gRPC, with the details that Google's error model has names for."""

from __future__ import annotations

from typing import NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from domain import errors
from domain.errors import Fault, Invalid, OutcomeUnknown, Refusal, Unavailable

DOMAIN = "usersd"
DETAILS = "grpc-status-details-bin"
PUSHBACK = "grpc-retry-pushback-ms"


class AnswerTooLarge(Refusal):
    code = "answer_too_large"
    message = "The answer is larger than clients take by default (4 MiB); ask for fewer users at a time."


class TooManyWatchers(Refusal):
    code = "too_many_watchers"
    message = "Too many watch already; another one has to end first."


class DoesNotRead(Unavailable):
    code = "does_not_read"
    message = "Nothing was read for too long; go on from the last position that was dealt with."


class BeyondTheLog(Refusal):
    code = "beyond_the_log"
    message = (
        "This position is beyond the end of the log: it comes from another service, or this one was "
        "restored from a backup. Begin anew."
    )


STATUS: dict[type[Refusal], StatusCode] = {
    errors.Invalid: StatusCode.INVALID_ARGUMENT,
    errors.Unauthenticated: StatusCode.UNAUTHENTICATED,
    errors.Forbidden: StatusCode.PERMISSION_DENIED,
    errors.NotFound: StatusCode.NOT_FOUND,
    errors.Conflict: StatusCode.FAILED_PRECONDITION,
    errors.VersionConflict: StatusCode.ABORTED,
    errors.TokenGone: StatusCode.FAILED_PRECONDITION,
    errors.Stale: StatusCode.FAILED_PRECONDITION,
    errors.KeyReused: StatusCode.INVALID_ARGUMENT,
    errors.TooManyAttempts: StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: StatusCode.UNAVAILABLE,
    AnswerTooLarge: StatusCode.RESOURCE_EXHAUSTED,
    TooManyWatchers: StatusCode.RESOURCE_EXHAUSTED,
    BeyondTheLog: StatusCode.OUT_OF_RANGE,
}
"""One row per kind of refusal."""


def status_of(refusal: Refusal) -> StatusCode:
    """The status of the nearest kind of refusal that has a row."""
    return next(STATUS[kind] for kind in type(refusal).__mro__ if kind in STATUS)


def invalid(field: str, message: str) -> Invalid:
    """A field of a request that is wrong."""
    return Invalid(Fault(field, message))


async def refuse(context: grpc.aio.ServicerContext[Message, Message], refusal: Refusal) -> NoReturn:
    """End the call with what a refusal says: code, text, and when to try again."""
    code = status_of(refusal)
    number: int = code.value[0]
    details: list[Message] = [ErrorInfo(reason=refusal.code.upper(), domain=DOMAIN)]
    trailing: list[tuple[str, str | bytes]] = []
    if isinstance(refusal, Invalid) and refusal.faults:
        faults = [
            BadRequest.FieldViolation(field=fault.pointer.lstrip("/"), description=fault.message)
            for fault in refusal.faults
        ]
        details.append(BadRequest(field_violations=faults))
    if refusal.retry_after and not isinstance(refusal, OutcomeUnknown):
        details.append(RetryInfo(retry_delay=Duration(seconds=refusal.retry_after)))
        trailing.append((PUSHBACK, str(refusal.retry_after * 1000)))
    status = Status(code=number, message=refusal.text, details=[_packed(detail) for detail in details])
    trailing.append((DETAILS, status.SerializeToString()))
    await context.abort(code, refusal.text, tuple(trailing))


def _packed(detail: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(detail)
    return packed
