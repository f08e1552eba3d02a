"""What mails say: our own templates, or those that the operator names, all read and checked at the start."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2
import jinja2.meta
import msgspec

from infrastructure.mail import go_templates
from infrastructure.mail.kinds import MAILS, MailKind

_MARKUP = re.compile(r"<(?:!doctype|html|head|body|table|div|span|p|a|br|h[1-6])\b", re.IGNORECASE)


class TemplateError(Exception):
    """A template that cannot be used: which file, which line, and why."""

    def __init__(self, file: Path, line: int, reason: str) -> None:
        super().__init__(f"The mail template {file}, line {line}, cannot be used: {reason}.")


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """What a template may show. `host` is the link up to its query, `life` how long it lasts, in words."""

    to: str
    sender: str
    subject: str
    user: str
    link: str = ""
    host: str = ""
    life: str = ""
    footer: str = ""


class Body(msgspec.Struct, frozen=True):
    """What a mail says, in one form or in two that say the same."""

    text: str | None = None
    html: str | None = None


Render = Callable[[Fields], Body]


class Templates:
    """One template for each kind of mail. `chosen` are the files of the operator. Raises TemplateError."""

    def __init__(self, chosen: Mapping[MailKind, Path | None]) -> None:
        own = jinja2.Environment(
            loader=jinja2.PackageLoader("infrastructure.mail"),
            autoescape=jinja2.select_autoescape(["html"]),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._renders: dict[MailKind, Render] = {
            kind: _read(file) if (file := chosen.get(kind)) else _built_in(own, kind) for kind in MAILS
        }

    def body(self, kind: MailKind, fields: Fields) -> Body:
        return self._renders[kind](fields)


def _built_in(environment: jinja2.Environment, kind: MailKind) -> Render:
    text, page = environment.get_template(f"{kind}.txt"), environment.get_template(f"{kind}.html")

    def render(fields: Fields) -> Body:
        values = msgspec.structs.asdict(fields)
        return Body(text.render(values), page.render(values))

    return render


def _read(file: Path) -> Render:
    """A file of the operator: Jinja2 where its name ends in `.j2`, else what the originals had."""
    try:
        source = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise TemplateError(file, _line_of(file, error.start), "it is not UTF-8") from None
    except OSError as error:
        raise TemplateError(file, 1, error.strerror or "it cannot be read") from None
    has_markup = _MARKUP.search(source) is not None
    return _jinja(file, source, has_markup) if file.suffix == ".j2" else _go(file, source, has_markup)


def _jinja(file: Path, source: str, has_markup: bool) -> Render:
    # A text without markup is sent as one, where escaping would only disfigure it.
    environment = jinja2.Environment(autoescape=has_markup, undefined=jinja2.StrictUndefined)  # noqa: S701
    try:
        parsed = environment.parse(source)
        template = environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(file, error.lineno, (error.message or "syntax error").rstrip(".")) from None
    known = {field.name for field in msgspec.structs.fields(Fields)}
    for name in jinja2.meta.find_undeclared_variables(parsed) - known:
        reason = f"there is no field {name}; there are: {', '.join(sorted(known))}"
        raise TemplateError(file, _line_with(source, name), reason)
    return lambda fields: _one_part(template.render(msgspec.structs.asdict(fields)), has_markup)


def _go(file: Path, source: str, has_markup: bool) -> Render:
    try:
        parts = go_templates.parse(source)
    except go_templates.BeyondTheSubset as error:
        raise TemplateError(file, error.line, error.reason) from None
    escape: Callable[[str], str] = html.escape if has_markup else str

    def render(fields: Fields) -> Body:
        values = {
            "To": f"[{fields.to}]",
            "From": fields.sender,
            "Subject": fields.subject,
            "Header": "",
            "User": fields.user,
            "Content": fields.link,
            "Host": fields.host,
            "Footer": fields.footer,
        }
        return _one_part(go_templates.render(parts, values, escape), has_markup)

    return render


def _one_part(rendered: str, has_markup: bool) -> Body:
    return Body(html=rendered) if has_markup else Body(text=rendered)


def _line_of(file: Path, offset: int) -> int:
    return file.read_bytes()[:offset].count(b"\n") + 1


def _line_with(source: str, name: str) -> int:
    found = re.search(rf"\b{re.escape(name)}\b", source)
    return source.count("\n", 0, found.start()) + 1 if found else 1
