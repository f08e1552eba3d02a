"""The real command line in a process of its own, which knows the audit too."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from infrastructure import commandline
from projections import rebuild, switch
from tests.soak.audit import join_the_catalogue


def operate(environ: Mapping[str, str], page: int, arguments: Sequence[str]) -> None:
    """Run `usersd` with arguments, on pages of so many events."""
    os.environ.clear()
    os.environ.update(environ)
    join_the_catalogue()
    rebuild.PAGE = 10 * page
    rebuild.CLOSE = page
    rebuild.WORTH = 10 * page
    switch.PAGE = page
    sys.argv = ["usersd", *arguments]
    commandline.main()
