"""What settings must mean together: every contradiction is a sentence that names the key to change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app import build
from gateway.sources import SettingsError, parse
from tests.gated import Recorder

PLAIN = {"issuer": "https://issuer.example"}
COGNITO = {"issuer": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_A"}
VALID: dict[str, Any] = {"public_url": "https://gw.example", "issuers": [PLAIN]}


def problems(**changes: Any) -> list[str]:
    """What is wrong with valid settings after these changes."""
    try:
        parse(VALID | changes)
    except SettingsError as error:
        return error.problems
    return []


def resource(**changes: Any) -> dict[str, Any]:
    return {"resources": [{"path": "/mcp", **changes}]}


def issuer(known: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"issuers": [known | changes]}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="the smallest"),
        pytest.param({"public_url": "http://localhost:8000"}, id="plain http on loopback"),
        pytest.param({"public_url": "https://gw.example:8443"}, id="a port"),
        pytest.param(issuer(PLAIN, jwks_uri="https://keys.example/jwks?v=1"), id="a key set with a query"),
        pytest.param(issuer(PLAIN, algorithms=["ES256", "EdDSA"]), id="other algorithms"),
        pytest.param(issuer(COGNITO, client_ids=["a"]), id="Cognito with clients"),
        pytest.param(issuer(COGNITO, resource_binding=True), id="Cognito with resource binding"),
        pytest.param(
            issuer(PLAIN, kind="cognito", client_ids=["a"], resource_server="r"), id="Cognito by another name"
        ),
        pytest.param(resource(path="/"), id="a resource at the root"),
        pytest.param(resource(path="/a/b_c~d.e"), id="a deep resource"),
        pytest.param(resource(scope_prefix="https://gw.example/mcp/"), id="a scope prefix"),
        pytest.param(resource(issuers=["https://issuer.example"]), id="a resource's own issuer"),
        pytest.param(resource(documentation="https://gw.example/docs"), id="a page about it"),
        pytest.param(resource(rules=[{"tools": ["x"], "scopes": ["s"]}]), id="a rule"),
        pytest.param(
            {"allowed_origins": ["https://app.example", "http://localhost:3000", "https://[::1]"]}, id="origins"
        ),
        pytest.param({"allowed_hosts": ["internal:8080", "[::1]"], "private_hosts": ["10.0.0.1"]}, id="hosts"),
        pytest.param({"scope_hierarchy": {"a": ["b"]}}, id="a hierarchy"),
    ],
)
def test_settings_that_agree_are_good(changes: dict[str, Any]) -> None:
    assert problems(**changes) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param({"public_url": "https://gw.example/mcp"}, "public_url: must be an origin", id="a path"),
        pytest.param(
            issuer(PLAIN, jwks_file="/nowhere"), "issuers[0].jwks_file: /nowhere cannot be read", id="no copy of keys"
        ),
        pytest.param(
            issuer(PLAIN, jwks_file="a\0"), "issuers[0].jwks_file: a\0 cannot be read", id="a name that no file has"
        ),
        pytest.param(
            issuer(PLAIN, jwks_file=__file__),
            f"issuers[0].jwks_file: {__file__}: what its key location answers is no JWKS document",
            id="no key set",
        ),
        pytest.param(
            {"public_url": "https://gw.example/"}, "public_url: write it as https://gw.example:", id="a slash"
        ),
        pytest.param({"public_url": "https://GW.example"}, "public_url: write it as https://gw.example:", id="case"),
        pytest.param(
            {"public_url": "https://gw.example:443"}, "public_url: write it as https://gw.example:", id="port"
        ),
        pytest.param({"public_url": "http://gw.example"}, "public_url: the URL must use https", id="plain http"),
        pytest.param({"public_url": "gw.example"}, "public_url: write it with its scheme", id="no scheme"),
        pytest.param({"public_url": ""}, "public_url: write it with its scheme", id="an empty URL"),
        pytest.param({"public_url": "https://gw.example?a=b"}, "public_url: the URL has a query", id="a query"),
        pytest.param({"host": ""}, "host: empty; write 127.0.0.1", id="an empty address"),
        pytest.param({"metrics_host": ""}, "metrics_host: empty; write 127.0.0.1", id="an empty address of metrics"),
        pytest.param(
            {"metrics_port": 8000}, "metrics_port: 8000 is the port of the gate itself", id="one port for everything"
        ),
        pytest.param({"audit_log": ""}, "audit_log: must be stdout", id="an empty log"),
        pytest.param({"audit_log": "a\0"}, "audit_log: must be stdout", id="a log that no file can be"),
        pytest.param(
            issuer({"resource_binding": True}, issuer=COGNITO["issuer"] + "/"),
            f"issuers[0].issuer: a user pool's is {COGNITO['issuer'].rpartition('/')[0]}/ and the pool's id",
            id="a slash behind a pool",
        ),
        pytest.param({"issuers": []}, "issuers: name at least one", id="no issuer"),
        pytest.param(
            issuer({}, issuer="http://i.example"), "issuers[0].issuer: the URL must use https", id="issuer http"
        ),
        pytest.param(
            issuer({}, issuer="https://i.example?a"), "issuers[0].issuer: the URL has a query", id="issuer query"
        ),
        pytest.param(issuer(PLAIN, jwks_uri="file:///k"), "issuers[0].jwks_uri: the URL", id="keys in a file"),
        pytest.param(
            {"issuers": [PLAIN, PLAIN]}, "issuers[0].issuer: https://issuer.example is listed", id="issuer twice"
        ),
        pytest.param(issuer(PLAIN, algorithms=[]), "issuers[0].algorithms: name at least one", id="no algorithm"),
        pytest.param(issuer(PLAIN, algorithms=["none"]), "issuers[0].algorithms: none is no", id="algorithm none"),
        pytest.param(issuer(PLAIN, algorithms=["HS256"]), "issuers[0].algorithms: HS256 is no", id="a shared secret"),
        pytest.param(issuer(COGNITO), "issuers[0].client_ids: no audience rule", id="Cognito without audience rule"),
        pytest.param(
            issuer(COGNITO, client_ids=["a"], resource_binding=True),
            "issuers[0].client_ids: no audience rule, or two",
            id="Cognito with two audience rules",
        ),
        pytest.param(
            issuer(COGNITO, client_ids=[""]), "issuers[0].client_ids: an entry is empty", id="an empty client"
        ),
        pytest.param(issuer(PLAIN, client_ids=["a"]), "issuers[0].client_ids: only Cognito", id="clients of another"),
        pytest.param(issuer(PLAIN, resource_server="r"), "issuers[0].client_ids: only Cognito", id="server of another"),
        pytest.param(
            issuer(PLAIN, resource_binding=True), "issuers[0].client_ids: only Cognito", id="binding of another"
        ),
        pytest.param({"resources": []}, "resources: name at least one", id="no resource"),
        pytest.param(resource(path="mcp"), "resources[0].path: 'mcp' must begin with a slash", id="a relative path"),
        pytest.param(resource(path=""), "resources[0].path: '' must begin with a slash", id="an empty path"),
        pytest.param(
            resource(path="/mcp/"), "resources[0].path: '/mcp/' must begin", id="a slash at the end of a path"
        ),
        pytest.param(resource(path="//mcp"), "resources[0].path: '//mcp' must begin", id="two slashes"),
        pytest.param(resource(path="/a/../b"), "resources[0].path: '/a/../b' must begin", id="dot segments"),
        pytest.param(resource(path="/."), "resources[0].path: '/.' must begin", id="a dot"),
        pytest.param(resource(path="/%6dcp"), "resources[0].path: '/%6dcp' must begin", id="an escape"),
        pytest.param(resource(path="/mcp;x"), "resources[0].path: '/mcp;x' must begin", id="a path parameter"),
        pytest.param(resource(path="/a b"), "resources[0].path: '/a b' must begin", id="a blank in a path"),
        pytest.param(resource(path="/mcp\n"), "resources[0].path: '/mcp\\n' must begin", id="a line end"),
        pytest.param(resource(path="/healthz"), "resources[0].path: /healthz is a path of the gate", id="taken"),
        pytest.param(resource(path="/.well-known/x"), "resources[0].path: /.well-known/x is a path", id="below taken"),
        pytest.param({"resources": [{}, {}]}, "resources[0].path: /mcp is listed twice", id="a path twice"),
        pytest.param(resource(scopes=["a b"]), "resources[0].scopes: 'a b' is no scope", id="a blank in a scope"),
        pytest.param(resource(scopes=['a"']), "resources[0].scopes: 'a\"' is no scope", id="a quote in a scope"),
        pytest.param(resource(scopes=["é"]), "resources[0].scopes: 'é' is no scope", id="a scope beyond ASCII"),
        pytest.param(resource(scopes=[""]), "resources[0].scopes: '' is no scope", id="an empty scope"),
        pytest.param(
            resource(scopes=["offline_access"]), "resources[0].scopes: offline_access is between", id="offline"
        ),
        pytest.param(resource(scope_prefix="a /"), "resources[0].scope_prefix: 'a /' is no scope", id="a prefix"),
        pytest.param(resource(scope_prefix="a/b"), "resources[0].scope_prefix: end it with", id="a prefix without end"),
        pytest.param(
            issuer(COGNITO, resource_binding=True, resource_server="r"),
            "issuers[0].resource_server: is for tokens without aud",
            id="a resource server of nobody",
        ),
        pytest.param(
            resource(issuers=["https://b.example"]), "resources[0].issuers: https://b.example is not", id="whose"
        ),
        pytest.param(resource(documentation="a page"), "resources[0].documentation: 'a page' must be", id="no page"),
        pytest.param(resource(documentation="javascript:x"), "resources[0].documentation: 'javas", id="a script"),
        pytest.param(resource(aliases=[""]), "resources[0].aliases: an entry is empty", id="an empty alias"),
        pytest.param(
            resource(rules=[{"scopes": ["a"]}]), "resources[0].rules[0]: is about nothing", id="about nothing"
        ),
        pytest.param(resource(rules=[{"tools": ["a"]}]), "resources[0].rules[0]: asks for nothing", id="asks nothing"),
        pytest.param(
            resource(rules=[{"tools": ["a"], "scopes": ["b c"]}]),
            "resources[0].rules[0].scopes: 'b c'",
            id="rule's scope",
        ),
        pytest.param({"scope_hierarchy": {"a b": []}}, "scope_hierarchy: 'a b' is no scope", id="a broader scope"),
        pytest.param({"scope_hierarchy": {"a": ["b c"]}}, "scope_hierarchy: 'b c' is no scope", id="a narrower scope"),
        pytest.param({"allowed_origins": ["*"]}, "allowed_origins: '*' must be", id="every origin"),
        pytest.param({"allowed_origins": ["null"]}, "allowed_origins: 'null' must be", id="origin null"),
        pytest.param({"allowed_origins": ["app.example"]}, "allowed_origins: 'app.example'", id="no scheme of origin"),
        pytest.param(
            {"allowed_origins": ["https://app.example/"]}, "allowed_origins: 'https://app.", id="origin's slash"
        ),
        pytest.param({"allowed_origins": ["https://a@b.example"]}, "allowed_origins: 'https://a@b", id="origin's user"),
        pytest.param({"allowed_origins": ["https://[::1"]}, "allowed_origins: 'https://[::1'", id="origin's bracket"),
        pytest.param({"allowed_origins": ["ftp://app.example"]}, "allowed_origins: 'ftp:", id="origin's scheme"),
        pytest.param({"allowed_hosts": ["https://a.example"]}, "allowed_hosts: 'https:", id="a host with a scheme"),
        pytest.param({"private_hosts": ["10.0.0.0/8"]}, "private_hosts: '10.0.0.0/8' must be", id="a network"),
    ],
)
def test_settings_that_contradict_each_other_name_the_key(changes: dict[str, Any], problem: str) -> None:
    found = problems(**changes)
    assert found
    assert found[0].startswith(problem)


def test_every_problem_is_named_at_once() -> None:
    broken = {"public_url": "http://gw.example", "issuers": [], "resources": [{"path": "x", "scopes": ["a b"]}]}
    keys = [problem.partition(":")[0] for problem in problems(**broken, allowed_origins=["*"])]
    assert keys == ["public_url", "issuers", "resources[0].path", "resources[0].scopes", "allowed_origins"]


TEXT = st.text(st.characters(codec="ascii"), max_size=12) | st.sampled_from(
    [
        "/mcp",
        "/",
        "/a",
        "https://gw.example",
        "https://issuer.example",
        "a",
        "RS256",
        "https://app.example",
        "localhost",
    ]
)
TEXTS = st.lists(TEXT, max_size=2)
RULES = st.fixed_dictionaries({}, optional={"tools": TEXTS, "resources": TEXTS, "scopes": TEXTS, "groups": TEXTS})
RESOURCES = st.fixed_dictionaries(
    {},
    optional={
        "path": TEXT,
        "name": TEXT,
        "documentation": TEXT,
        "scopes": TEXTS,
        "issuers": TEXTS,
        "aliases": TEXTS,
        "rules": st.lists(RULES, max_size=2),
        "subpaths": st.booleans(),
    },
)
ISSUERS = st.fixed_dictionaries(
    {"issuer": TEXT}, optional={"jwks_uri": TEXT, "algorithms": TEXTS, "client_ids": TEXTS, "resource_server": TEXT}
)
WHOLE = st.fixed_dictionaries(
    {"public_url": TEXT, "issuers": st.lists(ISSUERS, max_size=2) | st.just([PLAIN])},
    optional={
        "resources": st.lists(RESOURCES, max_size=2),
        "allowed_origins": TEXTS,
        "allowed_hosts": TEXTS,
        "scope_hierarchy": st.dictionaries(TEXT, TEXTS, max_size=2),
    },
)


@given(WHOLE | st.builds(lambda changes: changes | VALID, WHOLE))
def test_settings_that_agree_make_a_gate(values: dict[str, Any]) -> None:
    try:
        settings = parse(values)
    except SettingsError as error:
        assert all(": " in problem for problem in error.problems), "each names its key"  # noqa: PT017 - both may be
        return
    build(settings, {one.path: Recorder() for one in settings.resources})
