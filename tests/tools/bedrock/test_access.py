"""Other accounts: the settings name them, the caller's groups choose, and CloudTrail there shows who it was."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.mcpserver.exceptions import ToolError

from gateway.principal import Principal
from tests.tools.bedrock.cloud import LOG_GROUP, Cloud
from tests.tools.bedrock.conftest import Ask, Call
from tests.tools.bedrock.records import Log
from tests.tools.front import principal
from tools.bedrock.access import Caller, account_for, caller
from tools.bedrock.settings import Account, Settings

OWN, FINANCE, OPEN = "111122223333", "444455556666", "777788889999"


def account(number: str, *groups: str) -> Account:
    return Account(number, groups, f"arn:aws:iam::{number}:role/Reader", f"external-{number}")


SETTINGS = Settings(accounts=(Account(OWN, ("platform",)), account(FINANCE, "finance", "audit"), account(OPEN, "*")))


def somebody(subject: str, *groups: str, **changes: Any) -> Principal:
    return principal(subject, groups=frozenset(groups), **changes)


@pytest.mark.parametrize(
    ("groups", "asked", "found"),
    [
        pytest.param({"platform"}, None, OWN, id="own account by its group"),
        pytest.param({"platform"}, "", OWN, id="no account is an empty text too"),
        pytest.param({"platform"}, OWN, OWN, id="own account by its number"),
        pytest.param({"audit", "x"}, FINANCE, FINANCE, id="other account by one of its groups"),
        pytest.param(set(), OPEN, OPEN, id="account for everybody"),
        pytest.param({"finance"}, None, "", id="own account by a group of another"),
        pytest.param({"platform"}, FINANCE, "", id="other account by a group of the own"),
        pytest.param(set(), FINANCE, "", id="no group at all"),
        pytest.param({"*"}, FINANCE, "", id="a group that is called like everybody"),
        pytest.param({"finance"}, "44445555666", "", id="a digit is missing"),
        pytest.param({"finance"}, "\uff1444455556666", "", id="a digit of another script"),
    ],
)
def test_groups_decide_about_accounts(groups: set[str], asked: str | None, found: str) -> None:
    who = Caller("alice", frozenset(groups))
    if found:
        chosen = account_for(SETTINGS, asked, who)
        assert chosen is not None
        assert chosen.id == found
    else:
        with pytest.raises(ToolError) as refused:
            account_for(SETTINGS, asked, who)
        hidden = (
            {OWN, FINANCE, OPEN} - {asked} - {one.id for one in SETTINGS.accounts if groups & set(one.groups)} - {OPEN}
        )
        assert not any(number in str(refused.value) for number in hidden), "accounts of others are not listed"


def test_own_account_needs_no_setting() -> None:
    assert account_for(Settings(), None, Caller("alice", frozenset())) is None


def test_nobody_has_no_groups() -> None:
    assert caller() == Caller("nobody", frozenset())


@given(st.text(min_size=1))
def test_session_name_is_one_that_sts_accepts(name: str) -> None:
    assert re.fullmatch(r"[\w+=,.@-]{2,64}", Caller(name, frozenset()).session_name, re.ASCII)


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_callers_never_share_a_session_name(one: str, other: str) -> None:
    same = Caller(one, frozenset()).session_name == Caller(other, frozenset()).session_name
    assert same == (one == other)


@pytest.mark.parametrize("name", ["alice", "alice@example.com", "0c2f6b1e-93d1-4d0e-a1fb-000000000000"])
def test_session_name_is_the_plain_name_where_it_can_be(name: str) -> None:
    assert Caller(name, frozenset()).session_name == name


async def test_role_is_assumed_with_external_id_and_the_caller_as_session(
    cloud: Cloud, moto: str, tools: Ask, made: list[Call]
) -> None:
    assert moto
    cloud.logs[LOG_GROUP] = Log()
    async with tools(SETTINGS, who=somebody("alice@example.com", "finance")) as client:
        result = await client.call_tool("get_bedrock_usage_report", {"aws_account_id": FINANCE})
    assert not result.is_error, result.content
    assert made[0] == (
        "sts:AssumeRole",
        {
            "RoleArn": f"arn:aws:iam::{FINANCE}:role/Reader",
            "RoleSessionName": "alice@example.com",
            "ExternalId": f"external-{FINANCE}",
            "DurationSeconds": 3600,
        },
    )
    keys = {key for _, _, key in cloud.asked}
    assert len(keys) == 1
    assert keys != {"AKIAOWN"}, "the log was read with the credentials of the role"
    assert result.structured_content is not None
    assert result.structured_content["account"] == FINANCE


async def test_own_account_is_read_with_own_credentials(cloud: Cloud, tools: Ask, made: list[Call]) -> None:
    cloud.logs[LOG_GROUP] = Log()
    async with tools(SETTINGS, who=somebody("bob", "platform")) as client:
        assert not (await client.call_tool("get_bedrock_usage_report", {})).is_error
        assert not (await client.call_tool("get_bedrock_usage_report", {"aws_account_id": OWN})).is_error
    assert {key for _, _, key in cloud.asked} == {"AKIAOWN"}
    assert "sts:AssumeRole" not in [name for name, _ in made]


async def test_role_that_may_not_be_assumed_is_named(tools: Ask, cloud: Cloud) -> None:
    from tests.tools.bedrock.test_refusals import refused  # noqa: PLC0415 - one sentence, checked alike

    assert cloud.sts_refuses == "AccessDenied"
    async with tools(SETTINGS, who=somebody("alice", "finance")) as client:
        said = await refused(client, aws_account_id=FINANCE)
    assert said == (
        "AWS does not let this server do sts:AssumeRole in us-east-1: "
        "allow it in the trust policy of the role and the IAM policy of this server."
    )
