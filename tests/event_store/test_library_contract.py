"""The eventsourcing library's own contract tests, run against our recorders."""

from __future__ import annotations

from contextlib import ExitStack
from typing import ClassVar

import pytest
from eventsourcing.tests import persistence

from infrastructure.event_store.memory import MemoryRecorder
from infrastructure.event_store.recorder import UsersRecorder
from tests.event_store.recorders import recorder_on


class _OnPostgres:
    server: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _database(self, request: pytest.FixtureRequest) -> object:
        with ExitStack() as stack:
            conninfo = stack.enter_context(request.getfixturevalue(self.server).fresh())
            self._recorder = stack.enter_context(recorder_on(conninfo))
            yield

    def create_recorder(self) -> UsersRecorder:
        return self._recorder


class TestRecorderOnPostgres18(_OnPostgres, persistence.ApplicationRecorderTestCase[UsersRecorder]):
    server = "databases"


class TestPositionsDoNotInterleaveOnPostgres18(
    _OnPostgres, persistence.NonInterleavingNotificationIDsBaseCase
):
    server = "databases"


@pytest.mark.system
class TestRecorderOnPostgres15(_OnPostgres, persistence.ApplicationRecorderTestCase[UsersRecorder]):
    server = "databases_15"


@pytest.mark.system
class TestPositionsDoNotInterleaveOnPostgres15(
    _OnPostgres, persistence.NonInterleavingNotificationIDsBaseCase
):
    server = "databases_15"


class TestRecorderInMemory(persistence.ApplicationRecorderTestCase[MemoryRecorder]):
    def create_recorder(self) -> MemoryRecorder:
        return MemoryRecorder()

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestPositionsDoNotInterleaveInMemory(persistence.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> MemoryRecorder:
        return MemoryRecorder()
