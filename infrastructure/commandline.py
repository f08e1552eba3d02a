"""The program `usersd`: gives the command line its tools, and turns their faults into one clear line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from uuid import uuid4

from msgspec.structs import replace

from application.clients import ClientAdministration
from application.erasures import ErasureOperations
from application.exporting import Exports
from application.import_runs import Imports, UnfitSource
from application.integrity import IntegrityOperations, LogBehind, LogTorn
from application.key_operations import KeyOperations
from application.operations import Operations
from application.replaying import Replays
from application.seeding import Seeding
from application.statistics import Statistics
from infrastructure.accounts.clients import PostgresClientAdministration
from infrastructure.clock import SystemClock
from infrastructure.ending import Ended, ended_by_signals
from infrastructure.logs import configure
from infrastructure.mendable import plainly
from infrastructure.operations.keys import PostgresKeyOperations
from infrastructure.operations.projections import PostgresOperations
from infrastructure.operations.statistics import PostgresStatistics
from infrastructure.roles import Role
from infrastructure.server.asking import Asking
from infrastructure.settings import Loaded, Settings, SettingsError, describe, load
from infrastructure.settings.dormant import warning as dormant_warning
from infrastructure.settings.kinds import ROOT_KEY
from infrastructure.standing import (
    Keys,
    Standing,
    StandingError,
    attach,
    open_keys,
    prepare,
    stand,
    wait_until_prepared,
)
from interfaces.cli.main import main as run_command_line
from interfaces.cli.output import DIVERGED, USAGE
from interfaces.cli.tools import CommandFailed, Heard, Shown, Telemetry

Say = Callable[[str], None]


class WiredTools:
    """Implements the command line's Tools."""

    def settings(self) -> tuple[Sequence[Shown], Sequence[str]]:
        from infrastructure.server.trial import require_fit

        loaded = _load("run")
        return [Shown(*row) for row in describe(loaded)], [*_warnings(loaded), *require_fit(loaded)]

    def serve(self, role: str, say: Say) -> None:
        with contextlib.suppress(Ended), ended_by_signals():
            self._serve(role, say)

    def _serve(self, role: str, say: Say) -> None:
        # Imported here because only these commands need the HTTP server.
        from infrastructure.erasure.ledger import LedgerUnusable
        from infrastructure.event_store.appender import AppenderDied
        from infrastructure.first_admin import NoFirstAdmin
        from infrastructure.integrity.file import CheckpointFileUnusable
        from infrastructure.server.addresses import CannotListen
        from infrastructure.server.trial import UnfitCertificate, require_fit, try_out
        from infrastructure.serving import serve

        settings, chosen = _chosen(role, say, require_fit), Role(role)
        settings = replace(settings, instance_id=settings.instance_id or str(uuid4()))
        configure(settings.log_level, of={"role": role, "instance_id": settings.instance_id})
        with plainly(CannotListen):
            try_out(chosen, settings)
        unfit = (CannotListen, NoFirstAdmin, LedgerUnusable, CheckpointFileUnusable, UnfitCertificate)
        with plainly(*unfit, AppenderDied), _footing(chosen, settings, say) as standing:

            def ready(address: str) -> None:
                if standing.servers:
                    standing.servers.announce(http=address)
                name = "usersd" if chosen is Role.RUN else f"usersd {role}"
                say(f"{name} is ready at {address}   (end it with Ctrl-C)")

            keys = open_keys(standing)
            if chosen.answers or chosen is Role.SWEEPER:
                _require_whole_log(settings, standing, keys)
            serve(chosen, settings, standing, keys, ready)

    def health(self, role: str | None) -> Sequence[Heard]:
        return Asking(os.environ).health(role)

    def migrate(self, say: Say) -> None:
        with plainly(), attach(_chosen("migrate", say), create=True) as standing:
            prepare(standing, say)

    def keys(self) -> AbstractContextManager[KeyOperations]:
        return _keys()

    def root_key_in(self, file: Path) -> bytes:
        try:
            return ROOT_KEY.parse(file.read_text("ascii"))  # type: ignore[no-any-return]
        except (OSError, ValueError) as error:
            reason = f"{file} does not hold {ROOT_KEY.expected} ({type(error).__name__})."
            raise CommandFailed(reason, USAGE) from None

    def clients(self) -> AbstractContextManager[ClientAdministration]:
        return _clients()

    def erasures(self) -> AbstractContextManager[ErasureOperations]:
        return _erasures()

    def exports(self, *, create: bool) -> AbstractContextManager[Exports]:
        return _exports(create=create)

    def seeding(self) -> AbstractContextManager[Seeding]:
        return _seeding()

    def imports(self) -> AbstractContextManager[Imports]:
        return _imports()

    def integrity(self) -> AbstractContextManager[IntegrityOperations]:
        return _integrity()

    def replays(self) -> AbstractContextManager[Replays]:
        return _replays()

    def telemetry(self) -> Telemetry:
        from infrastructure.operations.telemetry import telemetry

        settings = _chosen("command", lambda line: None)
        with plainly(), attach(settings) as standing:
            return telemetry(settings, standing.conninfo)

    def statistics(self) -> AbstractContextManager[Statistics]:
        return _statistics()

    def operations(self) -> AbstractContextManager[Operations]:
        return _operations()


@contextmanager
def _footing(role: Role, settings: Settings, say: Say) -> Iterator[Standing]:
    """`usersd run` starts what it was not given and migrates; every other role waits for whoever does."""
    if role is Role.RUN:
        with stand(settings) as standing:
            prepare(standing, say)
            yield standing
        return
    with attach(settings, create=True) as standing:
        if role is Role.RELAY and not standing.nats_url:
            raise StandingError("There is no NATS to publish to: set MG_USERS_ES_URL.")
        wait_until_prepared(standing, say)
        yield standing


@contextmanager
def _operations() -> Iterator[Operations]:
    with plainly(), attach(_chosen("command", lambda line: None)) as standing:
        prepare(standing)
        yield PostgresOperations(standing, open_keys(standing))


@contextmanager
def _seeding() -> Iterator[Seeding]:
    from infrastructure.operations.seed import PostgresSeeding

    settings = _chosen("command", lambda line: None)
    with plainly(), attach(settings, create=True) as standing:
        prepare(standing)
        _require_whole_log(settings, standing, open_keys(standing))
        yield PostgresSeeding(standing, settings)


@contextmanager
def _exports(*, create: bool) -> Iterator[Exports]:
    from infrastructure.erasure.ledger import LedgerUnusable
    from infrastructure.integrity.file import CheckpointFileUnusable
    from infrastructure.operations.exporting import PostgresExports

    settings = _chosen("command", lambda line: None)
    with plainly(CheckpointFileUnusable, LedgerUnusable), attach(settings, create=create) as standing:
        prepare(standing)
        yield PostgresExports(standing, settings)


@contextmanager
def _imports() -> Iterator[Imports]:
    from infrastructure.importing.bringing import PostgresImports

    settings = _chosen("command", lambda line: None)
    with plainly(UnfitSource), attach(settings, create=True) as standing:
        prepare(standing)
        _require_whole_log(settings, standing, open_keys(standing))
        yield PostgresImports(standing)


@contextmanager
def _replays() -> Iterator[Replays]:
    from infrastructure.operations.replay import PostgresReplays

    settings = _chosen("command", lambda line: None)
    with plainly(), attach(settings) as standing:
        prepare(standing)
        yield PostgresReplays(standing, settings, open_keys(standing))


@contextmanager
def _statistics() -> Iterator[Statistics]:
    with plainly(), attach(_chosen("command", lambda line: None)) as standing:
        prepare(standing)
        yield PostgresStatistics(standing.conninfo)


@contextmanager
def _integrity() -> Iterator[IntegrityOperations]:
    from infrastructure.integrity.file import CheckpointFileUnusable
    from infrastructure.operations.integrity import PostgresIntegrityOperations

    settings = _chosen("command", lambda line: None)
    with plainly(CheckpointFileUnusable), attach(settings) as standing:
        prepare(standing)
        yield PostgresIntegrityOperations(standing, settings, open_keys(standing))


@contextmanager
def _keys() -> Iterator[KeyOperations]:
    settings = _chosen("command", lambda line: None)
    with plainly(), attach(settings) as standing:
        prepare(standing)
        yield PostgresKeyOperations(standing, settings)


@contextmanager
def _clients() -> Iterator[ClientAdministration]:
    with plainly(), attach(_chosen("command", lambda line: None)) as standing:
        prepare(standing)
        yield PostgresClientAdministration(standing.conninfo, SystemClock().now)


@contextmanager
def _erasures() -> Iterator[ErasureOperations]:
    # Imported here because only these commands wire a whole service.
    from infrastructure.erasure.ledger import LedgerUnusable
    from infrastructure.operations.erasure import PostgresErasureOperations

    settings = _chosen("command", lambda line: None)
    with plainly(LedgerUnusable), attach(settings) as standing:
        prepare(standing)
        # What only looks may look; what appends must not go on with a log that was put back.
        yield PostgresErasureOperations(
            standing, settings, lambda keys: _require_whole_log(settings, standing, keys)
        )


def _require_whole_log(settings: Settings, standing: Standing, keys: Keys) -> None:
    from infrastructure.integrity.checkpoint import key_of
    from infrastructure.integrity.file import file_of
    from infrastructure.integrity.guard import require_whole_log
    from infrastructure.nats.configured import access_of

    try:
        kid = key_of(keys.keyring).kid
        require_whole_log(standing.direct, file_of(settings), kid, standing.nats_url, access_of(settings))
    except (LogBehind, LogTorn) as error:
        raise CommandFailed(str(error), DIVERGED) from None


def _load(role: str) -> Loaded:
    try:
        return load(os.environ, role=role)
    except SettingsError as error:
        # What was set aside is often why something is missing.
        warnings = [f"warning: {warning}" for warning in error.warnings]
        raise CommandFailed("\n".join([*warnings, *error.lines]), USAGE) from None


def _warnings(loaded: Loaded) -> list[str]:
    dormant = dormant_warning(loaded.sources)
    return [*loaded.warnings, *([dormant] if dormant else [])]


def _chosen(role: str, say: Say, look: Callable[[Loaded], list[str]] = lambda loaded: []) -> Settings:
    loaded = _load(role)
    for warning in [*_warnings(loaded), *look(loaded)]:
        say(f"warning: {warning}")
    return loaded.settings


def main() -> None:
    """What the installed command `usersd` runs."""
    run_command_line(WiredTools())
