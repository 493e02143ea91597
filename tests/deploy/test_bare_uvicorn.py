"""uvicorn is there without what runs before it; nobody else who uses it can tell."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.bare_uvicorn import defer
from tests.deploy.laptop import ROOT

NAME = "package_of_the_test"
OWN = f"from {NAME}.part import value\nloaded = True\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that can be imported, and is forgotten after the test."""
    folder = tmp_path / NAME
    folder.mkdir()
    (folder / "__init__.py").write_text(OWN)
    (folder / "part.py").write_text("value = 1\n")
    (folder / "other.py").write_text("value = 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


@pytest.mark.usefixtures("package")
def test_module_of_a_package_is_imported_without_the_package() -> None:
    defer(NAME)
    assert importlib.import_module(f"{NAME}.other").value == 2
    assert "loaded" not in vars(sys.modules[NAME])
    assert f"{NAME}.part" not in sys.modules


@pytest.mark.usefixtures("package")
def test_package_runs_when_it_is_asked_for_what_it_defines() -> None:
    defer(NAME)
    package = importlib.import_module(NAME)
    assert (package.value, package.loaded) == (1, True)
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        _ = package.nothing_of_that_name


@pytest.mark.usefixtures("package")
def test_package_that_is_imported_stays_as_it_is() -> None:
    package = importlib.import_module(NAME)
    defer(NAME)
    assert sys.modules[NAME] is package
    assert "__getattr__" not in vars(package)


def test_package_that_is_not_installed_is_left_to_whoever_imports_it() -> None:
    defer(NAME)
    assert NAME not in sys.modules


def test_uvicorn_is_whole_for_whoever_asks() -> None:
    code = (
        "import sys, deploy.server, uvicorn, uvicorn.server\n"
        "assert 'click' not in sys.modules\n"
        "assert uvicorn.Server is uvicorn.server.Server and uvicorn.Config\n"
        "assert 'click' not in sys.modules\n"
        "assert callable(uvicorn.run) and callable(uvicorn.main) and uvicorn.__version__\n"
        "assert uvicorn.Server is uvicorn.server.Server\n"
        "assert 'click' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
