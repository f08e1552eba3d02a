"""The document against the running service: every check of schemathesis, valid and invalid, with links."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from interfaces.http.openapi.examples import REQUESTS
from tests.support.program import Program, program
from tests.support.service import ADMIN, SECRET, bearer

HERE = Path(__file__).parent
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
SECONDS = 540

pytestmark = pytest.mark.timeout(SECONDS + 60)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What schemathesis found out about `usersd run`, started for it alone."""
    path = tmp_path_factory.mktemp("schemathesis") / "report.json"
    with program(MG_USERS_ACCESS_TOKEN_DURATION="1h") as usersd:
        usersd.start()
        command = [
            str(SCHEMATHESIS), "--config-file", str(HERE / "schemathesis.toml"), "run", "--no-color",
            "--report", "json", "--report-json-path", str(path), f"{usersd.url}/openapi.json",
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=path.parent, env=os.environ | _who(usersd), check=False, capture_output=True,
            text=True, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def _who(usersd: Program) -> dict[str, str]:
    """Who asks, and somebody for changes to be made to."""
    with httpx.Client(base_url=usersd.url, trust_env=False) as http:
        token = http.post("/users/tokens/issue", json=ADMIN).json()["access_token"]
        admin = http.get("/users/profile", headers=bearer(token)).json()
        account = {"credentials": {"identity": "subject@example.com", "secret": SECRET}}
        subject = http.post("/users", json=account).json()
        for example in REQUESTS["register"].values():
            # Those whom the examples of logins are about.
            assert http.post("/users", json=example).status_code == 201
    service = json.loads(usersd.cli("clients", "add", "tester", "--scope", "introspect", "--json").out)
    shown = f"{service['id']}:{service['secret']}"
    return {
        "USERSD_URL": usersd.url,
        "USERSD_ADMIN": json.dumps(ADMIN | {"id": admin["id"]}),
        "USERSD_SUBJECT": subject["id"],
        "USERSD_SERVICE": f"Basic {base64.b64encode(shown.encode()).decode()}",
        "PYTHONPATH": str(HERE.parents[1]),
    }


def test_nothing_that_the_document_says_is_untrue(report: dict[str, Any]) -> None:
    assert report["failures"] == []
    assert report["errors"] == []
    assert report["complete"] is True
    assert report["operations"]["tested"] == report["operations"]["total"]
    assert {phase: told["status"] for phase, told in report["phases"].items()} == {
        "examples": "success", "coverage": "success", "fuzzing": "success", "stateful": "success"
    }  # fmt: skip


def test_it_was_tried_several_hundred_times_and_not_in_vain(report: dict[str, Any]) -> None:
    assert report["test_cases"]["generated"] > 1000
    # An operation that only ever refused would agree with any document.
    refusing = {
        operation
        for operation, phases in report["valid_rates"].items()
        if not any(rates["accepted"] for rates in phases.values())
    }
    # Whoever asks keeps their secret, or nothing more is accepted; and reads no mail.
    assert refusing <= {"PATCH /users/secret", "PUT /password/reset", "GET /verify-email"}
    assert report["filtered"] < report["test_cases"]["generated"] / 10
