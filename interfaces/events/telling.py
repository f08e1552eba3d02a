"""What every form of public message comes down to: a subject, bytes and headers, ready for the bus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

Pii = Literal["full", "none"]
"""Whether messages hold what is personal, or only ids, plain fields and the names of what changed."""

Mode = Literal["structured", "binary"]
"""Whether the attributes of a CloudEvent stand around its data, or in the headers beside it."""


class Telling(msgspec.Struct, frozen=True):
    """One message. Its id is the same whenever the same event is told in the same form, and no other
    message of a stream has it."""

    message_id: str
    subject: str
    body: bytes
    headers: Mapping[str, str] = {}
