"""Every migration says whether older programs can go on beside it: a rollout passes through both at once."""

from __future__ import annotations

from infrastructure.postgres.migrate import known

UNDECLARED = 12
"""The last migration from before there were rollouts."""


def test_each_migration_lets_the_program_before_it_go_on() -> None:
    left_behind = [
        migration.name
        for migration in known()
        if migration.number > UNDECLARED and migration.oldest_program >= migration.number
    ]
    assert not left_behind, (
        f"{', '.join(left_behind)}: begin with `-- Programs that know NNNN can go on beside this.` and only "
        "add: what older programs read and write has to stay"
    )


def test_none_declares_for_programs_older_than_the_one_before_did() -> None:
    """Whoever can go on beside a later change has to bear all the earlier ones."""
    declared = [migration.oldest_program for migration in known()]
    assert declared == sorted(declared), (
        "a program would be let in by the last migration and not by one before"
    )
