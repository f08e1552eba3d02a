"""How lists are found among 50,000 users: one statement, by indexes, whatever is asked for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import psycopg
import pytest

from application.listing import Direction, Order, Part, Place, UserFilter
from domain.values import Role, Status
from infrastructure.postgres.pool import SETTLED
from projections.users import counting, listing
from tests.support.crowd import fill
from tests.support.databases import Databases
from tests.support.servers import SERVERS

USERS = 50_000
TABLE = "users_v1_g1"
ROWS_AT_MOST = 8000

ORDERS = [
    UserFilter(order=order, direction=direction, status=status)
    for order, direction, status in itertools.product(
        get_args(Order), get_args(Direction), (Status.ENABLED, Status.DELETED, None)
    )
]
BROAD = [
    UserFilter(email="example"),
    UserFilter(email="us"),
    UserFilter(username="user", order="created_at", direction="asc"),
    UserFilter(username="user", role=Role.USER),
    UserFilter(role=Role.USER, order="email"),
    UserFilter(first_name="ada", order="last_name"),
    UserFilter(last_name="řák"),
    UserFilter(all_tags=("sensor",), order="username"),
    UserFilter(metadata={"plan": "basic"}, order="first_name"),
    UserFilter(created_to=datetime(2026, 1, 20, tzinfo=UTC), order="created_at"),
]
SELECTIVE = [
    UserFilter(email="user12345@"),
    UserFilter(email="nobody"),
    UserFilter(email="USER1234"),
    UserFilter(username="user4321", order="created_at", direction="asc"),
    UserFilter(username="user777", role=Role.USER),
    UserFilter(first_name="nowhere", status=None),
    UserFilter(last_name="小龙女", username="user123"),
    UserFilter(first_name="zo", email="@site77."),
    UserFilter(identity="user777@site1.example.com"),
    UserFilter(identity="user777@site1.example.com", status=None),
    UserFilter(name="CLIENT 150", status=None),
    UserFilter(id="5f0c5e0a-6f0c-4b67-8d1f-0d5a4b6c7e8f"),
    UserFilter(id="ab"),
    UserFilter(role=Role.ADMIN, order="email"),
    UserFilter(all_tags=("sensor", "site-5")),
    UserFilter(any_tags=("site-5", "site-6"), order="email"),
    UserFilter(all_tags=("none",), status=None),
    UserFilter(metadata={"number": 77}),
    UserFilter(metadata={"site": 7, "plan": "basic"}, order="last_name", direction="asc"),
    UserFilter(created_from=datetime(2026, 1, 9, tzinfo=UTC), created_to=datetime(2026, 1, 10, tzinfo=UTC)),
]
BY_SCAN_OF_AN_INDEX = [
    UserFilter(id="abc"),
    UserFilter(id="abcdef012"),
    UserFilter(id="4-a", status=None),
    UserFilter(email="@s_t"),
]
NEARLY_ALL = [
    UserFilter(email="example.com"),
    UserFilter(email="example.com", role=Role.USER, status=None),
    UserFilter(username="user", order="created_at"),
    UserFilter(all_tags=("sensor",)),
    UserFilter(all_tags=("sensor",), status=None, order="email"),
    UserFilter(any_tags=("sensor", "site-1"), role=Role.USER),
    UserFilter(metadata={"plan": "basic"}),
    UserFilter(metadata={"plan": "basic"}, all_tags=("sensor",), order="first_name"),
]
JANUARY = datetime(2026, 1, 20, tzinfo=UTC)
PLAINLY = [
    # Half of the disabled are among them, and few of the enabled: what each status holds nearby misleads.
    (UserFilter(email="0@site1", status=None), "email LIKE '%0@site1%'"),
    (UserFilter(email="0@site1", status=None, order="created_at"), "email LIKE '%0@site1%'"),
    # As many as are too many to be held, and none of them at the beginning of the order.
    (UserFilter(first_name="ada", status=None, order="last_name"), "first_name LIKE '%ada%'"),
    (
        UserFilter(email="example", all_tags=("sensor",), order="username"),
        "email LIKE '%example%' AND 'sensor' = ANY(tags)",
    ),
    (
        UserFilter(username="us", metadata={"plan": "basic"}),
        "username LIKE 'us%' AND metadata ->> 'plan' = 'basic'",
    ),
    (
        UserFilter(all_tags=("sensor",), created_to=JANUARY, order="email"),
        "'sensor' = ANY(tags) AND created_at <= '2026-01-20T00:00:00Z'",
    ),
    (
        UserFilter(all_tags=("sensor",), created_to=JANUARY, order="created_at"),
        "'sensor' = ANY(tags) AND created_at <= '2026-01-20T00:00:00Z'",
    ),
    (UserFilter(all_tags=("sensor", "site-5"), role=Role.USER), "'site-5' = ANY(tags) AND role = 'user'"),
    (UserFilter(any_tags=("site-5", "sensor"), role=Role.ADMIN, status=None), "role = 'admin'"),
    (
        UserFilter(metadata={"plan": "basic"}, any_tags=("site-1", "site-2"), direction="asc"),
        "('site-1' = ANY(tags) OR 'site-2' = ANY(tags))",
    ),
    (UserFilter(id="abc", status=None), "id::text LIKE '%abc%'"),
    (UserFilter(id="-4A", order="first_name"), "id::text LIKE '%-4a%'"),
    (UserFilter(id="4a", email="site1"), "id::text LIKE '4a%' AND email LIKE '%site1%'"),
    (UserFilter(id="a-4", role=Role.USER), "id::text LIKE '%a-4%' AND role = 'user'"),
]


def title(filter: UserFilter) -> str:
    """What a filter says that is not said of itself."""
    plain = msgspec.structs.asdict(UserFilter())
    said = {name: value for name, value in msgspec.structs.asdict(filter).items() if value != plain[name]}
    return " ".join(f"{name}={value}" for name, value in said.items()) or "everybody"


@pytest.fixture(scope="module", params=SERVERS)
def crowd(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """A connection as lists use it, on a database with many users."""
    name = "databases" if request.param == "PostgreSQL 18" else "databases_15"
    chosen: Databases = request.getfixturevalue(name)
    with chosen.fresh() as conninfo:
        fill(conninfo, USERS)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(SETTLED)
            yield connection


def plan(connection: psycopg.Connection, filter: UserFilter, part: Part) -> list[dict[str, Any]]:
    """Every node of the plan of a page, as it was run."""
    query, values = listing.page(filter, part, cards=False)
    text = b"EXPLAIN (ANALYZE, FORMAT JSON) " + query.as_bytes(connection)
    row = connection.execute(text, values, prepare=False).fetchone()
    assert row is not None
    found, waiting = [], [row[0][0]["Plan"]]
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += node.get("Plans", [])
    return found


def fetched(nodes: list[dict[str, Any]]) -> float:
    """How many rows of the table were read beside those counted in an index alone."""
    rows: float = sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in nodes
        if node.get("Relation Name") == TABLE and node["Node Type"] != "Index Only Scan"
    )
    return rows


def ids(connection: psycopg.Connection, filter: UserFilter, part: Part) -> list[tuple[Any, Any]]:
    query, values = listing.page(filter, part, cards=False)
    rows = connection.execute(query, values, prepare=False).fetchall()
    return [(row[2], row[1]) for row in rows if row[1] is not None]


def everybody(connection: psycopg.Connection, filter: UserFilter, where: str) -> list[tuple[Any, Any]]:
    """All whom a filter lets through, in order, by the plainest statement: no walk, no limit."""
    sort = {"updated_at": "changed_at"}.get(filter.order, filter.order)
    statuses = [filter.status.value] if filter.status else ["enabled", "disabled", "deleted"]
    query = (
        f"SELECT {sort}, id FROM users_v1 WHERE status = ANY(%s) AND {where.replace('%', '%%')}"
        f" ORDER BY {sort} {filter.direction}, id {filter.direction}"
    )
    return connection.execute(query.encode(), (statuses,), prepare=False).fetchall()


@pytest.mark.parametrize(("filter", "where"), PLAINLY, ids=[title(filter) for filter, _ in PLAINLY])
def test_every_page_and_every_total_is_what_the_plainest_statement_finds(
    crowd: psycopg.Connection, filter: UserFilter, where: str
) -> None:
    found = everybody(crowd, filter, where)
    parts = [(Part(), 0), (Part(offset=300), 300), (Part(limit=100, offset=5000), 5000)]
    if len(found) > 500:
        parts.append((Part(after=Place(*found[500])), 501))
    for part, start in parts:
        query, values = listing.page(filter, part, cards=False)
        rows = crowd.execute(query, values, prepare=False).fetchall()
        assert rows[0][0] == len(found)
        assert ids(crowd, filter, part) == found[start : start + part.limit + 1]
    query, values = listing.total(filter)
    assert crowd.execute(query, values, prepare=False).fetchone() == (len(found),)


@pytest.mark.parametrize("filter", NEARLY_ALL, ids=title)
def test_what_nearly_all_meet_is_counted_without_the_table(
    crowd: psycopg.Connection, filter: UserFilter
) -> None:
    walked = listing.AHEAD * (1 if filter.status else 3)
    for part in (Part(), Part(offset=20)):
        assert fetched(plan(crowd, filter, part)) <= walked + 2 * (part.limit + 1)


def test_users_who_differ_too_much_for_an_index_are_counted_beside_the_others(
    crowd: psycopg.Connection,
) -> None:
    filter = UserFilter(all_tags=("sensor",), metadata={"plan": "basic"})
    query, values = listing.page(filter, Part(), cards=False)
    before = crowd.execute(query, values, prepare=False).fetchall()[0][0]
    long = "UPDATE users_v1 SET brief = false WHERE username IN ('user11', 'user12', 'user13')"
    with crowd.transaction(force_rollback=True):
        crowd.execute(long)
        assert crowd.execute(query, values, prepare=False).fetchall()[0][0] == before


@pytest.mark.parametrize("filter", [*BROAD, *SELECTIVE, *NEARLY_ALL, *BY_SCAN_OF_AN_INDEX], ids=title)
def test_a_total_that_may_be_cut_looks_at_so_many_and_no_more(
    crowd: psycopg.Connection, filter: UserFilter
) -> None:
    nodes = plan(crowd, filter, Part(capped=True))
    entries = sum(node["Actual Rows"] for node in nodes if node["Node Type"] == "Index Only Scan")
    assert entries <= counting.WITHIN + counting.CAP + 3 * (listing.AHEAD + 1)
    assert fetched(nodes) <= 2 * listing.MANY + listing.FARTHER
    query, values = listing.page(filter, Part(), cards=False)
    exact = crowd.execute(query, values, prepare=False).fetchall()[0][0]
    query, values = listing.page(filter, Part(capped=True), cards=False)
    cut = crowd.execute(query, values, prepare=False).fetchall()[0][0]
    assert cut == exact or counting.ENOUGH <= -cut <= exact


@pytest.mark.parametrize(
    "filter", [UserFilter(), UserFilter(role=Role.ADMIN), UserFilter(status=None)], ids=title
)
def test_whom_status_and_role_alone_decide_is_counted_in_the_totals(
    crowd: psycopg.Connection, filter: UserFilter
) -> None:
    query, values = listing.total(filter)
    text = b"EXPLAIN " + query.as_bytes(crowd)
    lines = "\n".join(line for (line,) in crowd.execute(text, values, prepare=False))
    assert "signups_v1_g1_totals" in lines
    assert TABLE not in lines


@pytest.mark.parametrize(
    "filter", [*ORDERS, *BROAD, *SELECTIVE, *BY_SCAN_OF_AN_INDEX, *NEARLY_ALL], ids=title
)
def test_no_page_scans_the_table(crowd: psycopg.Connection, filter: UserFilter) -> None:
    first = ids(crowd, filter, Part(limit=100, offset=900))
    places = [Place(*first[-1])] if first else []
    for part in (Part(), Part(offset=300), *(Part(after=place) for place in places)):
        nodes = plan(crowd, filter, part)
        assert not [node for node in nodes if node["Node Type"] == "Seq Scan"]


@pytest.mark.parametrize("filter", ORDERS, ids=title)
def test_a_deep_page_by_cursor_reads_no_more_than_the_first(
    crowd: psycopg.Connection, filter: UserFilter
) -> None:
    many = ids(crowd, filter, Part(limit=1, offset=0 if filter.status is Status.DELETED else 40_000))
    for part in (Part(), Part(after=Place(*many[0]))):
        nodes = plan(crowd, filter, part)
        assert fetched(nodes) <= 2 * (part.limit + 1)
        walked = [
            node["Actual Rows"]
            for node in nodes
            if node["Node Type"] == "Index Only Scan" and TABLE in node.get("Alias", TABLE)
        ]
        # The longest of them counts; the others find the places.
        assert all(rows <= part.limit + 1 for rows in sorted(walked)[:-1])


@pytest.mark.parametrize("filter", SELECTIVE, ids=title)
def test_what_few_meet_is_not_looked_for_along_the_order(
    crowd: psycopg.Connection, filter: UserFilter
) -> None:
    assert fetched(plan(crowd, filter, Part())) <= ROWS_AT_MOST


@pytest.mark.parametrize("filter", BROAD, ids=title)
def test_what_many_meet_is_not_sorted(crowd: psycopg.Connection, filter: UserFilter) -> None:
    for node in plan(crowd, filter, Part()):
        if node["Node Type"] == "Sort":
            assert node["Actual Rows"] <= 2 * listing.MANY
            assert node.get("Sort Space Type", "Memory") == "Memory"
