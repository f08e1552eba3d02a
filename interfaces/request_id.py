"""The id of the request that is being answered, for whatever is logged on its account."""

from __future__ import annotations

from contextvars import ContextVar

REQUEST_ID: ContextVar[str] = ContextVar("usersd_request_id", default="")
"""Set by each interface as a request comes in; its task, and every task begun in it, sees it."""
