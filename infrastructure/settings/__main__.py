"""Writes the text of docs/SETTINGS.md."""

import sys

from infrastructure.settings.document import markdown

sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
sys.stdout.write(markdown())
