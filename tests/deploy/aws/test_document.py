"""docs/deploy.md: its commands run, and it names every option."""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentParser
from pathlib import Path

import pytest

from deploy.aws_options import deploy_options
from deploy.key_snapshot import Snapshots
from tests.deploy.aws.cloudformation import REGISTRY_PASSWORD, Cloud
from tests.deploy.aws.docker import Docker
from tests.deploy.aws.driven import Driver
from tests.deploy.laptop import ROOT

PAGE = (ROOT / "docs" / "deploy.md").read_text("utf-8")
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = re.findall(r"^bearergate deploy (.*?)(?:  +#.*)?$", BLOCKS, re.MULTILINE)
ELSEWHERE = {"--help", "--plan", "--yes", "--no-streaming"}  # told beside the table, or by argparse


@pytest.mark.parametrize("arguments", COMMANDS)
def test_command_of_the_page_does_what_it_says(driver: Driver, aws: Cloud, tmp_path: Path, arguments: str) -> None:
    docker = Docker(tmp_path / "bin")
    docker.state = {**docker.state, "password": REGISTRY_PASSWORD}
    driver.take = lambda *_: Snapshots({}, {}, [])
    aws.pools.clear()
    aws.pool_made = "eu-central-1_MadeHere1"
    words = shlex.split(arguments)
    said = driver.deploy(*words, agreed="--plan" not in words, over={"PATH": f"{docker.folder}:/usr/bin:/bin"})
    assert ("Nothing was changed." in said) == ("--plan" in words)
    assert bool(docker.state["pushed"]) == ("--image" in words)


def test_page_has_commands() -> None:
    assert len(COMMANDS) == 3


def test_page_names_every_option_and_no_other() -> None:
    parser = ArgumentParser()
    deploy_options(parser)
    options = {name for action in parser._actions for name in action.option_strings if name.startswith("--")}
    table = {
        name for row in re.findall(r"^\| (`--.*?) \|", PAGE, re.MULTILINE) for name in re.findall(r"--[\w-]+", row)
    }
    assert table | ELSEWHERE == options


def test_page_builds_the_container_as_its_dockerfile_says() -> None:
    lines = [line for line in BLOCKS.splitlines() if line.startswith("docker ")]
    head = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
    assert len(lines) == 2
    assert all(f"#   {line}\n" in head for line in lines)
