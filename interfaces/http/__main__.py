"""Writes the text of docs/openapi.json."""

import sys

import msgspec
from litestar import Litestar

from interfaces.http.app import routes
from interfaces.http.openapi import document

text = msgspec.json.format(msgspec.json.encode(document(Litestar(routes(), openapi_config=None))), indent=2)
sys.stdout.buffer.write(text + b"\n")
