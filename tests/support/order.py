"""Which files of tests are begun first: several processes end together when none is left with a slow file."""

from __future__ import annotations

SLOW = (
    "tests/contract/test_schemathesis.py",
    "tests/e2e/test_outages.py",
    "tests/erasure/test_commands.py",
    "tests/projections/test_rebuild.py",
    "tests/nats/test_mirror.py",
    "tests/e2e/test_kill.py",
    "tests/e2e/test_walk.py",
    "tests/properties/test_lists.py",
    "tests/e2e/test_kill_refresh.py",
    "tests/erasure/test_crashes.py",
    "tests/e2e/test_keys.py",
    "tests/fuzz/test_a_short_fuzz.py",
    "tests/e2e/test_stopping.py",
    "tests/tokens/test_clients_command.py",
    "tests/integrity/test_restored_backup.py",
    "tests/projections/test_ownership.py",
    "tests/e2e/test_footing.py",
    "tests/nats/test_relay_failures.py",
    "tests/soak/test_a_short_soak.py",
)
"""The slowest first, as `pytest --durations=0` shows them on two cores."""

_TURN = {path: turn for turn, path in enumerate(SLOW)}


def turn(path: str) -> int:
    """Where a file stands in line; those that are not listed come last, in their own order."""
    return _TURN.get(path, len(_TURN))
