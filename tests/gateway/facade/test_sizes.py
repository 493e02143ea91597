"""What travels in URLs and cookies fits through what stands before a gate and before an issuer, at its very largest."""

from __future__ import annotations

import string

import httpx
import pytest

from conformance.issuer import ResourceServer
from gateway.facade.authorize import MAX_STATE
from gateway.facade.browser import MAX_COOKIE
from gateway.facade.client import MAX_NAME
from gateway.facade.redirects import MAX_REDIRECT
from gateway.facade.registration import MAX_CLIENT_ID
from tests.gated import PUBLIC, RESOURCE
from tests.gateway.facade.rig import App, Rig, rig

URL = 8_192  # characters CloudFront takes, which also stands before the domains of user pools
HEAD = 10_240  # bytes of a request's head that API Gateway takes
OTHER_HEADERS = 1_200  # bytes that a browser sends besides
COOKIES = len("__Host-bearergate-browser=; __Host-bearergate-approvals=") + 32 + MAX_COOKIE
ANSWER = 8_192  # bytes of an answer's head that proxies can be told to read
NGINX = 4_096  # bytes of one that nginx reads without being told
SCOPES = [f"{RESOURCE}/reports:{letter * 12}" for letter in string.ascii_lowercase[:15]]
STATES = {
    "text": "s" * (MAX_STATE - 2),
    "JSON": '{"a":"b"}' * (MAX_STATE // 23),
    "controls": "\x01" * ((MAX_STATE - 2) // 6),
    "beyond ASCII": "é" * (MAX_STATE // 6),
}


def head(answer: httpx.Response) -> int:
    """Bytes of an answer's head, but for the first line."""
    return sum(len(name) + len(value) + 4 for name, value in answer.headers.raw)


async def largest(made: Rig) -> App:
    """The client that takes the most room of all that can be registered."""
    longest = f"https://app.example/{'x' * (MAX_REDIRECT - 20)}"
    for more in range(0, MAX_CLIENT_ID, 8):
        uris = [longest, f"https://app.example/{'y' * more}"]
        body = {"redirect_uris": uris, "client_name": "\U0001f600" * MAX_NAME}
        answer = await made.http.post(f"{PUBLIC}/oauth/register", json=body)
        if answer.status_code != 201:
            break
        app = App(made, answer.json()["client_id"], longest)
    assert MAX_CLIENT_ID - 32 < len(app.client_id) <= MAX_CLIENT_ID
    return app


@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
async def test_the_largest_login_fits_everywhere(state: str) -> None:
    async with rig(resources=[{"path": "/mcp", "scopes": SCOPES}], facade={"registrations_per_minute": 999}) as made:
        made.issuer.add_resource(ResourceServer(RESOURCE, {name.rpartition("/")[2]: "Read" for name in SCOPES}))
        app = await largest(made)
        url = app.url(state=state, scope=" ".join(SCOPES))
        page = await made.browser.open(url)
        answer = await made.browser.http.post(
            f"{PUBLIC}/oauth/consent", data={**page.form.fields, "decision": "approve"}
        )
        done = await made.browser.log_in(url)
        callback = (
            len(f"{PUBLIC}/oauth/callback?code=&state=") + 36 + len(made.way.asked("/oauth2/authorize")[-1]["state"])
        )
        assert done.parameters["state"] == state
        assert (await app.redeem(done.parameters["code"])).status_code == 200
        assert max(len(url), len(answer.headers["location"]), callback, len(done.left_for)) < URL
        assert max(len(url), callback) + COOKIES + OTHER_HEADERS < HEAD
        assert head(answer) < ANSWER


async def test_the_answers_of_an_ordinary_login_fit_through_nginx_as_it_comes() -> None:
    async with rig() as made:
        for number in range(30):  # until the browser remembers no more
            app = await made.register(client_name=f"An ordinary client {number}")
            page = await made.browser.open(app.url(state="s" * 64))
            form = {**page.form.fields, "decision": "approve"}
            answer = await made.browser.http.post(f"{PUBLIC}/oauth/consent", data=form)
            assert max(head(page.answer), head(answer)) < NGINX
