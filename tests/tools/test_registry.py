"""Plugins are found through entry points, and every refusal names the plugin and what to do."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.conftest import Install
from tools.greetings import plugin as greetings
from tools.registry import Kind, Needs, Plugin, PluginError, find

ECHO = """
from tools.registry import Needs, Plugin

def register(server):
    @server.tool("echo")
    def echo(text: str) -> str:
        return text

plugin = Plugin("echo", register, [Needs("tool", "echo", ("echo:use",))])
"""


def nothing(_: object) -> None:
    """Registers nothing."""


class TestFind:
    def test_every_installed_plugin_by_name(self, install: Install) -> None:
        install("stranger-echo", {"echo": "stranger_echo:plugin"}, {"stranger_echo.py": ECHO})
        assert [plugin.name for plugin in find()] == ["bedrock", "echo", "greetings", "prompts"]

    def test_named_ones_in_the_order_given_and_once_each(self, install: Install) -> None:
        install("stranger-echo", {"echo": "stranger_echo:plugin"}, {"stranger_echo.py": ECHO})
        found = find(["greetings", "echo", "greetings"])
        assert [plugin.name for plugin in found] == ["greetings", "echo"]
        assert found[0] is greetings

    def test_none_where_none_are_named(self) -> None:
        assert find([]) == ()

    def test_one_that_is_not_asked_for_is_not_imported(self, install: Install) -> None:
        install("stranger-bad", {"bad": "stranger_bad:plugin"}, {"stranger_bad.py": "raise RuntimeError"})
        assert find(["greetings"]) == (greetings,)

    def test_name_that_is_not_installed_is_refused_with_those_that_are(self) -> None:
        said = r"^No plugin is called nope: install it, or choose among bedrock, greetings, prompts\.$"
        with pytest.raises(PluginError, match=said):
            find(["nope"])

    def test_two_of_a_name_are_refused_with_both_distributions(self, install: Install) -> None:
        install("stranger-one", {"echo": "stranger_echo:plugin"}, {"stranger_echo.py": ECHO})
        install("stranger-two", {"echo": "stranger_echo:plugin"}, {})
        two = r"^Two plugins are called echo: .* of stranger-\w+\) and .* of stranger-\w+\); uninstall one of them\.$"
        for names in (["echo"], None):
            with pytest.raises(PluginError, match=two):
                find(names)

    def test_two_of_a_name_do_not_matter_to_who_asks_for_another(self, install: Install) -> None:
        install("stranger-one", {"echo": "stranger_echo:plugin"}, {})
        install("stranger-two", {"echo": "stranger_echo:plugin"}, {})
        assert find(["greetings"]) == (greetings,)

    def test_one_distribution_on_the_path_twice_is_one(self, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
        install("stranger-echo", {"echo": "stranger_echo:plugin"}, {"stranger_echo.py": ECHO})
        monkeypatch.syspath_prepend(sys.path[0])
        assert [plugin.name for plugin in find(["echo"])] == ["echo"]

    @pytest.mark.parametrize(
        ("module", "said"),
        [
            pytest.param("import nowhere_to_be_found", "ModuleNotFoundError: No module named", id="a missing module"),
            pytest.param("raise RuntimeError('a\\nb')", r"RuntimeError: a b", id="an exception of two lines"),
            pytest.param("raise SystemExit('no licence')", "SystemExit: no licence", id="an exit"),
            pytest.param("plugin (", "SyntaxError", id="a syntax error"),
            pytest.param("", "AttributeError", id="nothing of that name"),
            pytest.param(
                "from tools.registry import Needs\nNeeds('tool', 'x', ('two words'))",
                r"ValueError: the scopes of the tool 'x' must be a tuple of scopes, as \('a:read',\)",
                id="needs that are none",
            ),
        ],
    )
    def test_plugin_that_cannot_be_imported_is_refused_in_one_sentence(
        self, install: Install, module: str, said: str
    ) -> None:
        install("stranger-bad", {"bad": "stranger_bad:plugin"}, {"stranger_bad.py": module})
        expected = rf"^The plugin bad \(stranger_bad:plugin of stranger-bad\) cannot be imported \({said}"
        with pytest.raises(PluginError, match=expected) as refused:
            find(["bad"])
        assert str(refused.value).endswith("): correct or uninstall it.")
        assert "\n" not in str(refused.value)

    @pytest.mark.parametrize(
        ("module", "said"),
        [
            pytest.param("plugin = 'echo'", "is no Plugin: its entry point must name one", id="something else"),
            pytest.param(
                "from tools.registry import Plugin\nplugin = Plugin('good', print, [])",
                "calls itself good: give both the same name",
                id="another name than its entry point",
            ),
        ],
    )
    def test_what_is_not_the_plugin_it_should_be_is_refused(self, install: Install, module: str, said: str) -> None:
        install("stranger-bad", {"bad": "stranger_bad:plugin"}, {"stranger_bad.py": module})
        with pytest.raises(PluginError, match=rf"^The plugin bad \(stranger_bad:plugin of stranger-bad\) {said}\.$"):
            find(["bad"])


class TestRegistrar:
    def test_function_is_taken_as_it_is(self) -> None:
        assert Plugin("mine", nothing, []).registrar() is nothing

    def test_function_given_by_name_is_imported_when_asked_for(self) -> None:
        plugin = Plugin("mine", "tests.tools.test_registry:nothing", [])
        assert plugin.registrar().__name__ == "nothing"

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            pytest.param("nowhere_at_all:register", r"cannot import .* \(ModuleNotFoundError", id="no such module"),
            pytest.param("tools.greetings.server:nope", r"cannot import .* \(AttributeError", id="no such function"),
            pytest.param("tools.greetings.server", r"cannot import .* \(AttributeError", id="no function named"),
            pytest.param(":register", r"cannot import .* \(ValueError", id="no module named"),
            pytest.param("tools.greetings.server:PAUSE", "registers with .*, which is no function", id="no function"),
        ],
    )
    def test_function_that_is_not_there_is_refused(self, name: str, said: str) -> None:
        with pytest.raises(PluginError, match=rf"^The plugin mine {said}"):
            Plugin("mine", name, []).registrar()


class TestStatements:
    @pytest.mark.parametrize(
        ("kind", "name", "scopes", "said"),
        [
            pytest.param("tol", "x", (), "the kinds are tool, prompt, resource", id="a kind that is none"),
            pytest.param("tool", "", (), "name it, or give a glob", id="no name"),
            pytest.param("tool", None, (), "name it, or give a glob", id="a name that is no text"),
            pytest.param("tool", "x", "a:read", "must be a tuple of scopes", id="a text, of which each letter is one"),
            pytest.param("tool", "x", ["a:read"], "must be a tuple of scopes", id="a list"),
            pytest.param("tool", "x", ("a read",), "must be a tuple of scopes", id="a blank in a scope"),
            pytest.param("tool", "x", ("",), "must be a tuple of scopes", id="an empty scope"),
            pytest.param("tool", "x", (7,), "must be a tuple of scopes", id="a number"),
        ],
    )
    def test_statement_that_makes_no_sense_is_refused(self, kind: Kind, name: str, scopes: object, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            Needs(kind, name, scopes)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "needs",
        [
            pytest.param(Needs("tool", "x"), id="one statement instead of a list"),
            pytest.param([("tool", "x")], id="something else in the list"),
        ],
    )
    def test_needs_of_a_plugin_are_a_list_of_statements(self, needs: object) -> None:
        with pytest.raises(TypeError, match=r"needs of the plugin mine must be a list of Needs\(…\)"):
            Plugin("mine", nothing, needs)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("statement", "kind", "name", "covered"),
        [
            pytest.param(Needs("tool", "greet"), "tool", "greet", True, id="the same name"),
            pytest.param(Needs("tool", "greet"), "tool", "Greet", False, id="another case"),
            pytest.param(Needs("tool", "greet"), "prompt", "greet", False, id="another kind"),
            pytest.param(Needs("tool", "greet*"), "tool", "greet-all", True, id="a glob"),
            pytest.param(Needs("tool", "greet?"), "tool", "greet", False, id="a glob that does not fit"),
            pytest.param(Needs("resource", "a://b"), "resource", "a://b", True, id="a resource"),
            pytest.param(Needs("resource", "a://b/{x}"), "resource", "a://b/{x}", False, id="a template to the letter"),
            pytest.param(Needs("resource", "a://b/*"), "resource", "a://b/{x}", True, id="all a template expands to"),
            pytest.param(Needs("resource", "a://b/?*"), "resource", "a://b/{x}", False, id="not what expands to none"),
            pytest.param(Needs("resource", "a://b/*"), "resource", "a://{x}/b", False, id="not what expands elsewhere"),
            pytest.param(Needs("resource", "a://b*"), "resource", "a://b{?q,r}", True, id="a template with a query"),
            pytest.param(Needs("tool", "*{x}*"), "tool", "is-{x}-ok", True, id="braces in the name of a tool"),
        ],
    )
    def test_statement_covers_what_it_fits_in_every_form(
        self, statement: Needs, kind: Kind, name: str, covered: bool
    ) -> None:
        assert statement.covers(kind, name) is covered

    @given(st.text(min_size=1), st.text())
    def test_statement_about_any_name_is_a_plain_yes_or_no(self, statement: str, name: str) -> None:
        assert Needs("resource", statement).covers("resource", name) in (True, False)

    @given(st.text())
    def test_star_covers_everything_of_its_kind(self, name: str) -> None:
        assert Needs("resource", "*").covers("resource", name)
        assert not Needs("tool", "*").covers("resource", name)


class TestCovered:
    plugin = Plugin("mine", nothing, [Needs("tool", "a"), Needs("resource", "r://*")])

    def test_everything_with_a_statement_and_every_statement_about_something_pass(self) -> None:
        self.plugin.check_covered([("tool", "a"), ("resource", "r://{x}")], [("tool", "b")])

    def test_tool_without_a_statement_is_refused(self) -> None:
        expected = r"^The plugin mine has a tool 'b' but says nothing of what it needs: add Needs\.$"
        with pytest.raises(PluginError, match=expected):
            self.plugin.check_covered([("tool", "a"), ("resource", "r://"), ("tool", "b")])

    def test_template_without_a_statement_is_refused_with_a_hint(self) -> None:
        with pytest.raises(PluginError, match=r"'s://\{x\}' but .*: add Needs with a glob that fits all it expands to"):
            self.plugin.check_covered([("resource", "s://{x}")])

    def test_statement_about_nothing_is_refused(self) -> None:
        expected = r"^The plugin mine says what the resource 'r://\*' needs but has none: correct it\.$"
        with pytest.raises(PluginError, match=expected):
            self.plugin.check_covered([("tool", "a")])

    def test_statement_about_what_comes_and_goes_may_be_about_nothing_yet(self) -> None:
        plugin = Plugin("mine", nothing, [Needs("prompt", "mine.*", ("a:read",), dynamic=True)])
        plugin.check_covered([], [("prompt", "theirs")])
        with pytest.raises(PluginError, match=r"would be asked for 'mine\.x' of another plugin too"):
            plugin.check_covered([], [("prompt", "mine.x")])

    def test_statement_that_would_be_about_another_plugin_too_is_refused(self) -> None:
        expected = "says what the resource 'r://.*' needs, which would be asked for 'r://theirs' of another plugin too"
        with pytest.raises(PluginError, match=expected):
            self.plugin.check_covered([("tool", "a"), ("resource", "r://mine")], [("resource", "r://theirs")])


def test_registry_and_server_are_importable_without_the_sdk() -> None:
    program = """
import sys
sys.modules["mcp"] = None  # what tells Python that there is no such module
import tools.registry, tools.server
assert [plugin.name for plugin in tools.registry.find(["greetings"])] == ["greetings"]
tools.server.app(tools.registry.find(["greetings"]))
try:
    tools.server.check(tools.registry.find(["greetings"]))
except tools.registry.PluginError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "The MCP SDK cannot be imported: pip install 'bearergate[tools]'\n"


def test_finding_plugins_imports_nothing_of_the_sdk() -> None:
    program = """
import sys, tools.registry, tools.server
tools.server.app(tools.registry.find())
print(sorted(name for name in sys.modules if name.partition(".")[0] in {"mcp", "mcp_types", "pydantic", "anyio"}))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
