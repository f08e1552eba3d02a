"""Every table that holds something of a user has a row in the table of erasers."""

from __future__ import annotations

import psycopg

from infrastructure.erasure.erasers import ERASERS, NOTHING_OF_A_USER
from projections.catalogue import READ_MODELS
from projections.readmodel import suffixes

_COLUMNS = """
SELECT c.table_name, array_agg(c.column_name::text)
FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' GROUP BY c.table_name"""

_EDIT = "edit ERASERS or NOTHING_OF_A_USER in infrastructure/erasure/erasers.py"


def tables(conninfo: str) -> dict[str, set[str]]:
    """The columns of every table; the generations of a read model under its name."""
    families = {
        f"{model.name}_v{model.version}_g1{suffix}": f"{model.name}{suffix}"
        for model in READ_MODELS
        for suffix in suffixes(model)
    }
    with psycopg.connect(conninfo) as connection:
        return {
            families.get(str(name), str(name)): set(columns) for name, columns in connection.execute(_COLUMNS)
        }


def test_every_table_of_the_database_has_an_eraser_or_holds_nothing_of_a_user(database: str) -> None:
    known = {eraser.table for eraser in ERASERS}
    assert not known & NOTHING_OF_A_USER
    assert tables(database).keys() == known | NOTHING_OF_A_USER, _EDIT


def test_a_table_with_the_id_of_a_user_is_never_said_to_hold_nothing(database: str) -> None:
    found = tables(database)
    for name in NOTHING_OF_A_USER:
        assert not found[name] & {"user_id", "stream_id", "email", "username"}, f"{name}: {_EDIT}"


def test_every_eraser_goes_by_a_column_that_there_is(database: str) -> None:
    found = tables(database)
    assert all(eraser.column in found[eraser.table] for eraser in ERASERS)


def test_what_stays_says_why() -> None:
    assert all(bool(eraser.why) == (eraser.what != "rows go") for eraser in ERASERS)


def test_read_models_are_emptied_in_all_their_generations() -> None:
    families = {eraser.table for eraser in ERASERS if eraser.family}
    assert families == {model.name for model in READ_MODELS}
