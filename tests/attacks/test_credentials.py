"""Where a token may stand: once, in one Authorization field, and nowhere else (RFC 6750 §2, RFC 9110 §11.6.2)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.attacks.battery import (
    MALFORMED_REQUEST,
    MISSING,
    Fields,
    Verdict,
    ask,
    bearer,
    honest,
    keeps_secret,
    refused_as,
    standing,
)
from tests.gated import TOOLS_LIST, Gated

MALFORMED_TOKEN = Verdict("malformed_token")
REPEATED = Verdict("repeated_header", 400, None, challenged=False)
JSON = json.dumps(TOOLS_LIST).encode()

Fill = Callable[[str], bytes]  # a header's value around a token


def with_token(value: bytes) -> Fill:
    """The value with a token where `@` stands."""
    return lambda token: value.replace(b"@", token.encode())


def several_rows() -> Iterator[Any]:
    """Several fields, in every order of the good one among others."""
    good = with_token(b"Bearer @")
    for value in (b"Bearer @", b"Bearer a.b.c", b"Basic dXNlcjpwYXNz", b"DPoP @", b"Bearer ", b" ", b"", b"@"):
        other = with_token(value)
        yield pytest.param([good, other], MALFORMED_REQUEST, id=f"the token, then {value.decode()!r}")
        yield pytest.param([other, good], MALFORMED_REQUEST, id=f"{value.decode()!r}, then the token")
    yield pytest.param([good] * 3, MALFORMED_REQUEST, id="three times")
    yield pytest.param([good] * 100, MALFORMED_REQUEST, id="a hundred times")


def field_rows() -> Iterator[Any]:
    values: dict[str, tuple[bytes, Verdict]] = {
        "folded": (b"Bearer @, Bearer @", MALFORMED_REQUEST),
        "folded without a blank": (b"Bearer @,Bearer @", MALFORMED_REQUEST),
        "folded, another scheme last": (b"Bearer @, Basic dXNlcjpwYXNz", MALFORMED_REQUEST),
        "folded, another scheme first": (b"Basic dXNlcjpwYXNz, Bearer @", MISSING),
        "folded, an empty element first": (b", Bearer @", MISSING),
        "folded, an empty element last": (b"Bearer @,", MALFORMED_REQUEST),
        "with a parameter behind": (b'Bearer @, realm="x"', MALFORMED_REQUEST),
        "with a parameter in front": (b'Bearer realm="x", @', MALFORMED_REQUEST),
        "as a parameter": (b"Bearer token=@", MALFORMED_TOKEN),
        "as a quoted parameter": (b'Bearer token="@"', MALFORMED_TOKEN),
        "in quotes": (b'Bearer "@"', MALFORMED_TOKEN),
        "in angle brackets": (b"Bearer <@>", MALFORMED_TOKEN),
        "with a semicolon": (b"Bearer @;a=b", MALFORMED_TOKEN),
        "twice, parted by a blank": (b"Bearer @ @", MALFORMED_REQUEST),
        "with its scheme twice": (b"Bearer Bearer @", MALFORMED_REQUEST),
        "without its scheme": (b"@", MISSING),
        "without a blank": (b"Bearer@", MISSING),
        "with a colon": (b"Bearer: @", MISSING),
        "with an equals sign": (b"Bearer=@", MISSING),
        "with a tab": (b"Bearer\t@", MISSING),
        "with a blank and a tab": (b"Bearer \t@", MALFORMED_TOKEN),
        "with a vertical tab behind": (b"Bearer @\v", MALFORMED_TOKEN),
        "with a form feed in front": (b"\fBearer @", MISSING),
        "with a newline in front": (b"\nBearer @", MISSING),
        "with a wide blank": (b"Bearer\xc2\xa0@", MISSING),
        "with a wide blank behind": (b"Bearer @\xc2\xa0", MALFORMED_TOKEN),
        "with a byte order mark": (b"\xef\xbb\xbfBearer @", MISSING),
        "with a NUL": (b"Bearer @\0", MALFORMED_TOKEN),
        "with a NUL in its scheme": (b"Bearer\0 @", MISSING),
        "with a newline": (b"Bearer @\r\nX-Evil:1", MALFORMED_TOKEN),
        "with a header behind": (b"Bearer @\r\nX-Evil: 1", MALFORMED_REQUEST),
        "with an escaped blank": (b"Bearer%20@", MISSING),
        "with a Cyrillic letter": ("Be\u0430rer @".encode(), MISSING),
        "with a long s": ("Bearer\u017f @".encode(), MISSING),
        "with padding": (b"Bearer @==", MALFORMED_TOKEN),
        "as Basic": (b"Basic @", MISSING),
        "as DPoP": (b"DPoP @", MISSING),
        "as Token": (b"Token @", MISSING),
        "as JWT": (b"JWT @", MISSING),
        "as Digest": (b'Digest username="@"', MISSING),
        "as Negotiate": (b"Negotiate @", MISSING),
        "as MAC": (b"MAC @", MISSING),
        "as GNAP": (b"GNAP @", MISSING),
        "that is empty": (b"", MISSING),
        "that is a blank": (b" ", MISSING),
        "that is a scheme": (b"Bearer", MISSING),
        "that is a scheme and a blank": (b"Bearer ", MISSING),
        "that is a scheme and blanks": (b"Bearer    ", MISSING),
        "that is a comma": (b",", MISSING),
        "that is a scheme and a comma": (b"Bearer ,", MALFORMED_REQUEST),
        "that is 64 KiB of scheme": (b"B" * 65_536, MISSING),
        "that is 1 MB of blanks": (b"Bearer" + b" " * 1_000_000, MISSING),
        "that is bytes": (bytes(range(128, 256)), MISSING),
    }
    for name, (value, expected) in values.items():
        yield pytest.param([with_token(value)], expected, id=f"a field {name}")


@pytest.mark.parametrize(("fills", "expected"), [*several_rows(), *field_rows()])
async def test_field_that_is_not_one_bearer_token_is_refused(
    fills: list[Fill], expected: Verdict, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing() as door:
        token = honest(door.issuer)
        await refuses(door, [(b"authorization", fill(token)) for fill in fills], expected, token, logged=caplog.text)
        interleaved = [field for fill in fills for field in ((b"authorization", fill(token)), (b"accept", b"*/*"))]
        await refuses(door, interleaved, expected, token, logged=caplog.text)


async def refuses(
    door: Gated, fields: Fields, expected: Verdict, token: str, *, logged: str, target: str = "/mcp"
) -> None:
    """This request does not reach the app, and the next honest one does."""
    reached = len(door.app.scopes)
    answer = await ask(door, target=target, fields=fields, body=JSON)
    refused_as(answer.response, expected)
    assert door.reason == expected.reason
    assert len(door.app.scopes) == reached
    keeps_secret(token, answer.response, door, logged)
    assert (await ask(door, fields=[bearer(honest(door.issuer))], body=JSON)).status == 200


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"Bearer @", id="as everybody writes it"),
        pytest.param(b"bearer @", id="scheme in lower case"),
        pytest.param(b"BEARER @", id="scheme in upper case"),
        pytest.param(b"bEaReR @", id="scheme in any case"),
        pytest.param(b"Bearer   @", id="several blanks (RFC 9110 \xa711.4: 1*SP)"),
        pytest.param(b"Bearer @  ", id="blanks behind"),
        pytest.param(b" \t Bearer @\t", id="white space around (RFC 9110 \xa75.5)"),
    ],
)
async def test_field_that_is_one_bearer_token_is_accepted(value: bytes) -> None:
    async with standing() as door:
        field = (b"authorization", with_token(value)(honest(door.issuer)))
        assert (await ask(door, fields=[field], body=JSON)).status == 200


def place_rows() -> Iterator[Any]:
    """The token anywhere but in its field."""
    names = (
        *(b"x-access-token", b"x-api-key", b"x-auth-token", b"x-authorization", b"x-forwarded-access-token"),
        *(b"x-forwarded-authorization", b"x-original-authorization", b"x-amzn-oidc-accesstoken", b"x-amzn-oidc-data"),
        *(b"proxy-authorization", b"authorization_", b"http_authorization", b"authorization ", b"www-authorization"),
        *(b"sec-websocket-protocol", b"dpop", b"mcp-session-id", b"mcp-param-authorization", b"authentication"),
        *(b"access_token", b"token", b"bearer", b"cookie2", b"x-amz-security-token"),
    )
    for field in names:
        yield pytest.param("/mcp", [(field, b"Bearer @")], JSON, id=f"header {field.decode()}")
        yield pytest.param("/mcp", [(field, b"@")], JSON, id=f"header {field.decode()} without a scheme")
    for name in ("access_token", "token", "id_token", "Authorization", "authorization", "bearer", "jwt", "code"):
        yield pytest.param(f"/mcp?{name}=@", [], JSON, id=f"query {name}")
        cookie = f"{name}=@; Path=/".encode()
        yield pytest.param("/mcp", [(b"cookie", cookie)], JSON, id=f"cookie {name}")
    yield pytest.param("/mcp?access_token=@&access_token=@", [], JSON, id="query access_token twice")
    yield pytest.param("/mcp?Authorization=Bearer%20@", [], JSON, id="query Authorization with a scheme")
    form = [(b"content-type", b"application/x-www-form-urlencoded")]
    yield pytest.param("/mcp", form, b"access_token=@", id="form")
    multipart = b'--x\r\nContent-Disposition: form-data; name="access_token"\r\n\r\nT\r\n--x--\r\n'
    yield pytest.param("/mcp", [(b"content-type", b"multipart/form-data; boundary=x")], multipart, id="multipart form")
    for member in (b'"params":{"_meta":{"authorization":"Bearer @"}}', b'"access_token":"@"', b'"_meta":{"token":"@"}'):
        body = b'{"jsonrpc":"2.0","id":1,"method":"tools/list",' + member + b"}"
        yield pytest.param("/mcp", [], body, id=f"body {member.split(b':')[0].decode()}")
    for scheme in (b"Basic dXNlcjpwYXNz", b"Digest x", b"DPoP x", b"AWS4-HMAC-SHA256 x"):
        other = [(b"authorization", scheme)]
        yield pytest.param("/mcp?access_token=@", other, JSON, id=f"query beside {scheme.decode()}")


@pytest.mark.parametrize(("target", "fields", "body"), list(place_rows()))
async def test_token_in_any_other_place_counts_for_nothing(target: str, fields: Fields, body: bytes) -> None:
    async with standing() as door:
        token = honest(door.issuer)
        filled = [(name, value.replace(b"@", token.encode())) for name, value in fields]
        answer = await ask(door, "POST", target.replace("@", token), filled, body.replace(b"@", token.encode()))
        refused_as(answer.response, MISSING)
        assert door.reason == "missing_token"
        assert len(door.app.scopes) == 1
        keeps_secret(token, answer.response, door, "")


def doubled_rows() -> Iterator[Any]:
    """An honest field, and another token besides."""
    for query in (
        *("access_token=@", "access_token=", "access_token", "ACCESS_TOKEN=@", "Access_Token=x", "access%5Ftoken=@"),
        *(
            "%61ccess_token=@",
            "a=b&access_token=@",
            "access_token=@&access_token=@",
            "&&access_token=x",
            "+&access_token",
        ),
    ):
        yield pytest.param(f"/mcp?{query}", [], MALFORMED_REQUEST, id=f"query {query}")
    for kind in (
        *(b"application/x-www-form-urlencoded", b"application/x-www-form-urlencoded; charset=utf-8"),
        *(b"Application/X-WWW-Form-URLEncoded", b"application/x-www-form-urlencoded,application/json"),
    ):
        yield pytest.param("/mcp", [(b"content-type", kind)], MALFORMED_REQUEST, id=f"form {kind.decode()}")
    form, plain = (b"content-type", b"application/x-www-form-urlencoded"), (b"content-type", b"application/json")
    yield pytest.param("/mcp", [plain, form], MALFORMED_REQUEST, id="two kinds of body, form last")
    yield pytest.param("/mcp", [form, plain], REPEATED, id="two kinds of body, form first")


@pytest.mark.parametrize(("target", "fields", "expected"), list(doubled_rows()))
async def test_second_way_to_convey_a_token_is_refused(
    target: str, fields: Fields, expected: Verdict, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing() as door:
        token = honest(door.issuer)
        spelled = target.replace("=@", f"={token}")
        await refuses(door, [bearer(token), *fields], expected, token, logged=caplog.text, target=spelled)
