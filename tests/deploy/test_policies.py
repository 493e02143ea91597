"""`bearergate policy test` judges a call as the gate would, says by which rules, and never shows the token."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance.issuer import Issuer
from tests.deploy.test_command_line import bearergate
from tests.gated import CLIENT, ISSUER, PUBLIC, RESOURCE, plain_issuer

POLICIES = """
@id("connect")
permit(principal, action in Action::"connect", resource is Server);
@id("small-payments")
permit(principal, action == Action::"tools/call", resource == Tool::"pay")
  when { context.arguments has amount && context.arguments.amount <= 100 };
@id("reads")
permit(principal in Group::"admins", action, resource is Resource);
@id("vault") @advice("Ask the treasurer.")
forbid(principal, action, resource == Tool::"vault");
"""


@cache
def issuer() -> Issuer:
    return plain_issuer()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with settings, policies and the issuer's keys: nothing is fetched."""
    (tmp_path / "gate.cedar").write_text(POLICIES)
    (tmp_path / "keys.json").write_text(json.dumps(issuer().keys.document()))
    write(tmp_path, {})
    return tmp_path


def write(folder: Path, resource: Mapping[str, Any], **more: Any) -> None:
    protected = {
        "scopes": ["mcp:use"],
        "rules": [{"tools": ["pay"], "scopes": ["mcp:pay"]}, {"prompts": ["staff"], "groups": ["staff"]}],
        "tools": [],
        "cedar": {"file": "gate.cedar", "arguments": {"pay": {"amount": "Long"}}},
    }
    settings = {
        "public_url": PUBLIC,
        "issuers": [{"issuer": ISSUER, "jwks_file": "keys.json"}],
        "resources": [protected | dict(resource)],
    }
    (folder / "bearergate.yaml").write_text(yaml.safe_dump(settings | more))


def token(*scopes: str) -> str:
    return issuer().token("alice", CLIENT, scopes, RESOURCE)


class TestVerdicts:
    @pytest.mark.parametrize(
        ("scopes", "call", "status", "said"),
        [
            pytest.param(
                ("mcp:use", "mcp:pay"),
                ("tools/call", "pay", '{"amount": 100}'),
                0,
                ["allowed", "tools/call of tool 'pay' is permitted by small-payments", "needs       mcp:pay mcp:use"],
                id="allowed",
            ),
            pytest.param(
                ("mcp:use", "mcp:pay"),
                ("tools/call", "pay", '{"amount": 101}'),
                1,
                ["refused  policy_denied: no policy permits tools/call of tool 'pay'", "answer      403"],
                id="no policy permits it",
            ),
            pytest.param(
                ("mcp:use",),
                ("tools/call", "vault"),
                1,
                ["refused  policy_denied", "forbidden by vault", "answer      403 Ask the treasurer."],
                id="forbidden, with the advice",
            ),
            pytest.param(
                ("mcp:use",),
                ("tools/call", "pay", '{"amount": 1}'),
                1,
                ["refused  insufficient_scope: it lacks mcp:pay", "has         mcp:use"],
                id="scope missing",
            ),
            pytest.param(
                ("mcp:use",),
                ("prompts/get", "staff"),
                1,
                ["refused  denied_by_policy", "rule        prompt 'staff' is for staff"],
                id="group missing",
            ),
            pytest.param(("mcp:use",), ("tools/list",), 0, ["allowed", "permitted by connect"], id="a list"),
            pytest.param(("mcp:use",), ("GET",), 0, ["GET is permitted by connect"], id="the stream"),
            pytest.param(
                ("mcp:use",), ("resources/read", "a://b"), 0, ["resources/read of resource 'a://b'"], id="a resource"
            ),
            pytest.param(
                ("mcp:use",),
                ("subscriptions/listen", "a://b", "--revision", "2026-07-28"),
                0,
                ["subscriptions/listen is permitted by connect", "'a://b' is permitted by reads"],
                id="a subscription",
            ),
            pytest.param(("mcp:use",), ("completion/complete", "a://{b}"), 0, ["permitted by reads"], id="a template"),
            pytest.param(("mcp:use",), ("completion/complete", "p"), 1, ["no policy permits"], id="a prompt's names"),
        ],
    )
    def test_call_is_judged_and_explained(
        self, folder: Path, scopes: tuple[str, ...], call: tuple[str, ...], status: int, said: list[str]
    ) -> None:
        given = token(*scopes)
        done = bearergate("policy", "test", given, *call, cwd=folder)
        assert (done.returncode, done.stderr) == (status, "")
        for part in said:
            assert part in done.stdout
        assert given not in done.stdout

    def test_token_can_be_piped_in(self, folder: Path) -> None:
        done = bearergate("policy", "test", "-", "ping", cwd=folder, typed=token("mcp:use") + "\n")
        assert done.returncode == 0, done.stderr

    def test_token_that_the_gate_would_refuse_is_refused(self, folder: Path) -> None:
        good = token("mcp:use")
        for bad, reason in ((good[:-5] + "AAAAA", "bad_signature"), ("opaque", "malformed_token"), ("é", "malformed")):
            done = bearergate("policy", "test", bad, "ping", cwd=folder)
            assert done.returncode == 1
            assert done.stdout.startswith(f"refused  {reason}")
            assert bad not in done.stdout + done.stderr

    def test_trial_is_told_and_passes(self, folder: Path) -> None:
        write(folder, {"cedar": {"file": "gate.cedar", "arguments": {"pay": {"amount": "Long"}}, "dry_run": True}})
        done = bearergate("policy", "test", token("mcp:use"), "tools/call", "vault", cwd=folder)
        assert done.returncode == 0
        assert "on trial    would be refused: tools/call of tool 'vault' is forbidden by vault" in done.stdout

    def test_resource_without_policies_is_judged_too(self, folder: Path) -> None:
        write(folder, {"cedar": None, "rules": [], "scopes": []})
        done = bearergate("policy", "test", token(), "tools/call", "x", cwd=folder)
        assert done.returncode == 0
        assert "no scope" in done.stdout


class TestClaims:
    def test_claims_stand_for_a_token(self, folder: Path) -> None:
        claims = {"iss": ISSUER, "sub": "bob", "scope": "mcp:use mcp:pay", "groups": ["admins"], "exp": time.time()}
        (folder / "claims.json").write_text(json.dumps(claims))
        call = ("tools/call", "pay", '{"amount": 1}')
        done = bearergate("policy", "test", "--claims", "claims.json", *call, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert "person 'bob' of https://issuer.example" in done.stdout
        machine = {"iss": ISSUER, "client_id": "robot", "scope": "mcp:use"}
        done = bearergate("policy", "test", "--claims", "-", "ping", cwd=folder, typed=json.dumps(machine))
        assert "machine 'robot'" in done.stdout

    @pytest.mark.parametrize(
        ("claims", "sentence"),
        [
            pytest.param("{", "The claims must be one JSON object", id="no JSON"),
            pytest.param("[1]", "The claims must be one JSON object", id="no object"),
            pytest.param('{"iss":"x"}', "iss that this resource trusts: https://issuer.example", id="foreign issuer"),
            pytest.param(None, "The file of claims cannot be read (No such file or directory)", id="no file"),
        ],
    )
    def test_claims_that_cannot_be_used_end_in_a_sentence(
        self, folder: Path, claims: str | None, sentence: str
    ) -> None:
        if claims is not None:
            (folder / "claims.json").write_text(claims)
        done = bearergate("policy", "test", "claims.json", "ping", "--claims", cwd=folder)
        assert done.returncode == 2
        assert sentence in done.stderr


class TestUndecided:
    @pytest.mark.parametrize(
        ("call", "sentence"),
        [
            pytest.param(("tools/call",), "tools/call needs a NAME", id="no name"),
            pytest.param(("tools/list", "x"), "tools/list takes no NAME", id="a name too many"),
            pytest.param(("resources/read", "a:b", "{}"), "resources/read takes no ARGS", id="arguments too many"),
            pytest.param(("tools/call", "x", "[1]"), "ARGS must be one JSON object", id="arguments that are a list"),
            pytest.param(("tools/call", "x", "{"), "ARGS must be one JSON object", id="arguments that are no JSON"),
            pytest.param(("ping", "--resource", "/x"), "Name the resource with --resource: /mcp", id="resource"),
            pytest.param(("ping", "-f", "absent.yaml"), "absent.yaml: no such file", id="no settings"),
        ],
    )
    def test_what_cannot_be_told_ends_in_a_sentence(self, folder: Path, call: tuple[str, ...], sentence: str) -> None:
        done = bearergate("policy", "test", token("mcp:use"), *call, cwd=folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("bearergate: ")
        assert sentence in done.stderr

    def test_policy_that_cannot_be_read_is_named_with_its_line(self, folder: Path) -> None:
        (folder / "gate.cedar").write_text(POLICIES + "\npermit(principal, action, resoure);")
        done = bearergate("policy", "test", token(), "ping", cwd=folder)
        assert done.returncode == 2
        assert "gate.cedar, line 12: not Cedar: found an invalid variable in the policy scope: resoure" in done.stderr

    def test_keys_that_cannot_be_had_are_no_verdict(self, folder: Path) -> None:
        nowhere = {"issuer": "http://127.0.0.1:9"}
        write(folder, {}, issuers=[nowhere])
        strange = Issuer.plain("http://127.0.0.1:9", users=[], resources=[RESOURCE], keys=issuer().keys)
        given = strange.token(None, CLIENT, [], RESOURCE)
        done = bearergate("policy", "test", given, "ping", cwd=folder)
        assert done.returncode == 2
        assert "The token cannot be verified" in done.stderr
        assert given not in done.stderr

    def test_resource_is_chosen_where_there_are_several(self, folder: Path) -> None:
        write(folder, {}, resources=[{"path": "/a", "tools": []}, {"path": "/b", "tools": []}])
        given = issuer().token("alice", CLIENT, [], f"{PUBLIC}/b")
        assert bearergate("policy", "test", given, "ping", "--resource", "/b", cwd=folder).returncode == 0
        assert "wrong_audience" in bearergate("policy", "test", given, "ping", "--resource", "/a", cwd=folder).stdout
