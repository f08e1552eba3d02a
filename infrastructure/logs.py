"""Logs as JSON lines, with the levels that the originals knew."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, msg, logger, and what the call gave as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": "WARN" if record.levelno == logging.WARNING else record.levelname,
            "msg": record.getMessage(),
            "logger": record.name,
        }
        line.update((name, value) for name, value in record.__dict__.items() if name not in _OWN)
        if record.exc_info and record.exc_info[0] is not None:
            # Where it happened and what kind it was; the words of an exception may hold a value.
            line["exception"] = record.exc_info[0].__name__
            line["trace"] = _frames(record.exc_info[2])
        return msgspec.json.encode(line, enc_hook=str).decode()


def _frames(trace: Any) -> list[str]:
    frames: list[str] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return frames


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every log line of the process to `stream` (default: standard output) from a level on."""
    # A log that cannot be written must not fill standard error with tracebacks.
    logging.raiseExceptions = False
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(LEVELS[level], logging.INFO))
    logging.getLogger("usersd").setLevel(LEVELS[level])
    for chatty in ("apscheduler", "nats", "psycopg.pool", "_granian", "granian"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
