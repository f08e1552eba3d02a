"""The words of mails: ours, those of the originals' files, and files that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.mail.kinds import MAILS, MailKind
from infrastructure.mail.wording import Body, Fields, TemplateError, Templates
from tests.mail.asking import request_reset, request_verification
from tests.mail.conftest import PUBLIC, Mailing
from tests.support.mail_server import MailServer
from tests.support.program import program

FIELDS = Fields(
    to="ada@example.com",
    sender="The Accounts <accounts@id.example>",
    subject="Password Reset Request",
    user="<b>ada</b>",
    link="https://id.example/password/reset?token=a&b",
    host="https://id.example/password/reset",
    life="5 minutes",
    footer="The Accounts",
)

MAINFLUX = """To: {{ .To }}
{{- /* a comment */ -}}
From: {{.From}}, {{.Subject}}{{.Header}}

Dear {{.User}},
open {{.Content}} to set your password on {{.Host}}.

{{.Footer}}
"""

MAGISTRALA = """<!DOCTYPE html>
<html><body><p>Dear {{.User}},</p>
<a href="{{.Content}}">Reset on {{.Host}}</a> {{.Footer}}</body></html>
"""


def body_of(folder: Path, source: str, name: str = "reset.tmpl", kind: MailKind = "password_reset") -> Body:
    file = folder / name
    file.write_text(source, "utf-8")
    return Templates({kind: file}).body(kind, FIELDS)


@pytest.mark.parametrize("kind", MAILS)
def test_our_own_templates_say_the_same_in_two_forms(kind: MailKind) -> None:
    body = Templates({}).body(kind, FIELDS)
    assert body.text is not None
    assert body.html is not None
    assert "Hello <b>ada</b>," in body.text
    assert "&lt;b&gt;ada" in body.html
    assert "<b>" not in body.html
    assert (FIELDS.link in body.text) == (MAILS[kind].link is not None)
    assert ("token=a&amp;b" in body.html) == (MAILS[kind].link is not None)
    assert "The Accounts" in body.text
    assert "<script" not in body.html


def test_a_template_of_mainflux_works_as_it_is_and_is_sent_as_text(tmp_path: Path) -> None:
    assert body_of(tmp_path, MAINFLUX) == Body(
        text=(
            "To: [ada@example.com]From: The Accounts <accounts@id.example>, Password Reset Request\n\n"
            "Dear <b>ada</b>,\nopen https://id.example/password/reset?token=a&b to set your password on "
            "https://id.example/password/reset.\n\nThe Accounts\n"
        )
    )


def test_a_template_of_magistrala_works_as_it_is_and_nothing_in_it_is_markup(tmp_path: Path) -> None:
    body = body_of(tmp_path, MAGISTRALA)
    assert body.text is None
    assert body.html is not None
    assert "Dear &lt;b&gt;ada&lt;/b&gt;," in body.html
    assert 'href="https://id.example/password/reset?token=a&amp;b"' in body.html


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("a {{- .User -}} b", "a<b>ada</b>b"),
        ("a {{.User}} b", "a <b>ada</b> b"),
        ("a\n{{/* two\nlines */}}\nb", "a\n\nb"),
        ("} {x} }}", "} {x} }}"),
        ("", ""),
    ],
)
def test_the_white_space_of_go_templates_is_kept_as_go_does(
    tmp_path: Path, source: str, rendered: str
) -> None:
    assert body_of(tmp_path, source).text == rendered


def test_a_template_of_jinja_may_take_the_place_of_ours(tmp_path: Path) -> None:
    assert body_of(tmp_path, "Hi {{ user }}, {{ life }}: {{ link }}", "reset.txt.j2") == Body(
        text=f"Hi <b>ada</b>, 5 minutes: {FIELDS.link}"
    )
    page = body_of(tmp_path, "<p>{{ user }}{% if footer %}!{% endif %}</p>", "reset.html.j2")
    assert page == Body(html="<p>&lt;b&gt;ada&lt;/b&gt;!</p>")


@pytest.mark.parametrize(
    ("name", "source", "line", "reason"),
    [
        ("a.tmpl", "one\n{{if .User}}x{{end}}", 2, "only fields such as {{.User}}"),
        ("a.tmpl", "one\ntwo {{.Password}}", 2, "there is no field .Password"),
        ("a.tmpl", "one\ntwo\n{{.User", 3, "never closed"),
        ("a.tmpl", '{{ "x" }}', 1, "only fields"),
        ("a.tmpl", "{{.To | printf}}", 1, "only fields"),
        ("a.tmpl", "{{ user }}", 1, "only fields"),
        ("a.j2", "one\n{% if %}", 2, "Expected an expression"),
        ("a.j2", "one\n{{ user", 2, "unexpected end"),
        ("a.j2", "one\n\n{{ password }}", 3, "there is no field password"),
    ],
)
def test_a_template_that_cannot_be_used_is_named_with_its_line(
    tmp_path: Path, name: str, source: str, line: int, reason: str
) -> None:
    with pytest.raises(TemplateError) as refused:
        body_of(tmp_path, source, name)
    assert str(refused.value).startswith(f"The mail template {tmp_path / name}, line {line}, cannot be used:")
    assert reason in str(refused.value)


def test_a_file_that_is_not_utf_8_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.tmpl"
    file.write_bytes(b"one\ntwo \xe9")
    with pytest.raises(TemplateError, match=r"latin\.tmpl, line 2, .* UTF-8"):
        Templates({"verification": file})


@pytest.mark.parametrize(
    "variable", ["MG_PASSWORD_RESET_EMAIL_TEMPLATE", "MG_VERIFICATION_EMAIL_TEMPLATE", "MF_EMAIL_TEMPLATE"]
)
def test_the_start_is_refused_for_a_template_that_cannot_be_used(tmp_path: Path, variable: str) -> None:
    file = tmp_path / "broken.tmpl"
    file.write_text("Dear {{.User}},\n{{range .To}}", "utf-8")
    with program(**{variable: str(file)}) as usersd:
        refused = usersd.cli("run")
        assert refused.code == 1
        assert f"{file}, line 2" in refused.err
        assert not (usersd.data / "pg").exists()


async def test_the_files_of_the_operator_are_what_is_sent(
    mailing: Mailing, mail_server: MailServer, tmp_path: Path
) -> None:
    reset, verification = tmp_path / "email.tmpl", tmp_path / "verification-email.tmpl"
    reset.write_text(MAINFLUX, "utf-8")
    verification.write_text(MAGISTRALA, "utf-8")
    files = {"MF_EMAIL_TEMPLATE": str(reset), "MG_VERIFICATION_EMAIL_TEMPLATE": str(verification)}
    async with mailing(**files) as client:
        user = await client.register()
        await request_reset(client, user["email"])
        (mail,) = await mail_server.received()
        assert mail.get_content_type() == "text/plain"
        assert f"Dear ada1,\nopen {PUBLIC}/password/reset?token=" in mail.get_content().replace("\r\n", "\n")
        await request_verification(client, user["email"])
        page = (await mail_server.received(2))[1]
        assert page.get_content_type() == "text/html"
        assert f'href="{PUBLIC}/verify-email?token=' in page.get_content()
