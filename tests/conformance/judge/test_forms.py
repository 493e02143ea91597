"""How the judge finds its way through pages: what it fills in, which button it takes, and where it stops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from conformance.forms import Arrival, Browser, Person, forms
from conformance.serving import serving
from conformance.wire import Wire

ALICE = Person("alice", "correct horse")
LOGIN = "<form method=post><input name=user><input type=password name=pw><button>{}</button></form>"


class Site:
    """Pages by path, and what was sent to them. A page is a status, header fields and a body."""

    def __init__(self, **pages: tuple[int, list[tuple[str, str]], str]) -> None:
        self.pages = pages
        self.asked: list[tuple[str, str, str, str]] = []  # method, path with query, body, cookies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The page at the first part of the path."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        query = scope["query_string"].decode()
        cookies = dict(scope["headers"]).get(b"cookie", b"").decode()
        self.asked.append((scope["method"], f"{scope['path']}?{query}".rstrip("?"), body.decode(), cookies))
        status, fields, text = self.pages[scope["path"].split("/")[1]]
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode()})


def page(text: str, *fields: tuple[str, str], status: int = 200) -> tuple[int, list[tuple[str, str]], str]:
    """An HTML page."""
    return status, [("content-type", "text/html; charset=utf-8"), *fields], text


def away(to: str, status: int = 302, *fields: tuple[str, str]) -> tuple[int, list[tuple[str, str]], str]:
    """A redirect."""
    return status, [("location", to), *fields], ""


@contextmanager
def opened(site: Site, person: Person | None = ALICE, *, near: bool = True) -> Iterator[Arrival]:
    """Where it ends to open the page `start` of a site."""
    wire = Wire(5)
    try:
        with serving(site) as port:
            yield Browser(wire, near=near).authorize(
                f"http://127.0.0.1:{port}/start", ("http://127.0.0.1:9/callback",), person
            )
    finally:
        wire.close()


def test_login_and_consent_lead_to_the_code() -> None:
    consent = (
        '<form method=post action="/done"><button name=d value=deny>No</button><button name=d value=ok>Allow</button>'
    )
    site = Site(
        start=page(LOGIN.format("Sign in").replace("method=post", 'method=post action="/login?a=b"')),
        login=away("/consent", 303, ("set-cookie", "sid=1; HttpOnly"), ("set-cookie", "old=2; Max-Age=0")),
        consent=page(consent),
        done=away("http://127.0.0.1:9/callback?code=c&state=s#frag"),
    )
    with opened(site) as arrival:
        assert (arrival.code, arrival.why) == ("c", "")
    assert [each[:2] for each in site.asked] == [
        ("GET", "/start"),
        ("POST", "/login?a=b"),
        ("GET", "/consent"),
        ("POST", "/done"),
    ]
    assert parse_qs(site.asked[1][2]) == {"user": ["alice"], "pw": ["correct horse"]}
    assert (site.asked[3][2], site.asked[3][3]) == ("d=ok", "sid=1")
    assert len(arrival.approvals) == 1


def test_form_by_get_and_controls_of_every_kind() -> None:
    inputs = (
        "<input type=hidden name=h value=1><input type=checkbox name=c checked><input type=checkbox name=u>"
        "<input type=radio name=r value=2 checked><input type=text name=comment value=x><input type=file name=f>"
        '<input type=submit name=s value="Authorise">'
    )
    site = Site(start=page(f'<input name=outside><form action="/next?old=1">{inputs}</form>'), next=page("The end"))
    with opened(site) as arrival:
        assert arrival.why == "a page has no form that could be filled in"
    assert site.asked[1][1] == "/next?h=1&c=on&u=on&r=2&comment=x&s=Authorise"


@pytest.mark.parametrize(
    ("start", "why"),
    [
        pytest.param(page("<p>Hello"), "no form that could be filled in", id="no form"),
        pytest.param(page("<form><button>Cancel</button></form>"), "no form", id="only no"),
        pytest.param(page("<form><button>Search</button></form>"), "no form", id="a button that approves nothing"),
        pytest.param(page("no", status=400), "it ends at a page: 400", id="an error"),
        pytest.param((200, [("content-type", "text/plain")], "x"), "it ends at a page: 200, text/plain", id="no HTML"),
        pytest.param(away("file:///etc/passwd"), "which is not opened", id="a file"),
        pytest.param(away("http://[broken/"), "which is not opened", id="no URL"),
        pytest.param(away("http://127.0.0.1:99999/"), "which is not opened", id="no port"),
        pytest.param(page('<form action="http://[x"><button>Allow</button></form>'), "not opened", id="a broken form"),
        pytest.param(away("/start"), "had not ended after 20 pages", id="a circle"),
        pytest.param(page(LOGIN.format("Log in")), "the password was refused", id="a login that comes again"),
        pytest.param((302, [], ""), "it ends at a page: 302", id="a redirect to nowhere"),
    ],
)
def test_way_that_leads_nowhere_ends_with_its_reason(start: tuple[int, list[tuple[str, str]], str], why: str) -> None:
    with opened(Site(start=start)) as arrival:
        assert why in arrival.why
        assert (arrival.parameters, arrival.code) == (None, "")
        assert arrival.last is arrival.pages[-1]


def test_page_of_a_login_that_is_answered_401_is_filled_in() -> None:
    site = Site(start=page(LOGIN.format("Go"), status=401))
    with opened(site) as arrival:
        assert arrival.why == "the password was refused"
    assert [each[0] for each in site.asked] == ["GET", "POST"]


KEYCLOAK = """<form id="kc-form-login" action="/next?session_code=a&amp;tab_id=b" method="post">
<input id="username" name="username" value="" type="text" autocomplete="username">
<input name="password" type="password">
<input name="rememberMe" type="checkbox"><input type="hidden" name="credentialId">
<input name="login" type="submit" value="Sign In"></form>"""
WORDPRESS = """<form action="/next" method="post"><input type="text" name="log"><input type="password" name="pwd">
<input name="rememberme" type="checkbox" value="forever"><input type="submit" name="wp-submit" value="Log In">
<input type="hidden" name="redirect_to" value="x"></form>"""
AUTH0 = """<form method="post" action="/google"><input type="hidden" name="connection" value="google-oauth2">
<button type="submit">Continue with Google</button></form>
<form method="post" action="/next"><input type="hidden" name="state" value="s"><input name="username" inputmode="email">
<button type="submit" name="action" value="default">Continue</button></form>"""
ASP_NET = """<form method="post" action="/next"><input type="email" name="Input.Email"><input type="password"
name="Input.Password"><input type="checkbox" name="Input.RememberMe" value="true"><button type="submit">Log in</button>
<input name="__RequestVerificationToken" type="hidden" value="t"><input name="Input.RememberMe" type="hidden"
value="false"></form>"""
SPRING_CONSENT = """<form method="post" action="/next"><input type="hidden" name="client_id" value="c">
<input type="checkbox" name="scope" value="mcp:use"><button type="submit">Submit Consent</button>
<button type="button">Cancel</button></form>"""
LARAVEL_CONSENT = """<form method="post" action="/next"><input type="hidden" name="_token" value="t">
<button type="submit">Authorize</button></form><form method="post" action="/deny"><input type="hidden" name="_method"
value="DELETE"><button>Cancel</button></form>"""


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        pytest.param(
            KEYCLOAK, "username=alice&password=correct+horse&credentialId=&login=Sign+In", id="Keycloak's login"
        ),
        pytest.param(
            WORDPRESS, "log=alice&pwd=correct+horse&redirect_to=x&wp-submit=Log+In", id="a name that is called log"
        ),
        pytest.param(AUTH0, "state=s&username=alice&action=default", id="a name alone, below another issuer's button"),
        pytest.param(
            ASP_NET,
            "Input.Email=alice&Input.Password=correct+horse&__RequestVerificationToken=t&Input.RememberMe=false",
            id="ASP.NET's login",
        ),
        pytest.param(SPRING_CONSENT, "client_id=c&scope=mcp%3Ause", id="a consent whose scopes have to be ticked"),
        pytest.param(LARAVEL_CONSENT, "_token=t", id="a consent with a form to deny"),
    ],
)
def test_well_known_form_is_filled_in_as_a_person_would(form: str, sent: str) -> None:
    site = Site(start=page(form), next=page("The end"))
    with opened(site):
        assert site.asked[1][1].partition("?")[0] == "/next"
        assert site.asked[1][2] == sent


def test_redirect_with_307_repeats_the_method() -> None:
    site = Site(start=page('<form method=post action="/a"><button>Yes</button></form>'), a=away("/b", 307), b=page("x"))
    with opened(site):
        assert [each[:2] for each in site.asked] == [("GET", "/start"), ("POST", "/a"), ("POST", "/b")]


def test_nobody_fills_in_anything_without_a_person() -> None:
    with opened(Site(start=page(LOGIN.format("Go"))), None) as arrival:
        assert arrival.why.startswith("it ends at a page")


def test_public_target_leads_nobody_into_a_private_network() -> None:
    with opened(Site(), near=False) as arrival:
        assert "which is not opened" in arrival.why
        assert arrival.last.note == arrival.why


def test_password_of_a_person_is_in_no_repr() -> None:
    assert "correct" not in repr(ALICE)


MARKUP = st.lists(
    st.sampled_from(
        [
            "<form",
            "<input type=password",
            "<button",
            "</button",
            "</form",
            ">",
            " name=a",
            ' value="',
            "<!",
            "<![",
            "x]",
        ]
    )
    | st.text(max_size=5),
    max_size=30,
)


@given(MARKUP)
def test_strangers_page_is_never_an_exception(parts: list[str]) -> None:
    for form in forms("".join(parts)):
        assert form.method == form.method.upper()
        assert [each for each in form.controls if each.kind != each.kind.lower()] == []
