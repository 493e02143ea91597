"""docs/policies.md and docs/forward-auth.md show settings and policies that work."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from msgspec import convert
from msgspec.structs import replace

from gateway.cedar_policies import problems_of
from gateway.cedar_schema import CONNECT, USE
from gateway.settings import CedarSettings
from gateway.sources import parse

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "policies.md").read_text("utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_policies_of_the_page_are_good_with_the_settings_of_the_page() -> None:
    (settings,) = map(yaml.safe_load, blocks(PAGE, "yaml"))
    (policies,) = blocks(PAGE, "cedar")
    cedar = convert(settings["resources"][0]["cedar"], CedarSettings)
    assert problems_of(replace(cedar, file="", policies=policies)) == []
    settings["resources"][0]["cedar"] |= {"file": "", "policies": policies}
    parse(settings)


def test_page_names_the_problem_as_the_gate_does() -> None:
    (settings,) = map(yaml.safe_load, blocks(PAGE, "yaml"))
    (policies,) = blocks(PAGE, "cedar")
    cedar = convert(settings["resources"][0]["cedar"], CedarSettings)
    misspelt = policies.replace("has amount", "has amuont")
    (problem,) = problems_of(replace(cedar, file="", policies=misspelt))
    assert problem.replace("policies, line 4", "gate.cedar, line 8") in PAGE


def test_page_names_every_action() -> None:
    assert all(f'"{action}"' in PAGE for action in USE)
    assert {"response", "GET", "DELETE", "subscriptions/listen"} <= set(CONNECT)
    assert all(f'"{action}"' in PAGE for action in ("response", "GET", "DELETE", "subscriptions/listen"))


def test_settings_of_the_page_about_forward_auth_are_good() -> None:
    first, *_ = blocks((DOCS / "forward-auth.md").read_text("utf-8"), "yaml")
    parse(yaml.safe_load(first))
