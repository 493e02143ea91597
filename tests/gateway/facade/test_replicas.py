"""Gates with the same keys are one, also while one is replaced and while keys are exchanged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.gated import RESOURCE
from tests.gateway.facade.rig import KEY, App, Page, Rig, new_key, rig

Between = Callable[[], Awaitable[None]]


async def step_by_step(made: Rig, app: App, between: Between) -> tuple[Page, Any, Any]:
    """Every step of a login, something happening between any two."""
    page = await made.browser.open(app.url())
    await between()
    form = await made.browser.submit(page, decision="approve")
    await between()
    done = await made.browser.submit(form, username="alice", password="wonderland")
    await between()
    tokens = await app.redeem(done.parameters["code"])
    await between()
    return done, tokens, await app.refresh(tokens.json()["refresh_token"])


async def test_requests_that_alternate_between_two_gates_lose_nothing() -> None:
    async with rig(gates=2) as made:

        async def nothing() -> None: ...

        for _ in range(2):
            app = await made.register()
            _, tokens, again = await step_by_step(made, app, nothing)
            made.network.turn += 1  # the other one begins
            assert (tokens.status_code, again.status_code) == (200, 200)
            bearer = {"authorization": f"Bearer {again.json()['access_token']}"}
            for _ in range(2):
                assert (await made.http.get(RESOURCE, headers=bearer)).status_code == 200


async def test_a_gate_replaced_at_every_step_loses_nothing() -> None:
    async with rig() as made:
        app = await made.register()

        async def replace() -> None:
            await made.replace()

        _, tokens, again = await step_by_step(made, app, replace)
        assert (tokens.status_code, again.status_code) == (200, 200)
        page = await made.browser.open(app.url())
        assert "consent" not in page.form.fields, "the consent is remembered by the browser, not by a gate"


async def test_keys_exchanged_at_every_step_lose_nothing() -> None:
    async with rig() as made:
        app = await made.register()
        keys = [KEY]

        async def exchange() -> None:
            keys.insert(0, new_key())
            await made.replace(seal_keys=keys)

        _, tokens, again = await step_by_step(made, app, exchange)
        assert (tokens.status_code, again.status_code) == (200, 200)


@pytest.mark.parametrize("step", range(4))
async def test_a_key_that_is_gone_is_a_clean_refusal(step: int) -> None:
    async with rig() as made:
        app = App(made, "known", "https://app.example/callback")
        steps: list[int] = []

        async def lose() -> None:
            steps.append(1)
            if len(steps) == step + 1:
                await made.replace(seal_keys=[new_key()])

        if step < 2:
            with pytest.raises((AssertionError, KeyError)):  # the page that is shown has no form, and leads nowhere
                await step_by_step(made, app, lose)
            assert made.log[-1]["status"] == 400
            assert made.log[-1]["reason"] == "shown"
        elif step == 2:
            with pytest.raises(KeyError):
                await step_by_step(made, app, lose)
            assert (made.log[-1]["status"], made.log[-1]["reason"]) == (400, "invalid_grant")
        else:
            *_, again = await step_by_step(made, app, lose)
            assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


async def test_a_registration_whose_key_is_gone_is_invalid_client() -> None:
    async with rig() as made:
        app = await made.register()
        tokens = await app.tokens()
        await made.replace(seal_keys=[new_key()])
        answer = await app.refresh(tokens["refresh_token"])
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        page = await made.browser.open(app.url())
        assert page.answer.status_code == 400
        assert "remove this server and add it again" in page.answer.text
        fresh = await made.register()
        assert (await fresh.redeem(await fresh.code())).status_code == 200
