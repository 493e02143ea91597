"""The pages a person sees: the login form and the error page. No script, no request to anywhere else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse

_STYLE = """
:root { color-scheme: light dark; --page: #f3f5f8; --card: #fff; --text: #1b2430; --soft: #566374;
  --line: #8592a3; --accent: #1f5fbf; --on-accent: #fff; --alert: #a3141e; --alert-page: #fdecee; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --card: #1b212a; --text: #e9edf2;
  --soft: #a7b3c2; --line: #6f7d8f; --accent: #8ab8ff; --on-accent: #0c1a2e; --alert: #ffb3b8;
  --alert-page: #3a1a1f; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: flex; align-items: center; justify-content: center;
  padding: 1.5rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { width: 100%; max-width: 26rem; padding: 2rem; background: var(--card); border-radius: .75rem;
  box-shadow: 0 1px 3px rgb(0 0 0 / .12), 0 8px 24px rgb(0 0 0 / .08); overflow-wrap: anywhere; }
h1 { margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.25; }
p, ul { margin: 0 0 1rem; }
ul { padding-left: 1.25rem; }
.soft { color: var(--soft); font-size: .875rem; }
[role=alert] { padding: .75rem 1rem; border-left: 4px solid var(--alert); border-radius: .25rem;
  background: var(--alert-page); color: var(--alert); font-weight: 600; }
label { display: block; margin-bottom: .25rem; font-weight: 600; }
input { width: 100%; margin-bottom: 1rem; padding: .625rem .75rem; font: inherit; color: inherit;
  background: transparent; border: 1px solid var(--line); border-radius: .375rem; }
button { width: 100%; min-height: 2.75rem; margin-top: .25rem; padding: .5rem 1rem; font: inherit;
  font-weight: 600; border: 1px solid var(--accent); border-radius: .375rem; cursor: pointer; }
button.main { background: var(--accent); color: var(--on-accent); }
button.other { margin-top: .75rem; background: transparent; color: var(--accent); border-color: var(--line); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
footer { margin-top: 1.25rem; padding-top: 1rem;
  border-top: 1px solid color-mix(in srgb, var(--line) 35%, transparent); }
footer p { margin: 0 0 .25rem; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

# There is no form-action on purpose: Chromium applies it to every redirect that follows a form (measured with
# version 156), and where a login ends is not known here: behind a gateway's callback any app's scheme may follow.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class LoginForm:
    """What the login page says."""

    client: str  # its name for a person
    note: str  # where that name comes from, if nobody has checked it
    wishes: Iterable[str]  # what the scopes allow, in words
    destination: str  # where the person is sent afterwards
    issuer: str
    action: str  # where the form goes; holds the random value of this login
    name: str = ""  # what to fill in as the user name
    alert: str = ""


def login_page(form: LoginForm, status: int = 200) -> HTMLResponse:
    """The login page; with `alert` it says first what went wrong."""
    title = f"Sign in to continue to {form.client}"
    wishes = "".join(f"<li>{escape(wish)}</li>" for wish in form.wishes)
    asks = f"<p>By signing in you allow it to:</p><ul>{wishes}</ul>" if wishes else ""
    note = f'<p class="soft">{escape(form.note)}</p>' if form.note else ""
    wrong = ' aria-invalid="true" aria-describedby="alert"' if form.alert else ""
    body = f"""<h1>Sign in</h1>
<p>to continue to <strong>{escape(form.client)}</strong></p>
{note}{_alert(form.alert)}{asks}
<form method="post" action="{escape(form.action)}">
<label for="username">User name</label>
<input id="username" name="username" value="{escape(form.name)}" autocomplete="username" autocapitalize="none"
 spellcheck="false" required{wrong}{"" if form.name else " autofocus"}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password"
 required{wrong}{" autofocus" if form.name else ""}>
<button class="main" type="submit">Sign in</button>
<button class="other" type="submit" name="cancel" value="yes" formnovalidate>Cancel</button>
</form>
<footer>
<p class="soft">You will be sent back to {escape(form.destination)}.</p>
<p class="soft">Signing in at {escape(urlsplit(form.issuer).netloc)}</p>
</footer>"""
    return _page(f"Error: {title}" if form.alert else title, body, status)


def error_page(sentence: str, status: int = 400) -> HTMLResponse:
    """A page that says what is wrong and what to do; nothing on it comes from the request."""
    return _page(
        "This sign-in cannot go on",
        f"<h1>This sign-in cannot go on</h1>{_alert(sentence)}"
        "<p>You have not been sent anywhere, and nothing was shared.</p>",
        status,
    )


def _alert(sentence: str) -> str:
    return f'<p role="alert" id="alert">{escape(sentence)}</p>' if sentence else ""


def _page(title: str, body: str, status: int) -> HTMLResponse:
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body><main>
{body}
</main></body>
</html>
""",
        status,
        _HEADERS,
    )
