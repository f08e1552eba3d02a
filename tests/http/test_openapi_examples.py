"""The examples of the document: each fits its schema, the service accepts it, and answers as shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest

from infrastructure.accounts.clients import PostgresClientAdministration
from interfaces.http.openapi.examples import REQUESTS, SCHEMAS, USER_ID
from tests.http import served_document
from tests.http.answers import accepted, refused
from tests.http.served_document import operations
from tests.http.test_service_accounts import basic
from tests.support.service import Client, bearer


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return served_document.made()


def check(spec: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    whole = schema | {"components": spec["components"]}
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(value)


def examples(spec: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    """Every example with its schema, wherever it stands."""
    for schema in spec["components"]["schemas"].values():
        for example in schema.get("examples", ()):
            yield schema, example
    for _, _, operation in operations(spec):
        answers = operation["responses"].values()
        headers = [header for answer in answers for header in answer.get("headers", {}).values()]
        for place in [*operation["parameters"], *headers]:
            for example in place["schema"].get("examples", ()):
                yield place["schema"], example
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for example in content.get("examples", {}).values():
                yield content["schema"], example["value"]


def test_every_example_fits_its_schema(spec: dict[str, Any]) -> None:
    found = list(examples(spec))
    assert len(found) > 50
    for schema, example in found:
        check(spec, schema, example)


def test_every_operation_with_a_body_has_an_example(spec: dict[str, Any]) -> None:
    with_body = {
        operation["operationId"] for _, _, operation in operations(spec) if "requestBody" in operation
    }
    assert with_body == set(REQUESTS)


async def test_the_service_accepts_every_request_that_is_shown(client: Client, spec: dict[str, Any]) -> None:
    where = {operation["operationId"]: (method, path) for method, path, operation in operations(spec)}
    admin = await client.as_admin()
    administration = PostgresClientAdministration(client.service.pool.conninfo, lambda: datetime.now(UTC))
    gateway = basic(administration.add("gateway", ["introspect"]))
    user: dict[str, Any] = {}
    for name, bodies in REQUESTS.items():
        method, path = where[name]
        for title, body in bodies.items():
            target = path.replace("{user_id}", user.get("id", ""))
            headers = admin
            if name == "change_secret":
                login = {"identity": "augusta.ada@example.com", "secret": body["old_secret"]}
                tokens = accepted(await client.http.post("/users/tokens/issue", json=login), 201)
                headers = bearer(tokens["access_token"])
            if isinstance(body, str):
                lines = headers | {"Content-Type": "application/x-ndjson"}
                answer = await client.http.request(method, target, content=body, headers=lines)
                assert '"created":2' in answer.text.splitlines()[-1], f"{name}, {title}: {answer.text}"
                continue
            if path.startswith("/oauth/"):
                answer = await client.http.post(path, data=body, headers=gateway)
            else:
                answer = await client.http.request(method, target, json=body, headers=headers)
            if name == "reset":
                # Nobody was sent the token that is shown; what else it needs was there.
                refused(answer, 400, "invalid_request", "/token")
                continue
            assert answer.status_code in (200, 201, 204), f"{name}, {title}: {answer.text}"
            if not answer.content:
                continue
            schema = spec["paths"][path][method]["responses"][str(answer.status_code)]["content"]
            check(spec, schema["application/json"]["schema"], answer.json())
            if (name, title) == ("register", "the Magistrala way"):
                user = answer.json()


async def test_the_service_answers_with_what_is_shown(client: Client) -> None:
    body = REQUESTS["register"]["the Magistrala way"]
    user = accepted(await client.http.post("/users", json=body), 201)
    shown = SCHEMAS["Document"]
    assert list(user) == list(shown)
    for key in set(shown) - {"id", "created_at"}:
        assert user[key] == shown[key], key
    tokens = await client.login("ada", "changeMe123")
    assert list(tokens) == list(SCHEMAS["Tokens"])
    other = await client.register()
    stranger = await client.as_user(other["email"])
    card = accepted(await client.http.get(f"/users/{user['id']}", headers=stranger))
    assert card | {"id": USER_ID} == SCHEMAS["Card"]
    path = f"/users/{user['id']}/history"
    history = accepted(await client.http.get(path, headers=bearer(tokens["access_token"])))["history"]
    first = history[-1]
    assert set(first) == set(SCHEMAS["HistoryEntry"])
    assert (first["event"], first["by"]) == ("registered", {"kind": "anonymous"})
    problem = (await client.http.post("/users", json=body | {"email": ""})).json()
    assert problem | {"instance": ""} == SCHEMAS["Problem"] | {"instance": ""}
    health = accepted(await client.http.get("/health"))
    assert list(health) == list(SCHEMAS["Health"])
