"""Which files of tests are begun first: several processes end together when none is left with a slow file."""

from __future__ import annotations

SLOW = (
    "tests/projections/test_rebuild.py",
    "tests/contract/test_schemathesis.py",
    "tests/projections/test_parked.py",
    "tests/e2e/test_footing.py",
    "tests/e2e/test_keys.py",
    "tests/projections/test_poison.py",
    "tests/e2e/test_walk.py",
    "tests/projections/test_parallel_rebuild.py",
    "tests/projections/test_status.py",
    "tests/integrity/test_restored_backup.py",
    "tests/projections/test_verify.py",
    "tests/e2e/test_kill_refresh.py",
    "tests/projections/test_pause.py",
    "tests/http/test_access.py",
    "tests/nats/test_mirror.py",
    "tests/nats/test_relay_failures.py",
    "tests/fuzz/test_a_short_fuzz.py",
    "tests/properties/test_mapper.py",
    "tests/e2e/test_roles.py",
    "tests/embedded/test_users_and_privacy.py",
    "tests/projections/test_list_plans.py",
    "tests/erasure/test_crashes.py",
    "tests/erasure/test_proof.py",
    "tests/e2e/test_outages.py",
    "tests/contract/test_old_clients.py",
    "tests/e2e/test_stopping.py",
    "tests/projections/test_ownership.py",
    "tests/embedded/test_violence.py",
    "tests/soak/test_a_short_soak.py",
    "tests/scaling/test_read_replica.py",
    "tests/embedded/test_start_and_stop.py",
    "tests/e2e/test_kill.py",
)
"""The slowest first, as `pytest --durations=0` shows them on two cores."""

_TURN = {path: turn for turn, path in enumerate(SLOW)}


def turn(path: str) -> int:
    """Where a file stands in line; those that are not listed come last, in their own order."""
    return _TURN.get(path, len(_TURN))
