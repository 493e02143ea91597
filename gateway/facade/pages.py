"""The pages of the facade: the consent page and the one that says why it cannot go on. No script, no other host."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape

import msgspec
from starlette.responses import HTMLResponse

STYLE = """
:root { color-scheme: light dark; --page: #eef1f5; --card: #fff; --ink: #17202b; --quiet: #55606e; --rule: #d5dbe3;
  --edge: #7d8997; --act: #0b57d0; --on-act: #fff; --warn: #7a4b00; --warn-page: #fff4dc; --bad: #a1121d; }
@media (prefers-color-scheme: dark) { :root { --page: #0f1318; --card: #181e26; --ink: #e8ecf1; --quiet: #a9b4c0;
  --rule: #2c3641; --edge: #76828f; --act: #a8c7fa; --on-act: #062e6f; --warn: #ffd892; --warn-page: #35290f;
  --bad: #ffb4ab; } }
* { box-sizing: border-box; }
html { font: 100%/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
body { margin: 0; padding: 1.25rem; min-height: 100vh; display: grid; place-items: center; background: var(--page);
  color: var(--ink); }
main { width: min(100%, 30rem); padding: clamp(1.25rem, 6vw, 2.25rem); background: var(--card); border-radius: 1rem;
  border: 1px solid var(--rule); overflow-wrap: anywhere; }
h1 { margin: 0 0 1rem; font-size: 1.375rem; line-height: 1.3; font-weight: 650; overflow: clip; }
h2 { margin: 1.5rem 0 .5rem; font-size: 1rem; }
p { margin: 0 0 .75rem; }
ul { margin: 0; padding: 0; list-style: none; border: 1px solid var(--rule); border-radius: .625rem; }
li { padding: .625rem .875rem; }
li + li { border-top: 1px solid var(--rule); }
code { font-family: ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace; font-size: .8125rem; }
li code { display: block; color: var(--quiet); }
dl { margin: 1.25rem 0 0; display: grid; grid-template-columns: max-content 1fr; gap: .25rem .875rem;
  font-size: .875rem; }
dt { color: var(--quiet); }
dd { margin: 0; }
.note { padding: .625rem .875rem; border-radius: .625rem; background: var(--warn-page); color: var(--warn);
  font-size: .875rem; }
[role=alert] { padding: .625rem .875rem; border: 1px solid var(--bad); border-radius: .625rem; color: var(--bad);
  font-weight: 600; }
form { display: flex; flex-wrap: wrap; gap: .75rem; margin-top: 1.75rem; }
button { flex: 1 1 9rem; min-height: 2.875rem; padding: .5rem 1.25rem; font: inherit; font-weight: 600;
  border-radius: 1.5rem; border: 1px solid var(--edge); background: transparent; color: inherit; cursor: pointer; }
button[value=approve] { background: var(--act); border-color: var(--act); color: var(--on-act); }
:focus-visible { outline: 3px solid var(--act); outline-offset: 3px; }
footer { margin-top: 1.5rem; color: var(--quiet); font-size: .8125rem; }
footer p:last-child { margin: 0; }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

# No form-action on purpose: Chromium applies it to every redirect that follows a form, and where a login ends, in
# any app's own scheme, is not known here. What the form sends is only good at this origin. And no
# Cross-Origin-Opener-Policy: web clients open a login in a pop-up, whose last page tells the one that opened it.
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",  # with no-referrer the form's Origin would be null, and could not be checked
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class ConsentPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the consent page says."""

    client: str
    note: str  # where the client's name comes from, if nobody has checked it
    server: str  # name of the resource
    resource: str  # its URL
    wishes: Sequence[tuple[str, str]]  # what each scope allows in words, and its name
    destination: str  # where the person is sent in the end
    elsewhere: bool  # another site, not an app on this device
    action: str
    consent: str  # sealed
    alert: str = ""


def consent_page(page: ConsentPage) -> HTMLResponse:
    """The page that asks whether a client may have what it wants."""
    alert = f'<p role="alert">{escape(page.alert)}</p>\n' if page.alert else ""
    note = f'<p class="note">{escape(page.note)}</p>\n' if page.note else ""
    wishes = "".join(f"<li>{_wish(words, scope)}</li>\n" for words, scope in page.wishes)
    heading = '<h2 id="wishes">It will be able to</h2>\n<ul role="list" aria-labelledby="wishes">'
    allows = f"{heading}\n{wishes}</ul>\n" if wishes else ""
    body = f"""<h1>Let “<bdi>{escape(page.client)}</bdi>” use <bdi>{escape(page.server)}</bdi> as you?</h1>
{alert}{note}{allows}<dl>
<dt>Server</dt><dd>{escape(page.resource)}</dd>
<dt>Sends you to</dt><dd><strong>{escape(page.destination)}</strong></dd>
</dl>
<form method="post" action="{escape(page.action)}">
<input type="hidden" name="consent" value="{escape(page.consent)}">
<button type="submit" name="decision" value="deny">Cancel</button>
<button type="submit" name="decision" value="approve">Allow</button>
</form>
<footer>
<p>Only go on if you started this yourself{" and know that site" if page.elsewhere else ""}. You log in on the next
page; the app never sees your password.</p>
</footer>"""
    return _page(f"Allow {page.client}?", body, 200)


def error_page(sentence: str, reference: str, status: int) -> HTMLResponse:
    """A page that says what is wrong and what to do; nothing on it comes from the request."""
    body = f"""<h1>This login cannot go on</h1>
<p role="alert">{escape(sentence)}</p>
<p>You have not been sent anywhere, and the app got nothing.</p>
<footer><p>Reference for whoever runs this server: <code>{escape(reference)}</code></p></footer>"""
    return _page("This login cannot go on", body, status)


def _wish(words: str, scope: str) -> str:
    return f"{escape(words)}<code>{escape(scope)}</code>" if words else f"<code>{escape(scope)}</code>"


def _page(title: str, body: str, status: int) -> HTMLResponse:
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
""",
        status,
        HEADERS,
    )
