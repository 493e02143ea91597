"""Cedar policies decide after scopes and rules: what passes, what is refused, and that nothing slips past them."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app import build
from gateway.cedar import Cedar
from gateway.cedar_policies import InvalidPolicy, problems_of
from gateway.cedar_schema import NotRepresentable, represent
from gateway.errors import DeniedByCedar
from gateway.operation import Operation, Target, operations
from gateway.policy import Policy
from gateway.principal import Principal
from gateway.settings import CedarSettings
from gateway.sources import SettingsError, parse
from tests.gated import INITIALIZE, ISSUER, PUBLIC, RESOURCE, TOOLS_LIST, Recorder, gated, tools_call

ROOT = Path(__file__).parents[2]
FRIDAY_NOON = 1_795_176_000.0  # 2026-11-20 12:00 UTC
CONNECT = 'permit(principal, action in Action::"connect", resource is Server);'
POLICIES = (
    CONNECT
    + """
@id("small-payments")
permit(principal, action == Action::"tools/call", resource == Tool::"pay")
  when { context.arguments has amount && context.arguments.amount <= 100 };

@id("admins-use-everything")
permit(principal in Group::"admins", action in Action::"use", resource);

@id("not-the-vault")
@advice("The vault is closed: ask the treasurer.")
forbid(principal, action, resource == Tool::"vault");
"""
)
CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"amount":%d}}}'
ARGUMENTS = {"pay": {"amount": "Long"}}


def settings(policies: str = POLICIES, **more: Any) -> CedarSettings:
    return CedarSettings(policies=policies, **({"arguments": ARGUMENTS} | more))


def cedar(policies: str = POLICIES, at: float = FRIDAY_NOON, **more: Any) -> Cedar:
    return Cedar(settings(policies, **more), RESOURCE, lambda: at)


def who(*groups: str, machine: bool = False, scopes: tuple[str, ...] = (), **claims: Any) -> Principal:
    return Principal(
        ISSUER, "bob", "c", frozenset(scopes), frozenset(groups), 0.0, is_client=machine, claims=tuple(claims.items())
    )


def call(name: str, arguments: str = "{}", method: str = "tools/call") -> list[Operation]:
    """A call with these arguments."""
    return [Operation(method, (Target("tool", name),), 1, arguments.encode())]


def passes(policies: Cedar, asked: list[Operation], principal: Principal | None = None, **more: Any) -> bool:
    try:
        policies.check(principal or who(), asked, **more)
    except DeniedByCedar:
        return False
    return True


class TestDeciding:
    def test_what_no_policy_permits_is_refused(self) -> None:
        with pytest.raises(DeniedByCedar, match="no policy permits tools/call of tool 'other'") as refusal:
            cedar().check(who(), call("other"))
        assert refusal.value.description == DeniedByCedar.description

    def test_forbidding_policy_is_named_in_the_log_and_its_advice_told_to_the_caller(self) -> None:
        with pytest.raises(DeniedByCedar, match="'vault' is forbidden by not-the-vault") as refusal:
            cedar().check(who("admins"), call("vault"))
        assert refusal.value.description == "The vault is closed: ask the treasurer."

    def test_policy_without_id_is_named_by_its_place(self) -> None:
        with pytest.raises(DeniedByCedar, match="by policy1"):
            cedar(CONNECT + "forbid(principal, action, resource is Tool);").check(who(), call("x"))

    @pytest.mark.parametrize(
        ("policy", "principal", "allowed"),
        [
            pytest.param('principal.issuer == "https://issuer.example"', who(), True, id="issuer"),
            pytest.param('principal.subject == "bob"', who(), True, id="subject"),
            pytest.param('principal == Person::"https://issuer.example#bob"', who(), True, id="issuer and subject"),
            pytest.param(
                'principal == Person::"https://issuer.example#bob"',
                who(machine=True),
                False,
                id="a machine of that name",
            ),
            pytest.param("principal is Machine", who(machine=True), True, id="machine"),
            pytest.param('principal.client_id == "c"', who(), True, id="client"),
            pytest.param('principal.scopes.contains("a")', who(scopes=("a", "b")), True, id="scope"),
            pytest.param('principal.scopes.contains("A")', who(scopes=("a",)), False, id="scopes count by case"),
            pytest.param('principal.groups.contains("g")', who("g"), True, id="groups as a set"),
            pytest.param('principal in Group::"g"', who("g"), True, id="groups as parents"),
            pytest.param('principal in Group::"g"', who("G"), False, id="groups count by case"),
            pytest.param('principal.claims has team && principal.claims.team == "x"', who(team="x"), True, id="claim"),
            pytest.param(
                'principal.claims has team && principal.claims.team == "x"', who(), False, id="claim that is missing"
            ),
            pytest.param('resource.name like "p*"', who(), True, id="name by pattern"),
            pytest.param(f'resource in Server::"{RESOURCE}"', who(), True, id="server"),
            pytest.param('context.method == "tools/call"', who(), True, id="method"),
            pytest.param('context has revision && context.revision == "2025-11-25"', who(), True, id="revision"),
            pytest.param("context.hour >= 9 && context.hour < 17", who(), True, id="hour"),
            pytest.param("context.weekday == 5", who(), True, id="weekday"),
            pytest.param("context.time == 1795176000", who(), True, id="time"),
        ],
    )
    def test_policy_may_ask_about(self, policy: str, principal: Principal, allowed: bool) -> None:
        policies = cedar(f"permit(principal, action, resource) when {{ {policy} }};", claims={"team": "String"})
        assert passes(policies, call("pay", '{"amount":1}'), principal, revision="2025-11-25") is allowed

    @pytest.mark.parametrize(
        ("message", "allowed"),
        [
            pytest.param({"method": "initialize"}, True, id="handshake"),
            pytest.param({"method": "tools/list"}, True, id="list"),
            pytest.param({"id": 1, "result": {}}, True, id="answer of the client"),
            pytest.param({"method": "tasks/get", "params": {}}, False, id="method that MCP has not"),
            pytest.param({"method": "Tools/Call", "params": {"name": "x"}}, False, id="method in another case"),
            pytest.param({"method": "resources/subscribe", "params": {}}, False, id="subscription to nothing"),
            pytest.param({"method": "subscriptions/listen"}, True, id="listening to the server"),
            pytest.param(
                {"method": "subscriptions/listen", "params": {"notifications": {"resourceSubscriptions": ["a:b"]}}},
                False,
                id="listening to a resource",
            ),
            pytest.param(
                {"method": "completion/complete", "params": {"ref": {"name": "x", "uri": "a:b"}}},
                False,
                id="completion",
            ),
        ],
    )
    def test_connecting_is_one_permission_and_uses_nothing(self, message: dict[str, Any], allowed: bool) -> None:
        assert passes(cedar(CONNECT), operations(json.dumps(message).encode())) is allowed

    @pytest.mark.parametrize(("method", "allowed"), [("GET", True), ("DELETE", True), ("PUT", False), ("HEAD", False)])
    def test_request_without_message_is_judged_by_its_method(self, method: str, allowed: bool) -> None:
        assert passes(cedar(CONNECT), [], method=method) is allowed

    def test_method_that_mcp_has_not_can_be_permitted_by_name(self) -> None:
        policies = cedar('permit(principal, action == Action::"other", resource) when {context.method == "tasks/get"};')
        assert passes(policies, [Operation("tasks/get")])
        assert not passes(policies, [Operation("tasks/list")])

    def test_batch_passes_only_as_a_whole(self) -> None:
        """2025-03-26 has batches."""
        assert passes(cedar(), [*call("pay", '{"amount":1}'), *call("pay", '{"amount":2}')])
        assert not passes(cedar(), [*call("pay", '{"amount":1}'), *call("pay", '{"amount":101}')])


class TestAttacks:
    @pytest.mark.parametrize(
        "arguments",
        [
            pytest.param('{"amount":101}', id="too much"),
            pytest.param("{}", id="absent argument"),
            pytest.param('{"amount":null}', id="null"),
            pytest.param('{"amount":"1"}', id="text"),
            pytest.param('{"amount":1.5}', id="fraction"),
            pytest.param('{"amount":1.0}', id="whole number written as a fraction"),
            pytest.param('{"amount":1e0}', id="exponent"),
            pytest.param('{"amount":1e999999999}', id="number without end"),
            pytest.param('{"amount":true}', id="true is not one"),
            pytest.param('{"amount":[1]}', id="list"),
            pytest.param('{"amount":{"__extn":{"fn":"decimal","arg":"1.0"}}}', id="Cedar's own escape"),
            pytest.param('{"amount":{"__entity":{"type":"Tool","id":"x"}}}', id="an entity"),
            pytest.param('{"amount":-9223372036854775809}', id="below 64 bits"),
            pytest.param('{"amount":18446744073709551617}', id="1 modulo 64 bits"),
            pytest.param('{"amount":1' + "0" * 5000 + "}", id="more digits than Python reads"),
            pytest.param('{"amount":101,"amount":1}', id="member twice, small last"),
            pytest.param('{"amount":1,"amount":101}', id="member twice, small first"),
            pytest.param('{"amount":1,"\\u0061mount":101}', id="member twice, escaped"),
            pytest.param('{"amount":1,"Amount":101}', id="member in another case, as lenient readers take it"),
            pytest.param('{"amount":1,"AMOUNT":101}', id="member in capitals"),
            pytest.param('{"amount":1,"x":{"a":1,"a":2}}', id="member twice, deeper"),
            pytest.param('{"Amount":1}', id="only in another case"),
            pytest.param("null", id="no arguments"),
            pytest.param("[]", id="arguments as a list"),
            pytest.param("[" * 2000 + "]" * 2000, id="nested without end"),
        ],
    )
    def test_argument_that_is_not_plainly_allowed_is_refused(self, arguments: str) -> None:
        assert not passes(cedar(), call("pay", arguments))

    @pytest.mark.parametrize(
        "arguments",
        [
            pytest.param('{"amount":"500"}', id="text"),
            pytest.param('{"amount":500.0}', id="fraction"),
            pytest.param('{"amount":null}', id="null"),
            pytest.param('{"amount":99999999999999999999}', id="out of range"),
            pytest.param('{"Amount":500}', id="another case"),
            pytest.param('{"amount":500,"amount":1}', id="twice"),
        ],
    )
    def test_no_value_slips_past_a_forbidding_policy(self, arguments: str) -> None:
        policy = "when { context.arguments has amount && context.arguments.amount > 100 };"
        policies = cedar(f"permit(principal, action, resource); forbid(principal, action, resource) {policy}")
        assert passes(policies, call("pay", '{"amount":100}'))
        assert passes(policies, call("pay"))
        assert not passes(policies, call("pay", arguments))

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param("Pay", id="case"),
            pytest.param("pay ", id="blank"),
            pytest.param("pay\u200b", id="zero-width space"),
            pytest.param("p\u0430y", id="Cyrillic a"),
            pytest.param("\uff50\uff41\uff59", id="full width"),
            pytest.param("pay\x00", id="NUL"),
            pytest.param("pay\n", id="line end"),
            pytest.param('x" || true || "', id="injection"),
            pytest.param("", id="empty"),
        ],
    )
    def test_name_that_is_like_a_permitted_one_is_not_permitted(self, name: str) -> None:
        assert not passes(cedar(), call(name, '{"amount":1}'))

    @pytest.mark.parametrize("uri", ["a://people/admin", "a://people/%61dmin", "a:%2F%2Fpeople/admin"])
    def test_escape_does_not_take_a_uri_out_of_a_policys_reach(self, uri: str) -> None:
        policies = cedar(
            'permit(principal, action, resource); forbid(principal, action, resource == Resource::"a://people/admin");'
        )
        read = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": uri}}
        assert not passes(policies, operations(json.dumps(read).encode()))
        assert not policies.shows(who(), Target("resource", uri))

    def test_text_that_is_no_unicode_is_refused(self) -> None:
        everyone = cedar("permit(principal, action, resource);", arguments={"*": {"path": "String"}})
        assert not passes(everyone, [Operation("tools/call", (Target("tool", "\ud800"),), 1, b"{}")])
        assert not passes(everyone, call("x", r'{"path":"\ud800"}'))
        assert passes(everyone, call("x", r'{"path":"\ud83d\ude00"}'))

    def test_claim_of_another_type_is_refused_and_not_left_out(self) -> None:
        policies = cedar(
            "permit(principal, action, resource); forbid(principal, action, resource) "
            "when { principal.claims has suspended && principal.claims.suspended };",
            claims={"suspended": "Bool"},
        )
        assert passes(policies, call("x"), who(suspended=False))
        assert passes(policies, call("x"), who())
        for value in (True, "true", 1, None, [True]):
            assert not passes(policies, call("x"), who(suspended=value))

    def test_error_while_evaluating_is_a_refusal_even_where_another_policy_permits(self) -> None:
        overflow = "context.arguments has amount && context.arguments.amount * 2 > 0"
        policies = cedar(
            f"permit(principal, action, resource); forbid(principal, action, resource) when {{ {overflow} }};"
        )
        with pytest.raises(DeniedByCedar, match="cannot be judged"):
            policies.check(who(), call("pay", '{"amount":9223372036854775807}'))


class TestTypes:
    @pytest.mark.parametrize(
        ("kind", "condition", "good", "bad"),
        [
            pytest.param("String", 'v like "a*"', ['"a"', '"ab"'], ['"b"', "1", '"A"'], id="String"),
            pytest.param("Bool", "v", ["true"], ["false", "1", '"true"'], id="Bool"),
            pytest.param("Long", "v < 5", ["4", "-1"], ["5", "4.0", "true"], id="Long"),
            pytest.param(
                "decimal",
                'v.lessThan(decimal("10.5"))',
                ["10.4999", "10", "1e1", "-3", "1.50000"],
                [
                    "10.5",
                    "10.49999",
                    "10.49991",
                    "10.49990000000000000000001",
                    "1e15",
                    "1e99",
                    "true",
                    '"1"',
                    "NaN",
                    "-922337203685477",
                    "[]",
                ],
                id="decimal",
            ),
            pytest.param("Set<String>", 'v.contains("a")', ['["a","b"]'], ["[]", '"a"', '["a",1]'], id="Set<String>"),
            pytest.param("Set<Long>", "v.contains(1)", ["[1]"], ["[1.0]", "[true]", "[1,null]"], id="Set<Long>"),
        ],
    )
    def test_argument_is_judged_as_what_it_is_declared(
        self, kind: str, condition: str, good: list[str], bad: list[str]
    ) -> None:
        condition = condition.replace("v", "context.arguments.v", 1)
        policies = cedar(
            f"permit(principal, action, resource) when {{ context.arguments has v && {condition} }};",
            arguments={"x*": {"v": kind}},
        )
        for value in good:
            assert passes(policies, call("xy", f'{{"v":{value}}}')), value
        for value in bad:
            assert not passes(policies, call("xy", f'{{"v":{value}}}')), value

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            ("Long", True),
            ("Long", 2**63),
            ("Long", -(2**63) - 1),
            ("Long", Decimal(1)),
            ("Bool", 1),
            ("String", "\ud800"),
            ("decimal", False),
            ("decimal", float("nan")),
            ("Set<Long>", [1, True]),
            ("Set<String>", {"a": "b"}),
        ],
    )
    def test_value_is_refused_before_cedar_sees_it(self, kind: str, value: object) -> None:
        """A policy that only looks whether it is there would be satisfied."""
        with pytest.raises(NotRepresentable, match="v is no "):
            represent({"v": kind}, {"v": value})

    def test_arguments_are_those_of_calls_that_are_declared_and_no_others(self) -> None:
        everyone = cedar("permit(principal, action, resource);")
        assert passes(everyone, call("other", '{"amount":null,"Amount":1.5}'))
        assert passes(everyone, call("pay", '{"amount":1}', method="prompts/get"))
        assert not passes(everyone, call("pay", '{"amount":"1"}', method="prompts/get"))


class TestLists:
    def test_list_shows_what_some_arguments_may_allow(self) -> None:
        policies = cedar()
        assert policies.shows(who(), Target("tool", "pay"))
        assert not policies.shows(who(), Target("tool", "other"))
        assert not policies.shows(who("admins"), Target("tool", "vault"))
        assert policies.shows(who("admins"), Target("prompt", "a'b\"c\\d"))

    def test_list_does_not_show_what_time_or_attributes_forbid(self) -> None:
        policies = cedar("permit(principal, action, resource) when { context.hour < 12 };")
        assert not policies.shows(who(), Target("tool", "pay"))
        assert cedar("permit(principal, action, resource) when { context.hour < 13 };").shows(
            who(), Target("resource", "a:b")
        )

    def test_revision_is_not_known_when_a_list_is_shown(self) -> None:
        policies = cedar('permit(principal, action, resource) when {context has revision && context.revision == "x"};')
        assert policies.shows(who(), Target("tool", "other"))

    @pytest.mark.parametrize("name", ["a\nb", "\ud800", "a\u202e"])
    def test_name_that_cannot_be_judged_is_not_shown(self, name: str) -> None:
        assert not cedar("permit(principal, action, resource);").shows(who(), Target("tool", name))

    def test_claim_that_cannot_be_judged_hides_everything(self) -> None:
        policies = cedar("permit(principal, action, resource);", claims={"team": "String"})
        assert policies.shows(who(team="x"), Target("tool", "x"))
        assert not policies.shows(who(team=7), Target("tool", "x"))

    @given(
        st.sampled_from(["pay", "vault", "other"]), st.sets(st.sampled_from(["admins", "x"])), st.integers(-200, 200)
    )
    def test_whatever_passes_is_shown(self, name: str, groups: set[str], amount: int) -> None:
        """Lists and calls never contradict each other."""
        if passes(SHARED, call(name, f'{{"amount":{amount}}}'), who(*groups)):
            assert SHARED.shows(who(*groups), Target("tool", name))

    def test_scopes_come_before_policies(self) -> None:
        policy = Policy(["a"], cedar=cedar("permit(principal, action, resource);"))
        assert not policy.may(who(), Target("tool", "x"))
        assert policy.may(who(scopes=("a",)), Target("tool", "x"))
        assert policy.kinds == {"tool", "prompt", "resource"}
        assert policy.asks_about_operations


SHARED = cedar()


class TestStarting:
    @pytest.mark.parametrize(
        ("policies", "problem"),
        [
            pytest.param(
                f"{CONNECT}\n\n// x; y\npermit(principal, action, resoure);", "line 4: not Cedar", id="variable"
            ),
            pytest.param(f"{CONNECT}\npermit(principal", "line 2: not Cedar: unexpected end", id="end"),
            pytest.param('@id("a;b") ' + CONNECT + "\nfoo;\n" + CONNECT, "line 2: not Cedar", id="text with semicolon"),
            pytest.param(
                CONNECT + '\npermit(principal, action == Action::"tools/cal", resource);',
                'line 2: unrecognized action `Action::"tools/cal"`',
                id="action that is none",
            ),
            pytest.param(
                "permit(principal, action, resource) when { context.arguments.amount > 1 };",
                "line 1: unable to guarantee safety of access to optional attribute",
                id="argument that may be absent",
            ),
            pytest.param(
                "forbid(principal, action, resource) "
                "when { context.arguments has amuont && context.arguments.amuont > 1 };",
                "line 1: arguments has no amuont; declare it",
                id="argument that is not declared, which Cedar alone takes for one that is absent",
            ),
            pytest.param(
                "permit(principal, action, resource) unless { context has arguments.colour || [1].contains(2) };",
                "line 1: arguments has no colour",
                id="argument by its path",
            ),
            pytest.param(
                'permit(principal, action, resource) when { principal has claims && principal["claims"] has team };',
                "line 1: claims has no team",
                id="claim by its name in brackets",
            ),
            pytest.param(
                "permit(principal, action, resource) when { principal.claims.team == 1 };",
                "line 1: claims has no team",
                id="claim that is not declared",
            ),
            pytest.param("permit(principal == ?principal, action, resource);", "line 1: a template", id="template"),
            pytest.param("// nothing\n", "holds no policy", id="nothing"),
            pytest.param(
                f'@id("a") {CONNECT}\n@id("a") {CONNECT}', "line 2: @id('a') is also that of line 1", id="id twice"
            ),
        ],
    )
    def test_policy_that_cannot_be_used_is_named_with_its_line(self, policies: str, problem: str) -> None:
        found = problems_of(settings(policies))
        assert len(found) == 1
        assert problem in found[0]
        with pytest.raises(InvalidPolicy):
            cedar(policies)

    def test_file_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "gate.cedar"
        assert "cannot be read (No such file or directory);" in problems_of(CedarSettings(file=str(file)))[0]
        file.write_bytes(b"\xff")
        assert "cannot be read (no text in UTF-8)" in problems_of(CedarSettings(file=str(file)))[0]
        file.write_text(f"{CONNECT}\npermit(x);")
        assert problems_of(CedarSettings(file=str(file)))[0].startswith(f"{file}, line 2: not Cedar")
        file.write_text("/" * 1_000_001)
        assert "more than 1000000" in problems_of(CedarSettings(file=str(file)))[0]
        file.write_text(CONNECT)
        assert passes(Cedar(CedarSettings(file=str(file)), RESOURCE, lambda: 0.0), [Operation("ping")])

    @pytest.mark.parametrize(
        ("resource", "problem"),
        [
            pytest.param({"cedar": {}}, "cedar: give file or policies", id="neither"),
            pytest.param({"cedar": {"file": "x", "policies": "y"}}, "cedar: give file or policies", id="both"),
            pytest.param({"cedar": {"policies": "permit("}}, "cedar: policies, line 1: not Cedar", id="not Cedar"),
            pytest.param(
                {"cedar": {"policies": CONNECT, "arguments": {"a": {"x": "Long"}, "b": {"x": "String"}}}},
                "cedar.arguments: x is Long and String",
                id="one name, two types",
            ),
            pytest.param(
                {"cedar": {"policies": CONNECT, "claims": {"x": "Float"}}}, "cedar.claims", id="type that is none"
            ),
            pytest.param(
                {"cedar": {"policies": CONNECT}, "forward_auth": "head"}, "forward_auth: with `head`", id="no body"
            ),
        ],
    )
    def test_contradiction_stops_the_start(self, resource: dict[str, Any], problem: str) -> None:
        with pytest.raises(SettingsError) as error:
            parse({"public_url": PUBLIC, "issuers": [{"issuer": ISSUER}], "resources": [resource]})
        assert any(problem in one for one in error.value.problems)

    def test_without_cedar_the_sentence_says_what_to_install(self) -> None:
        values = {
            "public_url": PUBLIC,
            "issuers": [{"issuer": ISSUER}],
            "resources": [{"cedar": {"policies": CONNECT}}],
        }
        code = (
            f"import sys; sys.modules['cedarpy'] = None\n"
            f"from gateway.sources import SettingsError, parse\n"
            f"try: parse({values!r})\nexcept SettingsError as error: print(error)"
        )
        ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert "pip install 'bearergate[policies]'" in ran.stdout

    def test_gate_without_policies_does_not_load_cedar(self) -> None:
        code = "import sys, gateway.app, gateway.sources; print('cedarpy' in sys.modules)"
        ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert ran.stdout == "False\n"

    def test_file_that_changed_since_it_was_checked_stops_the_start(self, tmp_path: Path) -> None:
        file = tmp_path / "gate.cedar"
        file.write_text(CONNECT)
        values = {"path": "/mcp", "cedar": {"file": str(file)}}
        made = parse({"public_url": PUBLIC, "issuers": [{"issuer": ISSUER}], "resources": [values]})
        file.write_text("permit(")
        with pytest.raises(InvalidPolicy):
            build(made, {"/mcp": Recorder()})


class TestGate:
    async def test_call_is_refused_with_advice_and_the_policies_stay_in_the_log(self) -> None:
        async with gated(resource={"cedar": {"policies": POLICIES, "arguments": ARGUMENTS}}) as door:
            response = await door.post(door.token(), tools_call("vault"))
            assert response.status_code == 403
            assert "www-authenticate" not in response.headers  # no scope would help
            assert response.json()["error"]["message"] == "The vault is closed: ask the treasurer."
            assert "not-the-vault" not in response.text
            assert "forbid" not in response.text
            assert door.reason == "policy_denied"
            assert door.log[-1]["detail"] == "tools/call of tool 'vault' is forbidden by not-the-vault"
            assert not door.app.scopes

    async def test_arguments_and_groups_of_the_token_decide(self) -> None:
        async with gated(resource={"cedar": {"policies": POLICIES, "arguments": ARGUMENTS}}) as door:
            bob, alice = door.token("bob"), door.token("alice")
            assert (await door.post(bob, INITIALIZE)).status_code == 200
            assert (await door.post(bob, tools_call("pay", amount=100))).status_code == 200
            assert (await door.post(bob, tools_call("pay", amount=101))).status_code == 403
            assert (await door.post(alice, tools_call("pay", amount=101))).status_code == 200
            assert (await door.client.get("/mcp", headers={"authorization": f"Bearer {bob}"})).status_code == 200

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            pytest.param(f"[{CALL % 1},{CALL % 101}]", {}, id="batch with one that is too much"),
            pytest.param(
                f"[{CALL % 1},{CALL % 101}]", {"mcp-protocol-version": "2025-03-26"}, id="batch of 2025-03-26"
            ),
            pytest.param(f"[[{CALL % 1}]]", {}, id="batch in a batch"),
            pytest.param((CALL % 1).replace('"amount":1', '"amount":1,"amount":101'), {}, id="argument twice"),
            pytest.param(
                (CALL % 1).replace('"arguments"', '"arguments":{"amount":101},"arguments"'), {}, id="arguments twice"
            ),
            pytest.param((CALL % 1).replace('"arguments"', '"Arguments":{"amount":101},"arguments"'), {}, id="by case"),
            pytest.param((CALL % 1).replace('"name":"pay"', '"name":"pay","name":"vault"'), {}, id="name twice"),
            pytest.param((CALL % 1).replace("pay", "PAY"), {}, id="name in another case"),
            pytest.param((CALL % 101).replace("tools/call", "tools\\/call"), {}, id="method with an escape"),
            pytest.param((CALL % 101).replace("pay", "\\u0070ay"), {}, id="name with an escape"),
            pytest.param((CALL % 101).replace("tools/call", "Tools/Call"), {}, id="method in another case"),
            pytest.param(CALL % 101, {"mcp-param-amount": "1"}, id="a header says another amount"),
            pytest.param("\ufeff" + CALL % 101, {}, id="byte order mark"),
            pytest.param(CALL.replace('"arguments":{"amount":%d}', '"x":1'), {}, id="arguments absent"),
        ],
    )
    async def test_body_that_hides_what_it_calls_does_not_pass(self, body: str, fields: dict[str, str]) -> None:
        async with gated(resource={"cedar": {"policies": POLICIES, "arguments": ARGUMENTS}}) as door:
            assert (await door.post(door.token("bob"), content=(CALL % 100).encode())).status_code == 200
            answer = await door.post(door.token("bob"), content=body.encode(), headers=fields)
            assert answer.status_code in {400, 403}
            assert len(door.app.scopes) == 1

    async def test_call_in_another_method_than_post_is_judged(self) -> None:
        async with gated(resource={"cedar": {"policies": POLICIES, "arguments": ARGUMENTS}}) as door:
            fields = {"authorization": f"Bearer {door.token('bob')}", "content-type": "application/json"}
            for method in ("PUT", "DELETE", "GET", "PATCH"):
                answer = await door.client.request(method, "/mcp", headers=fields, content=(CALL % 101).encode())
                assert answer.status_code == 403

    async def test_missing_scope_is_told_before_any_policy(self) -> None:
        async with gated(resource={"cedar": {"policies": "forbid(principal, action, resource);"}}) as door:
            response = await door.post(door.token(scopes=["other"]), tools_call("x"))
            assert 'error="insufficient_scope"' in response.headers["www-authenticate"]

    async def test_claims_that_policies_ask_about_are_kept_from_the_token(self) -> None:
        condition = 'principal.claims has "org:team" && principal.claims["org:team"] == "x"'
        policy = f"permit(principal, action, resource) when {{ {condition} }};"
        async with gated(resource={"cedar": {"policies": policy, "claims": {"org:team": "String"}}}) as door:
            assert (await door.post(door.token(**{"org:team": "x"}))).status_code == 200
            assert (await door.post(door.token(**{"org:team": "y"}))).status_code == 403

    async def test_list_is_filtered_by_the_policies(self) -> None:
        tools = [{"name": name} for name in ("pay", "vault", "other")]
        app = Recorder(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).encode())
        async with gated(app=app, resource={"cedar": {"policies": POLICIES, "arguments": ARGUMENTS}}) as door:
            shown = (await door.post(door.token("bob"), TOOLS_LIST)).json()["result"]["tools"]
            assert shown == [{"name": "pay"}]
            shown = (await door.post(door.token("alice"), TOOLS_LIST)).json()["result"]["tools"]
            assert shown == [{"name": "pay"}, {"name": "other"}]

    async def test_trial_lets_everything_pass_and_logs_what_it_would_refuse(self) -> None:
        tools = [{"name": name} for name in ("pay", "vault")]
        app = Recorder(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).encode())
        trial = {"policies": POLICIES, "arguments": ARGUMENTS, "dry_run": True}
        async with gated(app=app, resource={"cedar": trial}) as door:
            assert (await door.post(door.token(), tools_call("vault"))).status_code == 200
            assert (await door.post(door.token(), TOOLS_LIST)).json()["result"]["tools"] == tools
            assert door.reason == ""
            said = [line.get("would_refuse") for line in door.log]
            assert said == ["tools/call of tool 'vault' is forbidden by not-the-vault", None]
