"""Every setting of the service: read from the environment, checked as a whole, explained to its operator."""

from infrastructure.settings.document import describe, markdown
from infrastructure.settings.loading import Loaded, SettingsError, load
from infrastructure.settings.model import Settings
from infrastructure.settings.refusals import check, listens_beyond_loopback
from infrastructure.settings.secret import Secret
from infrastructure.settings.table import VARIABLES
from infrastructure.settings.variable import Variable

__all__ = [
    "VARIABLES",
    "Loaded",
    "Secret",
    "Settings",
    "SettingsError",
    "Variable",
    "check",
    "describe",
    "listens_beyond_loopback",
    "load",
    "markdown",
]
