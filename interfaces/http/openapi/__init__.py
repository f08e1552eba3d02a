"""The OpenAPI 3.1 document, made of the routes themselves, and a page that shows it without a network."""

from interfaces.http.openapi.document import document
from interfaces.http.openapi.pages import HANDLERS, PATH, SECURITY_HEADERS

__all__ = ["HANDLERS", "PATH", "SECURITY_HEADERS", "document"]
