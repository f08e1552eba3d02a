"""Looking secrets up in a file of stolen ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.accounts.breached import BreachedSecrets, NoBreachList


def write(file: Path, secrets: list[str], *, end: str = "\n", counted: bool = True) -> Path:
    lines = sorted(hashlib.sha1(secret.encode()).hexdigest().upper() for secret in secrets)
    counts = (f":{number * 997}" if counted else "" for number in range(1, len(lines) + 1))
    file.write_bytes("".join(line + count + end for line, count in zip(lines, counts, strict=True)).encode())
    return file


@pytest.mark.parametrize(("end", "counted"), [("\n", True), ("\r\n", True), ("\n", False)])
async def test_every_secret_of_the_list_is_found_and_no_other(
    tmp_path: Path, end: str, counted: bool
) -> None:
    secrets = [f"secret-{number}" for number in range(1000)]
    breached = BreachedSecrets(write(tmp_path / "list", secrets, end=end, counted=counted))
    assert [secret for secret in secrets if not await breached.holds(secret)] == []
    assert not any([await breached.holds(f"another-{number}") for number in range(1000)])
    breached.close()


@given(st.sets(st.text(max_size=8), min_size=1, max_size=12), st.text(max_size=8))
async def test_a_list_of_any_length_knows_what_it_holds(secrets: set[str], other: str) -> None:
    with TemporaryDirectory() as folder:
        breached = BreachedSecrets(write(Path(folder, "list"), sorted(secrets)))
        assert [await breached.holds(secret) for secret in secrets] == [True] * len(secrets)
        assert await breached.holds(other) == (other in secrets)
        breached.close()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cannot be read"),
        (b"password\n123456\n", "no list of stolen secrets"),
        (b"F" * 40 + b"\n" + b"0" * 40 + b"\n", "not in the order"),
        (b"F" * 40 + b":many\n", "no list of stolen secrets"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "list"
    file.write_bytes(content)
    with pytest.raises(NoBreachList, match=reason):
        BreachedSecrets(file)


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoBreachList, match="cannot be read"):
        BreachedSecrets(tmp_path / "nothing")
