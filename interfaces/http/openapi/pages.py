"""Serves the document, and a page that shows it and loads nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec
from litestar import MediaType, Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from interfaces.http.caller import JSON, AnyRequest
from interfaces.http.openapi.document import document

PATH = "/docs"

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        b"connect-src 'self'; font-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    ),
)

_ASSETS = {
    "docs.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}


@get("/openapi.json", sync_to_thread=False, opt={"undocumented": True})
def openapi_json(request: AnyRequest) -> Response[bytes]:
    """The document."""
    return Response(msgspec.json.encode(document(request.app)), media_type=JSON)


@get(PATH, sync_to_thread=False, opt={"undocumented": True})
def docs_page() -> Response[str]:
    """The page."""
    return Response(_asset("docs.html"), media_type=MediaType.HTML)


@get(PATH + "/{file:str}", sync_to_thread=False, opt={"undocumented": True})
def docs_asset(file: FromPath[str]) -> Response[str]:
    """What the page loads."""
    if file not in _ASSETS:
        raise NotFoundException
    headers = {"Cache-Control": "public, max-age=3600"}
    return Response(_asset(file), media_type=_ASSETS[file], headers=headers)


@cache
def _asset(name: str) -> str:
    return files("interfaces.http").joinpath("assets", name).read_text("utf-8")


HANDLERS = (openapi_json, docs_page, docs_asset)
