"""`usersd projections rebuild` that gets a signal at a point: at a number of events done, or at a stage."""

from __future__ import annotations

import os
import signal
import sys

from application.operations import Progress
from infrastructure.commandline import main
from projections import rebuild as rebuilding


class Deadly(Progress, frozen=True):
    """A step of progress that is the last one where it reaches the point."""

    def __post_init__(self) -> None:
        point = os.environ["USERSD_DIE_AT"]
        if self.stage == point or (point.isdigit() and self.done >= int(point)):
            os.kill(os.getpid(), int(os.environ.get("USERSD_DIE_OF", signal.SIGKILL)))


if __name__ == "__main__":
    rebuilding.PAGE = 50
    setattr(rebuilding, "Progress", Deadly)  # noqa: B010
    if "--parallel" in sys.argv:
        rebuilding.WORTH = 10
    else:
        rebuilding.WORTH = 10**9
    sys.argv = ["usersd", "projections", "rebuild", *sys.argv[1:]]
    main()
