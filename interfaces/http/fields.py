"""The kinds of field that bodies have, each with the limits that the OpenAPI document shows.

The limits are checked in `domain.values`, which says what is wrong in words of its own; what stands here
is only shown.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from domain.values import (
    MAX_EMAIL_BYTES,
    MAX_INTEGER,
    MAX_METADATA_DEPTH,
    MAX_NAME_CHARACTERS,
    MAX_PICTURE_CHARACTERS,
    MAX_SECRET_BYTES,
    MAX_SHOWN_SECRET_CHARACTERS,
    MAX_TAG_CHARACTERS,
    MAX_TAGS,
)

Words = dict[str, Any]
"""Words of JSON Schema."""

# Spelled with escapes that ECMA 262, Python and Rust all read alike.
_WRITABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"
_NO_NUL = r"^[^\x00]*$"
_URL = r'^[^\x00-\x20\x7f-\x9f<>"\\^`{|}]*$'
_LETTER = r'[^.@\s"<>()\[\],:;\\\x00-\x1f\x7f-\x9f]'
_SIDE = rf"(?:(?:\.?{_LETTER})+\.?|\.)"
_SEPARATOR = r"(?:_(?:-_)*-?|-(?:_-)*_?)"

MAX_LINK_TOKEN_CHARACTERS = 4096

NAME: Words = {"maxLength": MAX_NAME_CHARACTERS, "pattern": _WRITABLE}
EMAIL: Words = {
    "type": "string", "minLength": 3, "maxLength": MAX_EMAIL_BYTES, "pattern": f"^{_SIDE}@{_SIDE}$"
}  # fmt: skip
USERNAME: Words = {
    "type": "string", "minLength": 1, "maxLength": 32,
    "pattern": f"^[a-zA-Z0-9]+(?:{_SEPARATOR}[a-zA-Z0-9]+)*{_SEPARATOR}?$",
}  # fmt: skip
NEW_SECRET: Words = {
    "type": "string", "format": "password", "minLength": 1, "maxLength": MAX_SECRET_BYTES, "pattern": _NO_NUL
}  # fmt: skip
SHOWN_SECRET: Words = {
    "type": "string", "format": "password", "minLength": 1, "maxLength": MAX_SHOWN_SECRET_CHARACTERS
}  # fmt: skip
LOGIN: Words = {"type": "string", "minLength": 1, "maxLength": MAX_EMAIL_BYTES}


def _shown(description: str, words: Words | None = None) -> msgspec.Meta:
    return msgspec.Meta(description=description, extra_json_schema=words)


Name = Annotated[str, _shown("No control and no unassigned characters.", NAME)]
EmailText = Annotated[str, _shown(f"name@host, at most {MAX_EMAIL_BYTES} bytes, unique in any spelling.")]
UsernameText = Annotated[
    str, _shown("1 to 32 letters, digits, '_' and '-'; no '__' and no '--'; unique in any spelling.")
]
SecretText = Annotated[
    str, _shown(f"Meets the configured password policy; at most {MAX_SECRET_BYTES} bytes in UTF-8.")
]
ShownSecret = Annotated[
    str, _shown("A secret that is set already.", {"maxLength": MAX_SHOWN_SECRET_CHARACTERS})
]
LoginText = Annotated[
    str, _shown(f"A username or an email, at most {MAX_EMAIL_BYTES} bytes.", {"maxLength": MAX_EMAIL_BYTES})
]
Description = Annotated[
    str, msgspec.Meta(description="What the session is for.", max_length=254,
                      extra_json_schema={"pattern": _NO_NUL}),
]  # fmt: skip
TokenId = Annotated[
    str, msgspec.Meta(description="The id of a session; one that there is not is no fault.", max_length=254)
]
LinkToken = Annotated[str, _shown("The token of a mail.", {"maxLength": MAX_LINK_TOKEN_CHARACTERS})]
Tag = Annotated[str, _shown("A tag.", {"maxLength": MAX_TAG_CHARACTERS, "pattern": _WRITABLE})]
Tags = Annotated[list[Tag], _shown("All tags, in order.", {"maxItems": MAX_TAGS})]
Metadata = Annotated[
    dict[str, Any],
    _shown(
        f"Any JSON object, nested at most {MAX_METADATA_DEPTH} deep, whole numbers between -{MAX_INTEGER} "
        f"and {MAX_INTEGER}, no U+0000 anywhere."
    ),
]
Picture = Annotated[str, _shown("A URL.", {"maxLength": MAX_PICTURE_CHARACTERS, "pattern": _URL})]
SettableStatus = Literal["enabled", "disabled"]
