"""The table of read models: a new one is a folder and a row here."""

from __future__ import annotations

from projections.history.projector import History
from projections.readmodel import ReadModel
from projections.signups.projector import Signups
from projections.users.projector import Users

READ_MODELS: tuple[ReadModel, ...] = (Users(), History(), Signups())


def by_name(name: str) -> ReadModel | None:
    """The read model of a name, or None."""
    return next((model for model in READ_MODELS if model.name == name), None)
