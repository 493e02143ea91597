"""What the reports about Bedrock need at AWS: their settings, their prices, and leave to assume the roles they name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from deploy.aws_options import BadOption
from deploy.intrinsics import Filled
from deploy.package import CannotPackage
from tests.deploy.aws.cloudformation import ACCOUNT, POOL, REGION, Cloud
from tests.deploy.aws.driven import Driver
from tests.deploy.aws.test_template import policies
from tests.deploy.laptop import ROOT
from tools.bedrock.settings import EVERYBODY, Account, load

ROLE = f"arn:aws:iam::{ACCOUNT}:role/reader"
OTHER = "arn:aws:iam::444455556666:role/BearergateBedrockReader"
IMAGE = ("--image-uri", f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/bearergate:1")
EXISTING = ("--cognito-user-pool-id", POOL, "--cognito-client-ids", "a1")
SETTINGS = "public_url: https://mcp.example.com\nissuers: [{issuer: 'http://127.0.0.1:1'}]\n"
OF_BEDROCK = f"accounts:\n- {{id: '444455556666', groups: [finance], role: '{OTHER}', external_id: an-id}}\n"
PRICES = 'as_of: "2026-11-01"\nmodels: {a: {input: "3", output: "15"}}\n'


@pytest.mark.parametrize("runs", [IMAGE, ()], ids=["an image", "a package"])
def test_role_that_an_option_names_reaches_the_reports_whatever_the_function_runs(
    driver: Driver, runs: tuple[str, ...]
) -> None:
    said = driver.deploy(*EXISTING, *runs, "--bedrock-role-arn", ROLE)
    assert f"{ROLE} is to trust the function's role with sts:ExternalId bearergate-bearergate" in said
    told = Filled(driver.parameters(), REGION).variables("Function")
    expected = Account(ACCOUNT, (EVERYBODY,), ROLE, "bearergate-bearergate")
    assert load(told, driver.folder).accounts == (expected,)


def test_settings_beside_those_of_the_gate_are_packaged_with_their_prices_and_their_roles_may_be_assumed(
    driver: Driver,
) -> None:
    folder = driver.folder / "elsewhere"
    folder.mkdir()
    (folder / "mine.yaml").write_text(SETTINGS)
    (folder / "bedrock.yaml").write_text(f"{OF_BEDROCK}- {{id: '{ACCOUNT}', groups: [ops]}}\nprices: of/mine.yaml\n")
    (folder / "of").mkdir()
    (folder / "of" / "mine.yaml").write_text(PRICES)
    (driver.folder / "bedrock.yaml").write_text("sample: true")
    said = driver.deploy("-f", "elsewhere/mine.yaml")
    held = driver.held()
    assert held["bedrock.yaml"].decode().startswith(OF_BEDROCK)
    assert held["of/mine.yaml"].decode() == PRICES
    assert driver.parameters()["BedrockRoleArns"] == OTHER
    assert f"Note: {OTHER} of bedrock.yaml is to trust the function's role" in said
    assert policies("Role")["bedrock-roles"][0]["Resource"] == {"Ref": "BedrockRoleArns"}
    (folder / "bedrock.yaml").unlink()
    driver.deploy("-f", "elsewhere/mine.yaml")
    assert driver.parameters()["BedrockRoleArns"] == ""
    assert "bedrock.yaml" not in driver.held()


def test_role_is_not_named_twice_but_prices_go_with_one(driver: Driver, aws: Cloud) -> None:
    (driver.folder / "bedrock.yaml").write_text(OF_BEDROCK)
    with pytest.raises(BadOption, match=r"bedrock\.yaml names accounts already; take .* --bedrock-role-arn ''"):
        driver.deploy(*EXISTING, "--bedrock-role-arn", ROLE)
    assert aws.changing() == []
    (driver.folder / "bedrock.yaml").write_text("prices: p.yaml")
    (driver.folder / "p.yaml").write_text(PRICES)
    driver.deploy(*EXISTING, "--bedrock-role-arn", ROLE)
    assert {"bedrock.yaml", "p.yaml"} <= driver.held().keys()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("acounts: []", "bedrock.yaml: .*unknown field `acounts`", id="misspelt"),
        pytest.param("prices: none.yaml", "bedrock.yaml: prices: none.yaml cannot be read", id="prices not there"),
        pytest.param("prices: ../p.yaml", "bedrock.yaml: prices: ../p.yaml lies outside", id="prices elsewhere"),
        pytest.param("prices: /etc/hostname", "prices: /etc/hostname lies outside", id="prices somewhere else"),
        pytest.param("prices: bedrock.yaml", "bedrock.yaml: Object .*field", id="no prices"),
    ],
)
def test_settings_with_which_the_reports_would_not_start_end_in_a_sentence(
    driver: Driver, aws: Cloud, text: str, sentence: str
) -> None:
    (driver.folder / "bedrock.yaml").write_text(text)
    with pytest.raises(CannotPackage, match=sentence):
        driver.deploy(*EXISTING)
    assert aws.changing() == []


def test_who_deploys_needs_neither_the_sdk_nor_pydantic_to_judge_them() -> None:
    """The extra `lambda` brings neither."""
    code = "import sys, tools.bedrock.prices; print(not {'mcp', 'pydantic'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout == "True\n", done.stderr
