"""Which build this is: what was written into the wheel when it was made, or plainly that nobody knows."""

from __future__ import annotations

from importlib.resources import files

import msgspec

FILE = "provenance.json"
"""Beside this module in a wheel; see hatch_build.py. A checkout has none."""


class Provenance(msgspec.Struct, frozen=True):
    """The commit and the time of a build, in whatever words the builder gave them."""

    commit: str = "unknown"
    build_time: str = "unknown"


def provenance() -> Provenance:
    file = files("infrastructure") / FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Provenance)
    except (OSError, msgspec.MsgspecError):
        return Provenance()
