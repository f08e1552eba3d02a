"""A shell in which the commands of the runbook are typed, and the address of a database as they have it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict

WITHIN = 60.0


class Terminal:
    """One shell in which everything is typed, so that what was set before still holds."""

    def __init__(self, home: Path, environ: dict[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["bash"], cwd=home, env=environ, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def type(self, block: str, code: int = 0) -> str:
        """Type some commands; what they have printed. The last one ends with a code."""
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.write(f"{block}\necho end-of-block $?\n")
        self._shell.stdin.flush()
        printed: list[str] = []
        for line in self._shell.stdout:
            if line.startswith("end-of-block"):
                assert line == f"end-of-block {code}\n", "".join(printed)
                return "".join(printed)
            printed.append(line)
        raise AssertionError("".join(printed))

    def close(self) -> None:
        assert self._shell.stdin
        self._shell.stdin.close()
        self._shell.wait(WITHIN)
        assert self._shell.stdout
        self._shell.stdout.close()


def uri(conninfo: str) -> str:
    """The same place in the form in which the page has it."""
    parts = conninfo_to_dict(conninfo)
    where = {"host": parts["host"], "port": parts.get("port", "5432")}
    return f"postgresql://{quote(str(parts['user']))}@/{parts['dbname']}?{urlencode(where)}"
