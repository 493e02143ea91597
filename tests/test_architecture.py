"""Which package may import which, so that each stays usable without the others; the table is the design."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "discovery": {"discovery"},  # any client or server can use it
    "gateway": {"gateway", "discovery"},  # an upstream is any ASGI app
    "tools": {"tools", "discovery.challenge", "gateway.principal"},  # a plugin needs these and the MCP SDK alone
    "client": {"client", "discovery"},  # it is one client among many
    "deploy": {"deploy", "discovery", "gateway", "tools", "client", "conformance"},  # joins everything
    "conformance": {"conformance"},  # a judge that shares the defendant's parser shares its mistakes
}
# What a gate can start without.
HEAVY = {"mcp", "pydantic", "httpx", "boto3", "joserfc", "cryptography", "limits", "cedarpy", "prometheus_client"}
MODULES = [file for package in MAY_IMPORT for file in sorted((ROOT / package).rglob("*.py"))]


def imports(file: Path) -> Iterator[str]:
    """Everything a module imports, wherever in it; of `from a import b` it is a.b."""
    package = file.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*parents, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_module_imports_what_its_package_may(file: Path) -> None:
    package = file.relative_to(ROOT).parts[0]
    ours = {name for name in imports(file) if name.partition(".")[0] in {*MAY_IMPORT, "tests"}}
    allowed = tuple(f"{name}." for name in MAY_IMPORT[package])
    assert {name for name in ours if not f"{name}.".startswith(allowed)} == set()


def test_gate_never_imports_the_sdk() -> None:
    foreign = {name.partition(".")[0] for file in (ROOT / "gateway").rglob("*.py") for name in imports(file)}
    assert "mcp" not in foreign
    assert {"msgspec", "starlette"} <= foreign, "the imports are really looked at"


def test_gate_starts_without_what_is_heavy() -> None:
    code = f"import sys, gateway.app, gateway.upstream, gateway.sessions; print(*sorted(sys.modules.keys() & {HEAVY}))"
    started = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert started.stdout.split() == []


def compiled() -> list[str]:
    """The modules that wheels for servers compile."""
    hook = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
    modules: list[str] = hook["custom"]["modules"]
    return modules


@pytest.mark.parametrize("module", compiled())
def test_what_is_compiled_never_waits_while_it_handles_an_exception(module: str) -> None:
    """mypyc keeps no exception state per coroutine: one that waits in an `except` leaves it to whoever runs then."""
    handlers = [
        node for node in ast.walk(ast.parse((ROOT / module).read_text())) if isinstance(node, ast.ExceptHandler)
    ]
    waits = (ast.Await, ast.AsyncWith, ast.AsyncFor, ast.Yield, ast.YieldFrom)
    assert not [node.lineno for handler in handlers for node in ast.walk(handler) if isinstance(node, waits)]
