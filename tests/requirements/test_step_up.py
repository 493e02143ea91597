"""RS-403: what a good token without enough rights gets, and how it gets them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.requirements import requirement
from tests.gated import gated
from tests.requirements.callers import (
    EACH_VERSION,
    LOW,
    METADATA,
    MODERN,
    Caller,
    guarded,
    names,
    opening,
    text_of,
    token_of,
)
from tests.requirements.challenges import challenge, lacks_scope, refused_token
from tests.requirements.workshop import ADMIN, Workshop


@EACH_VERSION
@requirement("RS-403-01")
async def test_token_without_the_scope_of_a_tool_gets_403_with_scope_and_metadata(version: str) -> None:
    async with guarded() as door:
        low = await Caller(door.client, version, token_of(door, scopes=LOW)).open()
        answer = await low.call("multi-greet")
        assert "greetings:many" in lacks_scope(answer)
        bare = await low.with_token(None).post(opening(version))
        assert challenge(answer)["resource_metadata"] == challenge(bare)["resource_metadata"] == METADATA


@EACH_VERSION
@requirement("RS-403-01")
async def test_token_without_the_scopes_of_the_resource_gets_403_and_not_401(version: str) -> None:
    async with guarded() as door:
        answer = await Caller(door.client, version, token_of(door, scopes=())).post(opening(version))
        assert lacks_scope(answer) == {"mcp:use"}


@EACH_VERSION
@requirement("RS-403-03")
async def test_one_challenge_names_all_that_the_operation_needs(version: str) -> None:
    async with guarded() as door:
        low = await Caller(door.client, version, token_of(door, scopes=["mcp:use"])).open()
        asked_for = lacks_scope(await low.call("admin-reset"))
        assert asked_for >= set(ADMIN)
        stepped_up = low.with_token(token_of(door, scopes=asked_for))
        assert text_of(await stepped_up.call("admin-reset")) == "reset"


@requirement("RS-403-04")
async def test_challenge_to_2025_11_25_clients_repeats_the_scopes_they_have() -> None:
    async with guarded() as door:
        low = await Caller(door.client, "2025-11-25", token_of(door, scopes=LOW)).open()
        assert lacks_scope(await low.call("multi-greet")) == {*LOW, "greetings:many"}


@EACH_VERSION
@requirement("RS-403-05")
async def test_broader_scope_is_accepted_where_a_narrower_one_is_needed(version: str) -> None:
    hierarchy = {"mcp:all": ["mcp:admin", "mcp:use"], "mcp:admin": ["mcp:write"]}
    async with guarded(scope_hierarchy=hierarchy) as door:
        broad = await Caller(door.client, version, token_of(door, scopes=["mcp:all"])).open()
        assert text_of(await broad.call("admin-reset")) == "reset"
        assert "admin-reset" in names(await broad.ask("tools/list"))
        narrow = broad.with_token(token_of(door, scopes=["mcp:use", "mcp:write"]))
        assert "mcp:admin" in lacks_scope(await narrow.call("admin-reset"))


NOT_FILES_READ = ("files:readwrite", "FILES:READ", "xfiles:read", "files", "files:", "files:rea", "files:read,x", "*")


@pytest.mark.parametrize("scope", [*NOT_FILES_READ, "files:\tread", " ".join(NOT_FILES_READ), ""])
@EACH_VERSION
@requirement("RS-403-06")
async def test_scope_that_only_resembles_the_needed_one_opens_nothing(version: str, scope: str) -> None:
    async with gated(resource={"scopes": ["files:read"]}) as door:
        answer = await Caller(door.client, version, token_of(door, scope=scope)).post(opening(version))
        assert "files:read" in lacks_scope(answer)
        assert not door.app.scopes


@pytest.mark.parametrize("scope", [["files:read"], 5, True, {"files:read": 1}, None], ids=json.dumps)
@requirement("RS-403-06")
async def test_scope_that_is_no_text_makes_the_token_invalid(scope: Any) -> None:
    async with gated(resource={"scopes": ["files:read"]}) as door:
        refused_token(await Caller(door.client, MODERN, token_of(door, scope=scope)).post(opening(MODERN)))


@requirement("RS-403-06")
async def test_scope_is_a_set_whose_order_and_blanks_do_not_count() -> None:
    async with gated(resource={"scopes": ["files:read"]}) as door:
        token = token_of(door, scope=" x  files:read   files:read y ")
        assert (await Caller(door.client, MODERN, token).post(opening(MODERN))).status_code == 200


@EACH_VERSION
@requirement("RS-403-07")
async def test_refusal_that_no_scope_cures_does_not_speak_of_scope(version: str) -> None:
    rules = [{"tools": ["whoami"], "groups": ["admins"]}]
    async with guarded(resource={"rules": rules}) as door:
        bob = await Caller(door.client, version, token_of(door, "bob")).open()  # bob has every scope and no group
        answer = await bob.call("whoami")
        assert answer.status_code == 403
        assert "www-authenticate" not in answer.headers
        assert "insufficient_scope" not in answer.text
        alice = await Caller(door.client, version, token_of(door)).open()
        assert (await alice.call("whoami")).status_code == 200


@EACH_VERSION
@requirement("RS-403-08")
async def test_what_a_list_hides_is_refused_by_name_too(version: str) -> None:
    workshop = Workshop()
    async with guarded(workshop) as door:
        low = await Caller(door.client, version, token_of(door, scopes=["mcp:use"])).open()
        assert "admin-reset" not in names(await low.ask("tools/list"))
        assert lacks_scope(await low.call("admin-reset"))
        assert "greeting-template" not in names(await low.ask("prompts/list"), "prompts")
        assert lacks_scope(await low.ask("prompts/get", {"name": "greeting-template"}))
        assert "secret://plans" not in names(await low.ask("resources/list"), "resources")
        assert lacks_scope(await low.ask("resources/read", {"uri": "secret://plans"}))
    assert not workshop.done
