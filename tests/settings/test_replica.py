"""A standby that nobody would ask is refused at the start, with what it lacks."""

from __future__ import annotations

import pytest

from infrastructure.settings import SettingsError, load

KEY = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        ({"MG_USERS_DB_REPLICA_HOST": "standby"}, "MG_USERS_DB_HOST is not set"),
        ({"MG_USERS_DB_REPLICA_LISTS": "true"}, "MG_USERS_DB_REPLICA_HOST is not set"),
    ],
    ids=["no primary", "no standby"],
)
def test_a_standby_that_nobody_would_ask_is_refused(given: dict[str, str], lacking: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(given)
    assert [line for line in refused.value.lines if lacking in line]


def test_a_standby_has_what_the_primary_has_but_its_place() -> None:
    settings = load(
        {
            "MG_USERS_DB_HOST": "primary", "MG_USERS_DB_PORT": "5433", "MG_USERS_DB_USER": "ada",
            "MG_USERS_DB_REPLICA_HOST": "standby", "MG_USERS_ROOT_KEY": KEY,
        }
    ).settings  # fmt: skip
    primary, standby = settings.postgres_conninfo(), settings.postgres_replica_conninfo()
    assert primary is not None
    assert standby == primary.replace("host='primary'", "host='standby'")
