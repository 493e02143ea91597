"""What an operation needs and who may do it; lists are decided by the same object as calls."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DeniedByPolicy, InsufficientScope
from gateway.operation import Operation, Target
from gateway.policy import MEMO, MEMO_NAME, Policy
from gateway.principal import Principal
from gateway.settings import Rule


def principal(*scopes: str, groups: tuple[str, ...] = (), **claims: Any) -> Principal:
    return Principal(
        "https://issuer.example", "alice", "c", frozenset(scopes), frozenset(groups), 0.0, claims=tuple(claims.items())
    )


def call(name: str) -> Operation:
    return Operation("tools/call", (Target("tool", name),))


def challenged(policy: Policy, who: Principal, *operations: Operation) -> frozenset[str]:
    """The scopes of the challenge that a principal gets."""
    with pytest.raises(InsufficientScope) as refusal:
        policy.check(who, operations)
    return refusal.value.scopes


class TestScopes:
    def test_resource_scopes_are_needed_by_every_request(self) -> None:
        policy = Policy(["a", "b"])
        policy.check(principal("a", "b", "c"), [])
        assert challenged(policy, principal("a")) == {"a", "b"}

    def test_without_scopes_and_rules_everyone_passes(self) -> None:
        Policy().check(principal(), [call("anything")])

    def test_every_scope_an_operation_needs_is_in_one_challenge(self) -> None:
        policy = Policy(["base"], [Rule(tools=["x"], scopes=["one"]), Rule(tools=["*"], scopes=["two", "three"])])
        assert challenged(policy, principal(), call("x")) == {"base", "one", "two", "three"}
        policy.check(principal("base", "one", "two", "three"), [call("x")])

    def test_challenge_repeats_granted_scopes_of_ours_and_no_others(self) -> None:
        policy = Policy(["base"], [Rule(tools=["x"], scopes=["one"]), Rule(tools=["y"], scopes=["two"])])
        assert challenged(policy, principal("base", "two", "email"), call("x")) == {"base", "one", "two"}

    @pytest.mark.parametrize("near", ["files:readwrite", "FILES:READ", "xfiles:read", "files:rea", "files:read "])
    def test_scopes_are_compared_to_the_letter(self, near: str) -> None:
        assert challenged(Policy(["files:read"]), principal(near)) == {"files:read"}

    def test_batch_needs_what_all_of_its_members_need(self) -> None:
        policy = Policy([], [Rule(tools=["x"], scopes=["one"]), Rule(tools=["y"], scopes=["two"])])
        assert challenged(policy, principal("one"), call("x"), call("y")) == {"one", "two"}

    def test_operation_without_target_needs_no_rule(self) -> None:
        Policy([], [Rule(tools=["*"], scopes=["one"])]).check(principal(), [Operation("tools/list")])


class TestHierarchy:
    def test_broader_scope_is_accepted_for_what_it_implies_transitively(self) -> None:
        policy = Policy(["read"], hierarchy={"admin": ["write"], "write": ["read"]})
        for scope in ("read", "write", "admin"):
            policy.check(principal(scope), [])
        assert challenged(policy, principal("other")) == {"read"}

    def test_circle_ends(self) -> None:
        policy = Policy(["c"], hierarchy={"a": ["b"], "b": ["c", "a"], "c": ["a"]})
        for scope in ("a", "b", "c"):
            policy.check(principal(scope), [])

    def test_narrower_scope_implies_nothing(self) -> None:
        assert challenged(Policy(["write"], hierarchy={"write": ["read"]}), principal("read")) == {"read", "write"}

    def test_memory_of_what_is_implied_is_bounded(self) -> None:
        policy = Policy(hierarchy={"a": ["b"]})
        for i in range(MEMO + 10):
            assert policy.implied(frozenset({"a", str(i)})) == {"a", "b", str(i)}
        assert len(policy._implied) <= MEMO
        first, _ = policy.implied(frozenset({"a"})), policy.implied(frozenset({"c"}))
        assert policy.implied(frozenset({"a"})) is first


class TestTargets:
    @pytest.mark.parametrize(
        ("pattern", "name", "fits"),
        [
            pytest.param("admin-*", "admin-reset", True, id="star"),
            pytest.param("admin-*", "Admin-reset", False, id="case counts"),
            pytest.param("admin-*", "xadmin-reset", False, id="from the beginning"),
            pytest.param("reset", "reset-all", False, id="to the end"),
            pytest.param("reset", "reset\n", False, id="to the very end"),
            pytest.param("admin-*", "admin-\n", True, id="star is any character"),
            pytest.param("file-?", "file-1", True, id="question mark"),
            pytest.param("[ab]-x", "b-x", True, id="set"),
            pytest.param("a.c", "abc", False, id="no regular expression"),
            pytest.param("s3://reports/*", "s3://reports/2026/q1.csv", True, id="star crosses slashes"),
        ],
    )
    @pytest.mark.parametrize("kind", ["tool", "prompt", "resource"])
    def test_names_fit_globs(self, kind: Any, pattern: str, name: str, fits: bool) -> None:
        about: Any = {f"{kind}s": [pattern]}
        policy = Policy([], [Rule(**about, scopes=["s"])])
        assert (policy.needs(Target(kind, name)).scopes == {"s"}) is fits

    @pytest.mark.parametrize("uri", ["s3://payroll/a", "s3://p%61yroll/a", "s3://payroll%2Fa", "s3:%2F%2Fpayroll/a"])
    def test_escape_does_not_take_a_uri_out_of_a_rules_reach(self, uri: str) -> None:
        policy = Policy([], [Rule(resources=["s3://payroll/*"], scopes=["s"])])
        assert not policy.may(principal(), Target("resource", uri))

    def test_escape_in_a_rule_is_compared_to_the_letter(self) -> None:
        policy = Policy([], [Rule(resources=["s3://a%20b"], tools=["a%62"], scopes=["s"])])
        assert not policy.may(principal(), Target("resource", "s3://a%20b"))
        assert policy.may(principal(), Target("tool", "ab"))

    def test_rule_is_about_its_own_kind_alone(self) -> None:
        policy = Policy([], [Rule(tools=["*"], scopes=["s"])])
        assert policy.may(principal(), Target("prompt", "x"))
        assert not policy.may(principal(), Target("tool", "x"))
        assert policy.rules_about("tool")
        assert not policy.rules_about("resource")

    def test_memory_of_targets_is_bounded_in_number_and_length(self) -> None:
        policy = Policy([], [Rule(tools=["x*"], scopes=["s"])])
        for i in range(MEMO + 10):
            policy.needs(Target("tool", str(i)))
        assert len(policy._needs) <= MEMO
        policy._needs.clear()
        assert policy.needs(Target("tool", "x" * (MEMO_NAME + 1))).scopes == {"s"}
        assert not policy._needs
        first, _ = policy.needs(Target("tool", "x")), policy.needs(Target("tool", "y"))
        assert policy.needs(Target("tool", "x")) is first

    def test_body_is_read_only_where_a_rule_asks(self) -> None:
        assert not Policy(["a"]).asks_about_operations
        assert Policy([], [Rule(tools=["x"], scopes=["a"])]).asks_about_operations


class TestConditions:
    def test_one_of_the_groups_is_enough(self) -> None:
        policy = Policy([], [Rule(tools=["x"], groups=["a", "b"])])
        policy.check(principal(groups=("b", "z")), [call("x")])
        with pytest.raises(DeniedByPolicy, match="a or b"):
            policy.check(principal(groups=("z",)), [call("x")])

    def test_groups_of_two_rules_are_both_needed(self) -> None:
        policy = Policy([], [Rule(tools=["x"], groups=["a"]), Rule(tools=["*"], groups=["b"])])
        policy.check(principal(groups=("a", "b")), [call("x")])
        with pytest.raises(DeniedByPolicy):
            policy.check(principal(groups=("a",)), [call("x")])

    @pytest.mark.parametrize(
        ("wanted", "claims", "passes"),
        [
            pytest.param("x", {"team": "x"}, True, id="equal"),
            pytest.param("x", {"team": "X"}, False, id="case counts"),
            pytest.param("x", {}, False, id="missing"),
            pytest.param(1, {"team": 1}, True, id="number"),
            pytest.param(1, {"team": True}, False, id="true is not one"),
            pytest.param(True, {"team": 1}, False, id="one is not true"),
            pytest.param(1, {"team": 1.0}, False, id="a fraction is not a whole number"),
            pytest.param(1, {"team": "1"}, False, id="a text is not a number"),
            pytest.param("x", {"team": ["x"]}, False, id="a list is not its member"),
            pytest.param("x", {"team": None}, False, id="null"),
        ],
    )
    def test_claims_are_compared_with_their_type(self, wanted: Any, claims: dict[str, Any], passes: bool) -> None:
        policy = Policy([], [Rule(tools=["x"], claims={"team": wanted})])
        assert policy.claim_names == {"team"}
        assert policy.may(principal(**claims), Target("tool", "x")) is passes

    def test_denial_that_no_scope_cures_comes_before_the_challenge(self) -> None:
        policy = Policy(["base"], [Rule(tools=["x"], groups=["a"])])
        with pytest.raises(DeniedByPolicy):
            policy.check(principal(), [call("x")])

    def test_denial_does_not_repeat_a_name_without_end(self) -> None:
        policy = Policy([], [Rule(tools=["*"], groups=["a"])])
        with pytest.raises(DeniedByPolicy) as refusal:
            policy.check(principal(), [call("\x1b" * 10_000)])
        assert len(str(refusal.value)) < 600
        assert "\x1b" not in str(refusal.value)


WORDS = st.sampled_from(["a", "b", "c"])
RULES = st.builds(
    Rule,
    tools=st.lists(st.sampled_from(["x", "y", "x*", "*", "[xy]"])),
    prompts=st.lists(st.sampled_from(["x", "*"])),
    scopes=st.lists(WORDS),
    groups=st.lists(WORDS),
    claims=st.dictionaries(WORDS, st.booleans() | st.integers(0, 1)),
)
PRINCIPALS = st.builds(
    lambda scopes, groups, claims: principal(*scopes, groups=tuple(groups), **claims),
    st.sets(WORDS),
    st.sets(WORDS),
    st.dictionaries(WORDS, st.booleans() | st.integers(0, 1)),
)
POLICIES = st.builds(Policy, st.lists(WORDS), st.lists(RULES, max_size=3), st.dictionaries(WORDS, st.lists(WORDS)))
TARGETS = st.builds(Target, st.sampled_from(["tool", "prompt", "resource"]), st.sampled_from(["x", "y", "xy", "z"]))


def passes(policy: Policy, who: Principal, *targets: Target) -> bool:
    try:
        policy.check(who, [Operation("tools/call", (target,)) for target in targets])
    except (InsufficientScope, DeniedByPolicy):
        return False
    return True


@given(POLICIES, PRINCIPALS, TARGETS)
def test_list_shows_exactly_what_a_call_lets_pass(policy: Policy, who: Principal, target: Target) -> None:
    assert policy.may(who, target) is passes(policy, who, target)


@given(POLICIES, PRINCIPALS, st.lists(TARGETS, min_size=1, max_size=4))
def test_batch_passes_exactly_where_each_of_its_members_does(
    policy: Policy, who: Principal, targets: list[Target]
) -> None:
    assert passes(policy, who, *targets) is all(passes(policy, who, target) for target in targets)


@given(POLICIES, PRINCIPALS, TARGETS)
def test_scopes_of_a_challenge_are_enough(policy: Policy, who: Principal, target: Target) -> None:
    try:
        policy.check(who, [Operation("tools/call", (target,))])
    except InsufficientScope as refusal:
        stepped_up = principal(*refusal.scopes, groups=tuple(who.groups), **dict(who.claims))
        policy.check(stepped_up, [Operation("tools/call", (target,))])
    except DeniedByPolicy:
        pass


@given(POLICIES, PRINCIPALS, TARGETS, st.sets(WORDS))
def test_another_scope_never_takes_a_right_away(policy: Policy, who: Principal, target: Target, more: set[str]) -> None:
    richer = principal(*who.scopes, *more, groups=tuple(who.groups), **dict(who.claims))
    assert policy.may(richer, target) >= policy.may(who, target)


def test_escapes_do_not_take_a_uri_out_of_a_rules_reach() -> None:
    policy = Policy(rules=[Rule(resources=["a://people/admin"], scopes=["admin"])])
    for uri in ("a://people/admin", "a://people/%61dmin", "a://people/%61%64min"):
        assert policy.needs(Target("resource", uri)).scopes == {"admin"}
    # A rule that is written with escapes is met as it stands; names of tools have none.
    escaped = Policy(rules=[Rule(resources=["a://people/%C3%A9"], tools=["%61"], scopes=["admin"])])
    assert escaped.needs(Target("resource", "a://people/%C3%A9")).scopes == {"admin"}
    assert escaped.needs(Target("tool", "a")).scopes == frozenset()
