"""How the log and the read models are watched over."""

from __future__ import annotations

from infrastructure.settings import kinds
from infrastructure.settings.kinds import whole
from infrastructure.settings.variable import Group, Variable, ours

LOG = Group(
    "Integrity of the log",
    (
        Variable(
            "checkpoint_events",
            ours("CHECKPOINT_EVENTS"),
            whole(1, 10**9),
            "100000",
            "After how many events at most the log gets a signed checkpoint.",
        ),
        Variable(
            "checkpoint_interval",
            ours("CHECKPOINT_INTERVAL"),
            kinds.DURATION,
            "10m",
            "After how long at most an event is covered by a signed checkpoint.",
        ),
        Variable(
            "checkpoint_file",
            ours("CHECKPOINT_FILE"),
            kinds.PATH,
            None,
            "The file, outside the database, that keeps the checkpoints; keep copies of it elsewhere.",
            unset="`log-checkpoints.jws` in the data directory",
        ),
        Variable(
            "projection_check",
            ours("PROJECTION_CHECK"),
            whole(0, 1_000_000),
            "1000",
            "Of how many users a minute the rows of each read model are compared with the log; 0: of none.",
        ),
    ),
)
