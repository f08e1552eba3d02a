"""One policy for every new secret, wherever it is set."""

from __future__ import annotations

from uuid import uuid4

import pytest

from application.commands.change_secret import ChangeSecret
from application.commands.register_user import RegisterUser
from domain import events
from domain.errors import Invalid
from domain.user import User
from tests.support.memory import SECRET, World


async def _stolen(secret: str) -> bool:
    return secret == "stolen words"


def registration(world: World, secret: str) -> RegisterUser:
    account = events.Registered(at=world.clock.now(), email="ada@example.com", username="ada-lovelace")
    return RegisterUser(account=account, user=User(id=uuid4()), secret=secret)


BAD = {
    "too short": "short",
    "too long for bcrypt": "x" * 73,
    "with a NUL": "nul\x00 inside",
    "the email": "Ada@Example.com",
    "the username": "ADA-lovelace",
    "a stolen one": "stolen words",
}


@pytest.mark.parametrize("secret", BAD.values(), ids=BAD)
async def test_a_registration_is_refused_a_bad_secret(secret: str) -> None:
    world = World(secret_breached=_stolen)
    with pytest.raises(Invalid) as refusal:
        await world.do(registration(world, secret))
    assert [fault.pointer for fault in refusal.value.faults] == ["/credentials/secret"]
    assert secret not in str(refusal.value)
    assert await world.log.head() == 0


@pytest.mark.parametrize("secret", BAD.values(), ids=BAD)
async def test_a_change_is_refused_a_bad_secret(secret: str) -> None:
    world = World(secret_breached=_stolen)
    ada = await world.user("ada-lovelace")
    assert ada.id
    await world.do(ChangeSecret(user_id=ada.id, old_secret=SECRET, new_secret="another good one"), ada)
    if secret == BAD["the email"]:
        secret = "Ada-Lovelace@Example.com"
    with pytest.raises(Invalid) as refusal:
        await world.do(ChangeSecret(user_id=ada.id, old_secret="another good one", new_secret=secret), ada)
    assert [fault.pointer for fault in refusal.value.faults] == ["/new_secret"]
