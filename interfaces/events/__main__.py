"""Writes the text of docs/asyncapi.json."""

import sys

import msgspec

from interfaces.events.asyncapi import document

sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n")
