"""The version after this one: a copy of the packages with one more migration and another read model."""

from __future__ import annotations

import shutil
from pathlib import Path

from infrastructure.postgres.migrate import known

ROOT = Path(__file__).parents[2]
PACKAGES = ("domain", "application", "projections", "interfaces", "infrastructure")

# What a later version may do beside this one: whatever only adds.
MIGRATION = """-- Programs that know {last:04} can go on beside this.
CREATE TABLE of_the_next_version (id int PRIMARY KEY);
DO $$
DECLARE one text;
BEGIN
    FOR one IN SELECT tablename FROM pg_tables
               WHERE schemaname = current_schema() AND tablename !~ '_v[0-9]+(_|$)' LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN of_the_next_version text', one);
    END LOOP;
END $$;
"""


def make(folder: Path) -> str:
    """Make it in a folder; answers the name of its migration."""
    for package in PACKAGES:
        # With what is compiled already: the files keep their times.
        shutil.copytree(ROOT / package, folder / package)
    last = known()[-1].number
    name = f"{last + 1:04}_of_the_next_version"
    migrations = folder / "infrastructure" / "postgres" / "migrations"
    (migrations / f"{name}.sql").write_text(MIGRATION.format(last=last))
    _reshape(folder)
    return name


def _reshape(folder: Path) -> None:
    """The read model `users` in its next version: other tables, and all that is read from them."""
    changed = 0
    for file in folder.rglob("*.py"):
        text = file.read_text()
        if "users_v1" in text:
            file.write_text(text.replace("users_v1", "users_v2"))
            changed += 1
    projector = folder / "projections" / "users" / "projector.py"
    text = projector.read_text()
    assert text.count("version: ClassVar[int] = 1\n") == 1
    projector.write_text(text.replace("version: ClassVar[int] = 1\n", "version: ClassVar[int] = 2\n"))
    assert changed, "no reader names the table of the read model any more"
