"""Invents users and what happens to them: from a seed and a number, the same person with the same life."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

import msgspec

from domain import decisions, events, requests
from domain.access import ANONYMOUS, SYSTEM, Actor
from domain.events import Event
from domain.user import User, evolve
from domain.values import Role, Status

SECRET: Final = "seeded secret 1"
"""Everybody's secret: it is no secret."""

SECRET_HASH: Final = "$2b$10$qkXiieO8GQxKRb7CLCIrCO5SUiXfjdoYzumiR8rJpt9gROm1uF5AG"
"""Its bcrypt hash, computed once: else hashing would be all that a seeding does."""

YEAR: Final = datetime(2025, 1, 1, tzinfo=UTC)
DAYS: Final = 365
ADMIN_EVERY: Final = 1000
"""One in so many is an admin from the beginning, the first one among them."""

_MARK: Final = b"usersd dev seed"

INVENTED: Final[LiteralString] = """
substr(sha256('usersd dev seed'::bytea || substr(uuid_send(user_id), 1, 12)), 1, 4)
    = substr(uuid_send(user_id), 13, 4)"""
"""Whether a user was invented, in SQL: the end of the id is a check over its beginning."""


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, plain or name.lower()) for name, _, plain in (w.partition("=") for w in text.split()))


FIRST: Final = _pairs(
    "Ada Grace Édouard=edouard Jürgen=juergen Mária=maria Olu Wei Yuki Zoë=zoe Tomás=tomas Amara "
    "Björn=bjoern Chloé=chloe Dmitri Élodie=elodie Fatima Gustav Hana İpek=ipek Jonas Kwame Leïla=leila "
    "Mateus Nikos Øyvind=oyvind Priya Quentin Rosa Søren=soren Thandiwe Ursula Vikram Wanjiru Xavier Yusuf "
    "Zofia 小龙=xiaolong Ольга=olga Γιάννης=giannis さくら=sakura 민준=minjun"
)
LAST: Final = _pairs(
    "Lovelace Hopper Dvořák=dvorak Müller=mueller Kovács=kovacs Adeyemi Zhang Tanaka García=garcia Berg "
    "Nakamura Okafor Petrović=petrovic Quispe Rossi Šimić=simic Thompson Ünal=unal Virtanen Weiß=weiss "
    "Yılmaz=yilmaz Żukowski=zukowski Andersson Baptiste Chukwu Delacroix Eriksen Fernández=fernandez "
    "Goldberg Haddad 王=wang 김=kim Иванова=ivanova Παπαδόπουλος=papadopoulos 佐藤=sato O'Neill=oneill"
)
_HOSTS = ("example.com", "example.org", "example.net", "mail.example.com", "bücher.example", "例え.example")
_ROLES = ("sensor", "gateway", "operator", "viewer")
_RARE = ("beta", "vip", "on-call", "grün", "überwachung")
_PLANS = ("basic", "basic", "basic", "basic", "plus", "plus", "enterprise")
_LOCALES = ("en", "de", "fr", "pt-BR", "zh-Hans", "ar")


class Act(msgspec.Struct, frozen=True):
    """One command of a life: who gave it, what came of it, and the id it had."""

    by: Actor
    event: Event
    command_id: UUID


class Life(msgspec.Struct, frozen=True):
    """An invented user, and everything that happened to them."""

    id: UUID
    acts: Sequence[Act]


class _Moment(msgspec.Struct, frozen=True):
    """Who a user is when something happens to them, who may do it, and a word that nobody else has."""

    user: User
    own: Actor
    admin: Actor
    at: datetime
    word: str
    dice: random.Random


_Happening = Callable[[_Moment], tuple[Actor, Sequence[Event]]]


def id_of(seed: int, number: int) -> UUID:
    """A UUID of version 4 to look at, whose last four bytes show that it was invented."""
    head = bytearray(hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=12).digest())
    head[6] = head[6] & 0x0F | 0x40
    head[8] = head[8] & 0x3F | 0x80
    return UUID(bytes=bytes(head) + hashlib.sha256(_MARK + head).digest()[:4])


def life(seed: int, number: int, events_per_user: int) -> Life:
    """The life of one user: registered first, then what the dice say, as far as the domain allows it."""
    dice = random.Random(f"{seed}/{number}")  # noqa: S311
    user = User(id=id_of(seed, number))
    admin = Actor("user", id_of(seed, 0), Role.ADMIN, "access", verified=True)
    # Registrations grow over the year; what follows lies between them and its end.
    at = YEAR + timedelta(days=DAYS * max(dice.random(), dice.random()))
    by = ANONYMOUS if number % ADMIN_EVERY else SYSTEM
    wish = registration(dice, seed, number, at)
    acts: list[Act] = []
    for event in decisions.register(wish, by=by, self_register=True):
        acts.append(Act(by, event, _command_id(dice)))
        user = evolve(user, event)
    for _ in range(sum(dice.random() < 0.5 for _ in range(2 * (events_per_user - 1)))):
        at += (YEAR + timedelta(days=DAYS) - at) * (dice.random() / 2)
        word = hashlib.blake2b(f"{seed}/{number}/{len(acts)}".encode(), digest_size=8).hexdigest()
        own = Actor("user", user.id, user.role, "access", user.is_verified)
        by, decided = _happening(user, dice)(_Moment(user, own, admin, at, word, dice))
        for event in decided:
            acts.append(Act(by, event, _command_id(dice)))
            user = evolve(user, event)
    return Life(user.id, acts)


def registration(dice: random.Random, seed: int, number: int, at: datetime) -> events.Registered:
    """What somebody registers with."""
    (first, plain_first), (last, plain_last) = dice.choice(FIRST), dice.choice(LAST)
    tag = f"{number}" if seed == 1 else f"{number}s{seed}"
    site = min(int(dice.expovariate(0.05)), 499)
    host = f"site{site}.example.com" if dice.random() < 0.7 else dice.choice(_HOSTS)
    local = f"{first}.{last}".lower() if dice.random() < 0.05 else f"{plain_first}.{plain_last}"
    mainflux = dice.random() < 0.05
    return events.Registered(
        at=at,
        email=f"{local}{tag}@{host}",
        username=None if mainflux else f"{plain_first[:12]}{tag}",
        first_name="" if mainflux else first,
        last_name="" if mainflux else last,
        name=f"{first} {last}" if mainflux else "",
        tags=_tags(dice, site),
        metadata=_metadata(dice, number, site),
        private_metadata={"source": "invented"} if dice.random() < 0.1 else {},
        role=Role.USER if number % ADMIN_EVERY else Role.ADMIN,
        dialect="mainflux" if mainflux else "magistrala",
    )


def _tags(dice: random.Random, site: int) -> list[str]:
    tags = ["iot"] if dice.random() < 0.9 else []
    tags += [dice.choice(_ROLES)] if dice.random() < 0.6 else []
    tags += [f"site-{site}"] if dice.random() < 0.5 else []
    return tags + ([dice.choice(_RARE)] if dice.random() < 0.005 else [])


def _metadata(dice: random.Random, number: int, site: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {"plan": dice.choice(_PLANS), "locale": dice.choice(_LOCALES)}
    if dice.random() < 0.7:
        metadata["site"] = {"number": site, "floor": dice.randrange(12)}
    if dice.random() < 0.02:
        metadata["customer"] = number
    return metadata


def _verified(now: _Moment) -> tuple[Actor, Sequence[Event]]:
    mail = Actor("user", now.user.id, now.user.role, "mail", now.user.is_verified)
    return mail, requests.verify_email(now.user, by=mail, at=now.at)


def _updates_profile(now: _Moment) -> tuple[Actor, Sequence[Event]]:
    changed = dict(now.user.metadata) | {"note": now.word[:4], "plan": now.dice.choice(_PLANS)}
    wish = events.ProfileUpdated(by=now.user.id, at=now.at, metadata=changed)
    if now.dice.random() < 0.3:
        wish = events.ProfileUpdated(
            by=now.user.id, at=now.at, last_name=now.dice.choice(LAST)[0], metadata=changed
        )
    return now.own, decisions.update_profile(now.user, wish, by=now.own)


def _changes_tags(now: _Moment) -> tuple[Actor, Sequence[Event]]:
    tags = [*now.user.tags[:4], f"note-{now.word[:4]}"]
    return now.own, decisions.change_tags(now.user, tags, by=now.own, at=now.at)


def _changes_picture(now: _Moment) -> tuple[Actor, Sequence[Event]]:
    picture = f"https://pictures.example.com/{now.word}.png"
    return now.own, decisions.change_picture(now.user, picture, by=now.own, at=now.at)


def _changes_secret(now: _Moment) -> tuple[Actor, Sequence[Event]]:
    return now.own, decisions.change_secret(now.user, by=now.own, at=now.at)


def _changes_email(now: _Moment) -> tuple[Actor, Sequence[Event]]:
    email = f"moved.{now.word}@{now.dice.choice(_HOSTS)}"
    return now.own, decisions.change_email(now.user, email, by=now.own, at=now.at)


def _disabled(now: _Moment) -> tuple[Actor, Sequence[Event]]:
    return now.admin, decisions.disable(now.user, by=now.admin, at=now.at)


def _enabled(now: _Moment) -> tuple[Actor, Sequence[Event]]:
    return now.admin, decisions.enable(now.user, by=now.admin, at=now.at)


def _deletes(now: _Moment) -> tuple[Actor, Sequence[Event]]:
    return now.own, decisions.delete(now.user, by=now.own, at=now.at)


def _promoted(now: _Moment) -> tuple[Actor, Sequence[Event]]:
    return now.admin, decisions.change_role(now.user, Role.ADMIN, by=now.admin, at=now.at)


_OF_ANYONE: Sequence[tuple[float, _Happening]] = (
    (20, _updates_profile),
    (10, _changes_tags),
    (5, _changes_secret),
    (4, _changes_picture),
    (3, _changes_email),
)
# The others depend on admins, who therefore stay what they are.
_OF_PLAIN_USERS: Sequence[tuple[float, _Happening]] = ((6, _disabled), (1, _deletes), (0.1, _promoted))


def _happening(user: User, dice: random.Random) -> _Happening:
    if user.status is not Status.ENABLED:
        return _enabled
    some = [*_OF_ANYONE, *(_OF_PLAIN_USERS if user.role is Role.USER else ())]
    if not user.is_verified:
        some.append((40, _verified))
    return dice.choices([one for _, one in some], [weight for weight, _ in some])[0]


def _command_id(dice: random.Random) -> UUID:
    return UUID(int=dice.getrandbits(128), version=4)
