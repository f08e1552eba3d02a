"""Whatever names go round, nobody gives one up in vain and whoever can get theirs gets them."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from infrastructure.importing.followed import Name
from infrastructure.importing.names import Wanted, Wish

PEOPLE = 6
COLUMN = st.permutations(range(PEOPLE)) | st.lists(
    st.integers(0, PEOPLE + 1), min_size=PEOPLE, max_size=PEOPLE
)


def who(number: int) -> UUID:
    return UUID(int=number, version=4)


def name(kind: str, number: int) -> Name:
    return kind, bytes([number])


class World:
    """Who has which names, and who is to have which."""

    def __init__(self, emails: list[int], usernames: list[int], keeping: set[int]) -> None:
        self.holders = {name(kind, one): who(one) for kind in ("email", "username") for one in range(PEOPLE)}
        self.targets = {
            who(one): {name("email", emails[one]), name("username", usernames[one])}
            for one in range(PEOPLE)
            if one not in keeping
        }

    def has(self, one: UUID) -> set[Name]:
        return {each for each, holder in self.holders.items() if holder == one}

    def wanted(self) -> Wanted:
        wishes = {
            one: Wish(gives=frozenset(self.has(one) - target), takes=frozenset(target - self.has(one)))
            for one, target in self.targets.items()
            if target != self.has(one)
        }
        return Wanted(wishes, dict(self.holders))

    def move(self) -> bool:
        """Let everybody move who can, until nobody can: whether anybody did."""
        moved = False
        for one, target in self.targets.items():
            if target != self.has(one) and all(self.holders.get(each, one) == one for each in target):
                for each in self.has(one):
                    del self.holders[each]
                self.holders |= dict.fromkeys(target, one)
                moved = True
        return moved


@given(COLUMN, COLUMN, st.sets(st.integers(0, PEOPLE - 1), max_size=2))
def test_whoever_gives_up_a_name_gets_the_one_they_wish(
    emails: list[int], usernames: list[int], keeping: set[int]
) -> None:
    world = World(emails, usernames, keeping)
    gave_up: set[UUID] = set()
    for _ in range(4 * PEOPLE):
        while world.move():
            pass
        if not (rings := world.wanted().in_rings()):
            break
        assert not gave_up & rings.keys()
        for one, names in rings.items():
            assert names
            gave_up.add(one)
            for each in names:
                assert world.holders.pop(each) == one
    assert all(world.has(one) == world.targets[one] for one in gave_up)
    if not keeping and len(set(emails)) == len(set(usernames)) == PEOPLE:
        assert all(world.has(one) == target for one, target in world.targets.items())
