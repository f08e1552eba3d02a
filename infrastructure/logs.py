"""Logs as JSON lines, with the levels that the originals knew."""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import msgspec

from interfaces.request_id import REQUEST_ID

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}

OURS = "usersd"
"""The logger above all of this service's own. What libraries say is shown from warnings on."""

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

# JSON lets these through, and a terminal or a reader of lines acts upon them: DEL, C1, the separators and
# marks of direction of Unicode.
_ACTED_UPON = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")

_marks: dict[str, str] = {}

log = logging.getLogger(OURS)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, msg, logger, whose it is, and what the call gave as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": _level(record.levelno),
            "msg": _words(record),
            "logger": record.name,
            **_marks,
        }
        if request_id := REQUEST_ID.get():
            line["request_id"] = request_id
        line.update((name, value) for name, value in record.__dict__.items() if name not in _OWN)
        if record.exc_info and record.exc_info[0] is not None:
            # Where it happened and what kind it was; the words of an exception may hold a value.
            line["exception"] = record.exc_info[0].__name__
            line["trace"] = _frames(record.exc_info[2])
        return _ACTED_UPON.sub(lambda found: f"\\u{ord(found[0]):04x}", _encoded(line))


def _level(number: int) -> str:
    """The names of the originals: there is nothing above an error, and nothing between two levels."""
    if number >= logging.ERROR:
        return "ERROR"
    if number >= logging.WARNING:
        return "WARN"
    return "INFO" if number >= logging.INFO else "DEBUG"


def _words(record: logging.LogRecord) -> str:
    try:
        said = record.getMessage()
    except Exception:
        # Better the words without what belongs into them than no line at all.
        said = str(record.msg)
    if not record.name.startswith(OURS):
        # Further down libraries show what they were working with: a value, an exception and its words.
        return said.partition("\n")[0]
    return said


def _encoded(line: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(line, enc_hook=str).decode()
    except (TypeError, ValueError, OverflowError):
        # Half of a surrogate pair, or a number too large for JSON: the line is worth more than its form.
        plain = {
            name: str(value).encode("utf-8", "backslashreplace").decode() for name, value in line.items()
        }
        return msgspec.json.encode(plain | {"time": line["time"]}).decode()


def _frames(trace: Any) -> list[str]:
    frames: list[str] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return frames


def marks() -> Mapping[str, str]:
    """What every line of this process says of whose it is."""
    return _marks


def configure(level: str, stream: TextIO | None = None, of: Mapping[str, str] | None = None) -> None:
    """Send every log line of the process to `stream` (default: standard output) from a level on.

    `of` stands in every line: the role and the instance id. Warnings of Python and what ends the process, or
    one of its threads, without being caught become lines too.
    """
    # A log that cannot be written must not fill standard error with tracebacks.
    logging.raiseExceptions = False
    _marks.clear()
    _marks.update(of or {})
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(LEVELS[level], logging.WARNING))
    logging.getLogger(OURS).setLevel(LEVELS[level])
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_a_thread


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical("ended by %s, which nothing took care of", kind.__name__, exc_info=(kind, error, trace))


def _uncaught_in_a_thread(fallen: threading.ExceptHookArgs) -> None:
    if fallen.exc_value is not None:
        _uncaught(fallen.exc_type, fallen.exc_value, fallen.exc_traceback)
