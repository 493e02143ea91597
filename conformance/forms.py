"""Finds its way through the pages between an authorization request and its answer: logins, consents, redirects."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode

from .addresses import join, may_fetch, split
from .wire import Answer, Header, Wire

MAX_HOPS = 20  # pages and redirects of one authorization
MAX_PASSWORDS = 1  # times the password is given; asked for once more, it was wrong
TYPED = ("text", "email", "tel")
UNTICKED = "unchecked checkbox"
_NAME = re.compile(r"user|e-?mail|login|account|identifier|^name$", re.IGNORECASE)
_YES = re.compile(r"allow|approve|accept|authori[sz]e|\byes\b|continue|confirm|consent|grant|agree", re.IGNORECASE)
_NO = re.compile(r"deny|cancel|reject|\bno\b|decline|refuse|\bback\b|disallow|log ?out|sign ?out", re.IGNORECASE)


@dataclass
class Control:
    """An input or a button."""

    name: str
    kind: str
    value: str
    text: str = ""

    @property
    def words(self) -> str:
        """What a person reads on a button, and what it sends."""
        return f"{self.text} {self.name} {self.value}"


@dataclass
class Form:
    """A form of a page."""

    action: str
    method: str
    controls: list[Control] = field(default_factory=list)

    def of_kind(self, *kinds: str) -> list[Control]:
        """The controls of these kinds."""
        return [control for control in self.controls if control.kind in kinds]


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._form: Form | None = None
        self._button: Control | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(has.get("action", ""), has.get("method", "get").upper())
            self.found.append(self._form)
        elif self._form is not None and tag == "input":
            self._form.controls.append(_input(has))
        elif self._form is not None and tag == "button":
            self._button = Control(has.get("name", ""), has.get("type", "submit").lower(), has.get("value", ""))
            self._form.controls.append(self._button)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "button":
            self._button = None

    def handle_data(self, data: str) -> None:
        if self._button is not None:
            self._button.text += data


def _input(has: dict[str, str]) -> Control:
    kind = has.get("type", "text").lower()
    value = has.get("value", "on" if kind == "checkbox" else "")
    unchecked = kind in ("checkbox", "radio") and "checked" not in has
    return Control(has.get("name", ""), f"unchecked {kind}" if unchecked else kind, value)


def forms(page: str) -> list[Form]:
    """The forms of a page."""
    parser = _Forms()
    with contextlib.suppress(AssertionError):  # how the parser gives up on some broken declarations
        parser.feed(page)
    return parser.found


@dataclass(frozen=True)
class Person:
    """Who logs in."""

    name: str
    password: str = field(repr=False)


@dataclass
class Arrival:
    """Where an authorization ended: at the redirect URI with parameters, or at a page that leads nowhere."""

    parameters: dict[str, str] | None
    pages: list[Answer]
    why: str = ""  # it did not arrive
    approvals: list[Answer] = field(default_factory=list)  # the pages on which something was approved

    @property
    def last(self) -> Answer:
        """The last thing that was answered."""
        return self.pages[-1]

    @property
    def code(self) -> str:
        """The authorization code; "" without one."""
        return (self.parameters or {}).get("code", "")


class Browser:
    """A browser without a screen: it keeps cookies by host, and follows redirects and forms."""

    def __init__(self, wire: Wire, *, near: bool) -> None:
        self._wire = wire
        self._near = near
        self._cookies: dict[str, dict[str, str]] = {}

    def authorize(self, url: str, landings: tuple[str, ...], person: Person | None) -> Arrival:
        """Open an authorization URL and do what its pages ask, until it leads to one of `landings`."""
        arrival = Arrival(None, [])
        passwords, step = 0, ("GET", url, b"")
        while len(arrival.pages) < MAX_HOPS:
            method, url, body = step
            if not may_fetch(url, self._near):
                arrival.why = f"it leads to {split(url).scheme}://{split(url).hostname}, which is not opened"
                arrival.pages.append(Answer(method, url, (), body, note=arrival.why))
                return arrival
            answer = self._open(method, url, body)
            arrival.pages.append(answer)
            if 300 <= answer.status < 400 and answer.header("location"):
                to = join(url, answer.header("location"))
                if any(_same_page(to, each) for each in landings):
                    arrival.parameters = _parameters(to)
                    return arrival
                step = ("GET" if answer.status not in (307, 308) else method, to, b"")
                continue
            asks = _asks_password(answer)
            if person is None or answer.media_type != "text/html" or (answer.status >= 400 and not asks):
                arrival.why = f"it ends at a page: {answer.said()}"
                return arrival
            passwords += asks
            form = _filled(answer, person)
            if form is None or passwords > MAX_PASSWORDS:
                arrival.why = (
                    "the password was refused"
                    if passwords > MAX_PASSWORDS
                    else "a page has no form that could be filled in"
                )
                return arrival
            if not asks:
                arrival.approvals.append(answer)
            step = form
        arrival.why = f"it had not ended after {MAX_HOPS} pages and redirects"
        return arrival

    def _open(self, method: str, url: str, body: bytes) -> Answer:
        parts = split(url)
        fields: list[Header] = [
            ("Accept", "text/html,*/*;q=0.8"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ]
        if jar := self._cookies.get(parts.netloc):
            fields.append(("Cookie", "; ".join(f"{name}={value}" for name, value in jar.items())))
        if method == "POST":
            fields += [
                ("Content-Type", "application/x-www-form-urlencoded"),
                ("Origin", f"{parts.scheme}://{parts.netloc}"),
                ("Sec-Fetch-Site", "same-origin"),
            ]
        answer = self._wire.send(method, url, fields, body)
        self._keep(parts.netloc, answer.all("set-cookie"))
        return answer

    def _keep(self, host: str, cookies: list[str]) -> None:
        jar = self._cookies.setdefault(host, {})
        for cookie in cookies:
            name, _, value = cookie.partition(";")[0].strip().partition("=")
            if re.search(r"max-age=(0|-\d+)\b", cookie, re.IGNORECASE) or not value:
                jar.pop(name, None)
            else:
                jar[name] = value


def _same_page(url: str, redirect_uri: str) -> bool:
    return url.partition("#")[0].partition("?")[0] == redirect_uri.partition("?")[0]


def _parameters(url: str) -> dict[str, str]:
    parts = split(url)
    return dict(parse_qsl(parts.query, keep_blank_values=True))


def _asks_password(page: Answer) -> bool:
    return any(form.of_kind("password") for form in forms(page.text))


def _filled(page: Answer, person: Person) -> tuple[str, str, bytes] | None:
    """What a person would send: the login form filled in, or the button that approves."""
    ordered = sorted(forms(page.text), key=lambda form: (not form.of_kind("password"), _who(form) is None))
    for form in ordered:
        sent = _values(form, person)
        if sent is not None:
            url = join(page.url, form.action or page.url)
            encoded = urlencode(sent)
            if form.method == "POST":
                return "POST", url, encoded.encode()
            return "GET", f"{url.partition('?')[0]}?{encoded}", b""
    return None


def _who(form: Form) -> Control | None:
    """Where a person's name goes: by its name, else before the password."""
    typed = form.of_kind(*TYPED)
    named = [each for each in typed if _NAME.search(each.name)]
    if named or not (passwords := form.of_kind("password")):
        return next(iter(named), None)
    before = form.controls[: form.controls.index(passwords[0])]
    return next((each for each in reversed(before) if each.kind in TYPED), None)


def _values(form: Form, person: Person) -> list[tuple[str, str]] | None:
    who = _who(form)
    login = who is not None or bool(form.of_kind("password"))
    sent = []
    # Who approves ticks what is asked for; who logs in leaves out what nobody has to tick.
    for control in form.of_kind("hidden", *TYPED, "password", "checkbox", "radio", *([] if login else [UNTICKED])):
        value = person.password if control.kind == "password" else person.name if control is who else control.value
        if control.name:
            sent.append((control.name, value))
    buttons = form.of_kind("submit", "image")
    wanted = [each for each in buttons if not _NO.search(each.words)]
    approving = [each for each in wanted if _YES.search(each.words)] or (wanted if login else [])
    if not approving and not (login and not buttons):
        return None
    if approving and approving[0].name:
        sent.append((approving[0].name, approving[0].value))
    return sent
