"""Settings from a file and the environment: every problem at once, each with the key to change."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings import IssuerSettings, ResourceSettings, Rule, Settings
from gateway.sources import MAX_FILE, SettingsError, load, parse, read_yaml

VALID: dict[str, Any] = {"public_url": "https://gw.example", "issuers": [{"issuer": "https://issuer.example"}]}
ANY = "permit(principal, action, resource);"
POOL = {"COGNITO_USER_POOL_ID": "eu-west-1_Abc", "COGNITO_ALLOWED_CLIENT_IDS": "one, two"}


def resource(**of: Any) -> dict[str, Any]:
    return {"resources": [of]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text("public_url: https://gw.example\nissuers:\n  - issuer: https://issuer.example\nleeway: 10\n")
    return path


def problems(values: Any) -> list[str]:
    with pytest.raises(SettingsError) as error:
        parse(values)
    assert str(error.value) == "\n".join(error.value.problems)
    return error.value.problems


def why_not(path: Path | None = None, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as error:
        load(path, environment)
    return error.value.problems


class TestFile:
    def test_file_is_read(self, file: Path) -> None:
        settings = load(file)
        assert settings.issuers == [IssuerSettings(issuer="https://issuer.example")]
        assert settings.resources == [ResourceSettings()]
        assert settings.leeway == 10

    def test_file_is_found_by_the_variable(self, file: Path) -> None:
        assert load(environment={"BEARERGATE_FILE": str(file)}).leeway == 10

    def test_path_that_is_given_comes_before_the_variable(self, file: Path) -> None:
        assert load(file, {"BEARERGATE_FILE": "/nowhere.yaml"}).leeway == 10

    def test_file_of_the_usual_name_is_read_if_it_is_there(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(file.parent)
        assert why_not() == [
            "bearergate.yaml: not in this folder; create it, or name another file with --file",
            "public_url: missing. Origin under which clients reach the gate: https, or http on a loopback address.",
            "issuers: missing. Issuers whose tokens are accepted.",
        ]
        assert why_not(environment={"BEARERGATE_PORT": "9000"}) == why_not()
        file.rename(file.with_name("bearergate.yaml"))
        assert load().leeway == 10

    def test_file_that_was_named_must_be_there(self, tmp_path: Path) -> None:
        missing = tmp_path / "missing.yaml"
        assert why_not(missing) == [f"{missing}: no such file; create it or name another one"]
        assert why_not(environment={"BEARERGATE_FILE": str(missing)}) == why_not(missing)

    def test_directory_is_no_file(self, tmp_path: Path) -> None:
        assert "cannot be read" in why_not(tmp_path)[0]

    def test_file_that_is_no_text_is_refused(self, file: Path) -> None:
        file.write_bytes(b"\xff\xfe\x00")
        assert "cannot be read" in why_not(file)[0]

    def test_file_beyond_reason_is_not_read(self, file: Path) -> None:
        file.write_bytes(b"#" * (MAX_FILE + 1))
        assert "hardly a settings file" in why_not(file)[0]

    def test_empty_file_says_nothing(self, file: Path) -> None:
        file.write_text("# nothing yet\n")
        assert len(why_not(file)) == 2

    @pytest.mark.parametrize("text", ["- a\n- b\n", "text\n", "7\n", "true\n"])
    def test_file_holds_keys_and_values(self, file: Path, text: str) -> None:
        file.write_text(text)
        assert "must hold keys and values" in why_not(file)[0]

    def test_key_that_is_no_text_is_no_setting(self, file: Path) -> None:
        file.write_text("7: a\n")
        assert "7: not a setting; see docs/settings.md for those there are" in why_not(file)


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("off", "off"),
            ("No", "No"),
            ("y", "y"),
            ("truely", "truely"),
            ("[true, False, TRUE]", [True, False, True]),
            ("2026-11-21", "2026-11-21"),
            ("2026-99-99", "2026-99-99"),
            ("1.5", 1.5),
            ("0", 0),
            ("~", None),
            ("", None),
        ],
    )
    def test_words_are_texts(self, text: str, value: Any) -> None:
        assert read_yaml(text, "here") == value

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            pytest.param("a: [", "here: not valid YAML in line 1 (expected the node", id="half a list"),
            pytest.param("a: b\n c: d", "here: not valid YAML in line 2 (mapping values", id="indented"),
            pytest.param("a: *b", "here: not valid YAML in line 1 (found undefined alias", id="no anchor"),
            pytest.param("{[a]: b}", "here: not valid YAML in line 1 (found unhashable key", id="a list for a key"),
            pytest.param("!!python/object:os.system a", "here: not valid YAML in line 1 (could not", id="an object"),
            pytest.param("a: \x00", "here: not valid YAML (unacceptable character", id="a control character"),
            pytest.param("[" * 1000, "here: nested too deeply", id="nested without end"),
            pytest.param("0b_", "here: not valid YAML (invalid literal", id="a number that is none"),
            pytest.param("1" * 5000, "here: not valid YAML (Exceeds the limit", id="a number without end"),
            pytest.param("!!bool x", "here: not valid YAML ('x')", id="a truth that is none"),
            pytest.param("!!timestamp x", "here: not valid YAML (", id="a date that is none"),
            pytest.param("!!int ''", "here: not valid YAML (", id="a number of nothing"),
            pytest.param(
                "a: {b: 1,\n c: 2, b: 3}", "here: not valid YAML in line 2 (b is there twice", id="a key twice"
            ),
        ],
    )
    def test_what_is_no_yaml_says_where_and_why(self, text: str, problem: str) -> None:
        with pytest.raises(SettingsError) as error:
            read_yaml(text, "here")
        assert error.value.problems[0].startswith(problem)

    def test_key_that_comes_with_what_is_merged_may_be_said_again(self) -> None:
        merged = {"base": {"a": 1, "b": 2}, "own": {"a": 1, "b": 3}}
        assert read_yaml("base: &base {a: 1, b: 2}\nown: {<<: *base, b: 3}", "here") == merged

    @given(st.text(st.characters(codec="utf-8")) | st.text("[]{}:,&*!-?|>'\"%@`#~=<0123456789abex_. \n\t", max_size=30))
    def test_no_text_raises_anything_but_a_problem(self, text: str) -> None:
        with suppress(SettingsError):
            read_yaml(text, "here")


class TestEnvironment:
    def test_environment_wins_over_the_file_key_by_key(self, file: Path) -> None:
        settings = load(file, {"BEARERGATE_LEEWAY": "5", "BEARERGATE_HOST": "0.0.0.0", "PATH": "/bin"})  # noqa: S104
        assert (settings.leeway, settings.host) == (5, "0.0.0.0")  # noqa: S104 - it only says so
        assert settings.public_url == "https://gw.example"

    def test_lists_and_mappings_are_given_as_yaml(self) -> None:
        environment = {
            "BEARERGATE_PUBLIC_URL": "https://gw.example",
            "BEARERGATE_ISSUERS": '[{issuer: "https://a.example", algorithms: [ES256]}]',
            "BEARERGATE_SCOPE_HIERARCHY": "{a: [b, c]}",
            "BEARERGATE_AUDIT_LOG": "off",
        }
        settings = load(environment=environment)
        assert settings.issuers[0].algorithms == ["ES256"]
        assert settings.scope_hierarchy == {"a": ["b", "c"]}
        assert settings.audit_log == "off"

    def test_variable_that_is_no_setting_is_a_problem_with_a_suggestion(self, file: Path) -> None:
        found = why_not(file, {"BEARERGATE_LEEWAI": "5", "BEARERGATE_XYZ": "1"})
        assert found[0] == "BEARERGATE_LEEWAI: not a setting; did you mean BEARERGATE_LEEWAY?"
        assert found[1] == "BEARERGATE_XYZ: not a setting; see docs/settings.md for those there are"

    def test_variables_that_cannot_be_read_are_problems_together(self, file: Path) -> None:
        found = why_not(file, {"BEARERGATE_ISSUERS": "[", "BEARERGATE_LEEWAY": "soon", "BEARERGATE_PORT": "-1"})
        assert [problem.partition(":")[0] for problem in found] == ["BEARERGATE_ISSUERS", "leeway", "port"]


class TestCognito:
    def test_variables_of_a_user_pool_make_an_issuer(self, file: Path) -> None:
        file.write_text("public_url: https://gw.example\n")
        scopes = "https://gw.example/mcp/use,https://gw.example/mcp/more"
        settings = load(file, POOL | {"COGNITO_REGION": "us-east-1", "COGNITO_REQUIRED_SCOPES": scopes})
        assert settings.issuers == [
            IssuerSettings(
                issuer="https://cognito-idp.us-east-1.amazonaws.com/eu-west-1_Abc",
                client_ids=["one", "two"],
                resource_server="https://gw.example/mcp",
            )
        ]
        assert settings.resources == [ResourceSettings(scopes=scopes.split(","))]

    def test_pool_names_its_region(self, file: Path) -> None:
        file.write_text("public_url: https://gw.example\n")
        (issuer,) = load(file, POOL | {"COGNITO_REQUIRED_SCOPES": "openid a/b c/d"}).issuers
        assert issuer.issuer == "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Abc"
        assert issuer.resource_server == "", "of two resource servers neither is ours"

    def test_pool_in_china_is_under_its_own_domain(self, file: Path) -> None:
        file.write_text("public_url: https://gw.example\n")
        (issuer,) = load(file, POOL | {"COGNITO_REGION": "cn-north-1", "COGNITO_REQUIRED_SCOPES": "a/b"}).issuers
        assert issuer.issuer == "https://cognito-idp.cn-north-1.amazonaws.com.cn/eu-west-1_Abc"

    @pytest.mark.parametrize(
        "variables",
        [
            pytest.param(POOL | {"COGNITO_USER_POOL_ID": "Abc"}, id="no region"),
            pytest.param(POOL | {"COGNITO_USER_POOL_ID": "eu-west-1_Abc/"}, id="more than an id"),
            pytest.param({"COGNITO_REGION": "eu-west-1"}, id="a region alone"),
            pytest.param({"COGNITO_ALLOWED_CLIENT_IDS": "one"}, id="clients of no pool"),
        ],
    )
    def test_what_names_no_pool_is_a_problem(self, file: Path, variables: dict[str, str]) -> None:
        file.write_text("public_url: https://gw.example\n")
        assert why_not(file, variables)[0].startswith("COGNITO_USER_POOL_ID: ")

    def test_region_of_other_programs_is_no_pool_where_issuers_are_named(self, file: Path) -> None:
        file.write_text("public_url: https://gw.example\n")
        issuers = {"BEARERGATE_ISSUERS": '[{issuer: "https://issuer.example"}]'}
        assert load(file, {"COGNITO_REGION": "eu-west-1", **issuers}).issuers[0].issuer == "https://issuer.example"

    def test_pool_without_clients_has_no_audience_rule(self, file: Path) -> None:
        file.write_text("public_url: https://gw.example\n")
        (problem,) = why_not(file, {"COGNITO_USER_POOL_ID": "eu-west-1_Abc"})
        assert problem.startswith("issuers[0].client_ids: no audience rule")

    def test_issuers_of_the_settings_come_before_the_pool(self, file: Path) -> None:
        assert load(file, POOL).issuers[0].issuer == "https://issuer.example"

    def test_resources_of_the_settings_keep_their_scopes(self, file: Path) -> None:
        file.write_text("public_url: https://gw.example\nresources: [{path: /x, scopes: [a]}]\n")
        (resource,) = load(file, POOL | {"COGNITO_REQUIRED_SCOPES": "b"}).resources
        assert resource.scopes == ["a"]


class TestProblems:
    def test_every_problem_is_named_at_once_each_with_its_key(self) -> None:
        broken = {
            "publik_url": "https://gw.example",
            "issuers": [{"issuer": 7, "kind": "saml"}, "text", {"jwks_uri": "https://a.example"}],
            "resources": [{"path": "/mcp", "rules": [{"tools": "x", "scope": ["a"]}], "subpaths": "yes"}],
            "leeway": -1,
            "port": 70000,
            "audit_log": None,
        }
        keys = [problem.partition(": ")[0] for problem in problems(broken)]
        assert sorted(keys) == [
            "audit_log",
            "issuers[0].issuer",
            "issuers[0].kind",
            "issuers[1]",
            "issuers[2].issuer",
            "leeway",
            "port",
            "public_url",
            "publik_url",
            "resources[0].rules[0].scope",
            "resources[0].rules[0].tools",
            "resources[0].subpaths",
        ]

    def test_contradictions_are_named_beside_what_cannot_be_read(self) -> None:
        found = problems(VALID | {"leeway": "soon", "resources": [{"path": "mcp"}]})
        assert [problem.partition(":")[0] for problem in found] == ["leeway", "resources[0].path"]

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            pytest.param({"leeway": "soon"}, "leeway: must be a number, not a text. Seconds by which", id="type"),
            pytest.param({"leeway": float("nan")}, "leeway: must be a number", id="not a number"),
            pytest.param({"leeway": float("inf")}, "leeway: must be a number", id="infinite"),
            pytest.param({"port": 1.5}, "port: must be a whole number", id="fraction"),
            pytest.param({"issuers": {}}, "issuers: must be a list, not keys and values", id="mapping for a list"),
            pytest.param({"issuers": "x"}, "issuers: must be a list, not a text", id="text for a list"),
            pytest.param(
                {"issuers": [None]}, "issuers[0]: must be keys and values such as `issuer: …`, not n", id="nothing"
            ),
            pytest.param(
                {"issuers": [True]},
                "issuers[0]: must be keys and values such as `issuer: …`, not true or false",
                id="truth",
            ),
            pytest.param(
                {"issuers": [{1}]}, "issuers[0]: must be keys and values such as `issuer: …`, not so", id="a set"
            ),
            pytest.param(
                {"resources": [[]]}, "resources[0]: must be keys and values, not a list", id="nothing required"
            ),
            pytest.param(
                resource(forward_auth="on"),
                "resources[0].forward_auth: must be off or head or body, not 'on'",
                id="word",
            ),
            pytest.param(
                resource(forward_auth=True),
                "resources[0].forward_auth: must be off or head or body, not t",
                id="no word",
            ),
            pytest.param(
                resource(upstream="https://user:hunter2@mcp.example"),
                "resources[0].upstream: must be keys and values such as `url: …`, not a text. MCP server",
                id="text that may hold a secret",
            ),
            pytest.param(
                {"facade": "on"},
                "facade: must be keys and values such as `client_id: …` or off, not a text",
                id="switch",
            ),
            pytest.param(
                resource(cedar={"policies": ANY, "claims": {"vip": "bool"}}),
                "resources[0].cedar.claims: must be String or Long or Bool or decimal or Set<String> or Set<Long>, "
                "not 'bool' under one of its keys. Claims",
                id="word within",
            ),
            pytest.param(
                resource(cedar={"policies": ANY, "claims": ["vip"]}),
                "resources[0].cedar.claims: must be keys and values, not a",
                id="names",
            ),
            pytest.param(
                {"allowed_hosts": ["a", 7]}, "allowed_hosts: must be a text, not a whole number at", id="entry"
            ),
            pytest.param(
                {"allowed_hots": []}, "allowed_hots: not a setting; did you mean allowed_hosts?", id="misspelt"
            ),
            pytest.param({"zzz": []}, "zzz: not a setting; see docs/settings.md", id="unknown"),
            pytest.param({7: []}, "7: not a setting; see docs/settings.md", id="a number for a key"),
            pytest.param({"scope_hierarchy": {1: ["a"]}}, "scope_hierarchy: must be a text", id="a number within"),
        ],
    )
    def test_value_of_another_kind_is_named_in_the_words_of_yaml(self, changes: Any, problem: str) -> None:
        (found,) = problems(VALID | changes)
        assert found.startswith(problem)

    def test_secret_of_another_setting_is_not_repeated(self) -> None:
        (found,) = problems(VALID | {"public_url": "https://user:hunter2@gw.example"})
        assert "hunter2" not in found


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.binary(max_size=5)
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC))
    | st.sampled_from(["https://gw.example", "/mcp", "https://issuer.example", "cognito", "RS256"])
)
KEYS = st.sampled_from(
    sorted({key for one in (Settings, IssuerSettings, ResourceSettings, Rule) for key in one.__struct_fields__})
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(KEYS | st.integers() | st.none() | st.text(max_size=5), inner, max_size=4)
    ),
)


@given(st.dictionaries(KEYS | st.text(max_size=5) | st.integers(), VALUES, max_size=6))
def test_no_values_raise_anything_but_problems(values: dict[Any, Any]) -> None:
    for candidate in (values, VALID | values):
        with suppress(SettingsError):
            parse(candidate)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_what_yaml_can_say_raises_nothing_but_problems(values: dict[str, Any]) -> None:
    with suppress(SettingsError):
        parse(read_yaml(yaml.safe_dump(values), "here"))
