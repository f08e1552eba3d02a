"""Opens what `usersd import --from` names."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from application.import_runs import Place, UnfitSource
from application.importing import Source
from infrastructure.importing.exported import ExportSource, firebase, firebase_parameters, keycloak
from infrastructure.importing.files import CsvSource, NdjsonSource
from infrastructure.importing.originals import NotAnOriginal, source_of


def source_at(place: Place) -> Source:
    """The accounts at a place. Raises UnfitSource."""
    if place.form is None:
        try:
            return source_of(place.place, place.dialect or "magistrala")
        except NotAnOriginal as error:
            raise UnfitSource(str(error)) from None
    path = None if place.place == "-" else Path(place.place)
    # Whoever is blocked in sys.stdin itself would keep the interpreter from ending.
    stream = io.BufferedReader(io.FileIO(0, closefd=False)) if path is None else None
    try:
        return _reader(place)(path, stream)
    except OSError as error:
        raise UnfitSource(f"The file cannot be read ({error.strerror}).") from None


def _reader(place: Place) -> Callable[[Path | None, BinaryIO | None], Source]:
    if place.form == "keycloak":
        return lambda path, stream: ExportSource(path, stream, keycloak)
    if place.form == "firebase":
        given = firebase_parameters(place.parameters) if place.parameters else None
        return lambda path, stream: ExportSource(path, stream, firebase(given))
    return CsvSource if place.form == "csv" else NdjsonSource
