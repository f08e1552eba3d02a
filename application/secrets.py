"""The one way to a new secret: registration, change and reset hold it to the same policy."""

from __future__ import annotations

from application.ports import Ports
from domain.errors import Fault, Invalid
from domain.values import check_secret


async def hash_new_secret(secret: str, ports: Ports, *, pointer: str, names: tuple[str | None, ...]) -> str:
    """The hash of a secret that may be set; `names` are the email and the username of its user.

    Raises Invalid, pointing at `pointer`, where the policy forbids it, and Overloaded.
    """
    rules = ports.rules
    if faults := list(check_secret(secret, pointer, allowed=rules.secret_allowed, names=names)):
        raise Invalid(*faults)
    if await rules.secret_breached(secret):
        raise Invalid(
            Fault(pointer, "This secret is in a list of stolen ones, which are tried first; choose another.")
        )
    return await ports.hasher.hash(secret)
