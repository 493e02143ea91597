"""What the rest of this folder runs on: it is there after one installation, or a sentence says why it is not."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.official.node import NODE, PACKAGES, install, packages


def test_node_is_new_enough_for_the_suite() -> None:
    said = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.fullmatch(r"v(\d+)\.\d+\.\d+\n", said)
    assert found
    assert int(found[1]) >= 22


@pytest.mark.parametrize(("name", "version"), PACKAGES.items())
def test_package_is_there_in_the_pinned_version(name: str, version: str) -> None:
    described = json.loads((packages() / "node_modules" / name / "package.json").read_text())
    assert described["version"] == version


def test_registry_out_of_reach_is_said_in_one_sentence(tmp_path: Path) -> None:
    nowhere = {
        "npm_config_registry": "http://127.0.0.1:9",  # nothing listens there
        "npm_config_fetch_retries": "0",
        "npm_config_cache": str(tmp_path / "cache"),
    }
    with pytest.raises(pytest.fail.Exception, match=r"npm could not install .*\(it says ECONNREFUSED\).*its registry"):
        install(tmp_path, nowhere)
