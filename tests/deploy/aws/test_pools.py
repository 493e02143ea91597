"""User pools: made, left when a stack goes, used again, and told who may register clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from deploy.aws_access import AwsRefused
from deploy.aws_options import BadOption
from deploy.key_snapshot import Snapshots, file_name
from deploy.registration import is_as_wanted
from gateway.sources import pool_issuer
from tests.deploy.aws.cloudformation import ACCOUNT, POOL, REGION, Cloud, FakeStack, RefusedError, command
from tests.deploy.aws.conftest import OUTPUTS
from tests.deploy.aws.driven import Driver

IMAGE = ("--image-uri", f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/bearergate:1")
MADE = "eu-central-1_MadeHere1"
NEW = ("--new-pool", "--cognito-domain", "acme-new")
SERVER = f"{OUTPUTS['Origin']}/mcp"
EXISTING = ("--cognito-user-pool-id", POOL, "--cognito-client-ids", "a1")


@pytest.fixture(autouse=True)
def pool_that_is_made(aws: Cloud) -> None:
    aws.pool_made = MADE
    aws.scopes[SERVER] = ["mcp:use", "greetings:read"]


def known_keys(issuers: Iterable[Mapping[str, Any]], _: Iterable[str]) -> Snapshots:
    """The keys of every issuer that is asked for, without a network."""
    names = {issuer["issuer"]: file_name(issuer["issuer"]) for issuer in issuers}
    return Snapshots(dict.fromkeys(names.values(), b'{"keys": []}'), names, [])


def unknown_keys(issuers: Iterable[Mapping[str, Any]], _: Iterable[str]) -> Snapshots:
    return Snapshots({}, {}, [f"the keys of {issuer['issuer']} are not packaged" for issuer in issuers])


def test_keys_of_a_new_pool_are_packaged_as_soon_as_it_is_there(driver: Driver) -> None:
    driver.take = known_keys
    assert "telling the function:" in driver.deploy(*NEW)
    name = file_name(pool_issuer(REGION, MADE))
    assert driver.parameters()["KeysFile"] == name
    assert name in driver.held()
    assert "No changes" in driver.deploy(), "the next deployment packages the same"
    assert len(driver.packaged_for) == 2, "the program itself is packaged once for each"


def test_new_pool_whose_keys_cannot_be_had_yet_is_deployed_without(driver: Driver) -> None:
    driver.take = unknown_keys
    said = driver.deploy(*NEW)
    assert f"Note: the keys of {pool_issuer(REGION, MADE)} are not packaged" in said
    assert "telling the function" not in said
    assert driver.parameters()["KeysFile"] == ""


def test_keys_of_an_existing_pool_are_packaged_unless_the_settings_name_issuers(driver: Driver) -> None:
    driver.take = known_keys
    driver.deploy(*EXISTING)
    assert driver.parameters()["KeysFile"] == file_name(pool_issuer(REGION, POOL))
    settings = "issuers: [{issuer: https://a.example}]\nresources: [{scopes: [use]}]\n"
    (driver.folder / "bearergate.yaml").write_text(settings)
    with pytest.raises(BadOption, match=r"--cognito-user-pool-id: bearergate\.yaml names issuers as well"):
        driver.deploy()
    driver.deploy("--cognito-user-pool-id", "")
    assert driver.parameters()["KeysFile"] == ""
    assert file_name("https://a.example") in driver.held()


def test_keys_of_an_existing_pool_are_not_known_to_be_in_an_image(driver: Driver) -> None:
    driver.take = known_keys
    driver.deploy(*EXISTING, *IMAGE)
    assert driver.parameters()["KeysFile"] == ""


@pytest.mark.parametrize(
    ("pool", "sentence"),
    [
        pytest.param("eu-central-1_Misspelt", f"this account has no such user pool in {REGION}", id="here"),
        pytest.param("us-east-1_AbCdEfGhI", "no keys of another one", id="in another region"),
    ],
)
def test_pool_that_is_nowhere_ends_in_a_sentence(driver: Driver, aws: Cloud, pool: str, sentence: str) -> None:
    driver.take = unknown_keys
    with pytest.raises(BadOption, match=f"--cognito-user-pool-id {pool}: .*{sentence}"):
        driver.deploy("--cognito-user-pool-id", pool, "--cognito-client-ids", "a1", *IMAGE)
    assert aws.changing() == []


@pytest.mark.parametrize("pool", ["eu-central-1_OfOthers", "us-east-1_AbCdEfGhI"])
def test_pool_of_another_account_or_region_is_there_if_its_keys_are(driver: Driver, pool: str) -> None:
    driver.take = known_keys
    driver.deploy("--cognito-user-pool-id", pool, "--cognito-client-ids", "a1", *IMAGE)
    assert driver.parameters()["CognitoUserPoolId"] == pool


def test_domain_of_an_existing_pool_is_said_to_be_its_own(driver: Driver) -> None:
    said = driver.deploy(*EXISTING, "--cognito-domain", "acme-mcp", *IMAGE)
    assert f"Note: --cognito-domain is not used: people log in at the domain that {POOL} has" in said


def test_domain_that_a_removed_deployment_left_is_named_with_what_to_do(driver: Driver, aws: Cloud) -> None:
    sentence = f"--cognito-domain acme-mcp is the domain of the user pool {POOL}.*--kept-pool {POOL}, or choose"
    with pytest.raises(BadOption, match=sentence):
        driver.deploy("--new-pool", "--cognito-domain", "acme-mcp", *IMAGE)
    assert aws.changing() == []


def test_pool_that_was_kept_is_used_again(driver: Driver, aws: Cloud) -> None:
    driver.deploy(*NEW, *IMAGE)
    assert "No changes" in driver.deploy(), "its own domain is in nobody's way"
    aws.stacks.clear()
    driver.deploy("--kept-pool", MADE, *IMAGE)
    assert aws.stacks["bearergate"].outputs["UserPoolId"] == MADE
    kept = {"UserPool": "kept", "CognitoUserPoolId": MADE}
    assert kept.items() <= driver.parameters().items()
    aws.asked.clear()
    assert "No changes" in driver.deploy()
    assert "DescribeUserPool" not in aws.asked


def test_new_pool_in_place_of_one_that_was_kept_is_another(driver: Driver, aws: Cloud) -> None:
    driver.deploy("--kept-pool", POOL, *IMAGE)
    said = driver.deploy(*NEW, "--native-registration", "authenticated")
    assert "registration of clients at the new user pool: authenticated" in said
    assert "DcrConfiguration" not in aws.pools[POOL]
    assert aws.pools[MADE]["DcrConfiguration"]["EnableStatus"] == "Enabled"
    (driver.folder / "bearergate.yaml").write_text("issuers: [{issuer: https://a.example}]\n")
    driver.deploy("--cognito-user-pool-id", "", "--native-registration", "off")
    assert driver.parameters()["UserPool"] == "settings"


@pytest.mark.parametrize(
    ("pool", "sentence"),
    [
        pytest.param(None, f"--kept-pool {MADE}: there is no such user pool in {REGION}", id="not there"),
        pytest.param({"Id": MADE}, "it has no domain, so nobody could log in", id="without a domain"),
    ],
)
def test_pool_that_cannot_be_used_again_ends_in_a_sentence(
    driver: Driver, aws: Cloud, pool: dict[str, Any] | None, sentence: str
) -> None:
    aws.pools |= {MADE: pool} if pool else {}
    with pytest.raises(BadOption, match=sentence):
        driver.deploy("--kept-pool", MADE, *IMAGE)
    assert aws.changing() == []


def test_permission_to_look_at_a_pool_that_is_missing_is_named(driver: Driver, aws: Cloud) -> None:
    denied = f"User: arn:aws:iam::{ACCOUNT}:user/ada is not authorized to perform: cognito-idp:DescribeUserPool on x"
    aws.refuses["DescribeUserPool"] = [RefusedError("AccessDeniedException", denied)]
    with pytest.raises(AwsRefused, match="may not do cognito-idp:DescribeUserPool"):
        driver.deploy("--kept-pool", MADE, *IMAGE)


def test_registration_at_a_new_pool_is_set_after_it_is_made_as_was_shown(driver: Driver, aws: Cloud) -> None:
    said = driver.deploy(*NEW, *IMAGE, "--native-registration", "open")
    assert "  change        registration of clients at the new user pool: open" in said
    assert "Note: anybody may register clients at the user pool" in said
    assert aws.pools[MADE]["DcrConfiguration"] == {
        "EnableStatus": "Enabled",
        "OpenDcrEnabled": True,
        "AuthenticatedGrantTypes": ["code"],
        "OpenDcrGrantTypes": ["code"],
        "AllowedScopes": [f"{SERVER}/greetings:read", f"{SERVER}/mcp:use"],
    }
    assert "No changes" in driver.deploy()
    assert "registration of clients is set" not in driver.deploy("--memory", "256")
    del aws.pools[MADE]["DcrConfiguration"]  # as a change of the pool by CloudFormation leaves it
    again = driver.deploy()
    assert f"registration of clients at the user pool {MADE}: for anybody" in again
    assert aws.pools[MADE]["DcrConfiguration"]["OpenDcrEnabled"]
    off = driver.deploy("--native-registration", "off")
    assert f"registration of clients at the user pool {MADE}: for nobody" in off
    assert aws.pools[MADE]["DcrConfiguration"] == {"EnableStatus": "Disabled"}


def test_registration_leaves_everything_else_of_a_pool_as_it_is(driver: Driver, aws: Cloud) -> None:
    """`UpdateUserPool` resets what is not said."""
    aws.pools[POOL] |= {
        "UserPoolTier": "PLUS",
        "MfaConfiguration": "ON",
        "Policies": {"PasswordPolicy": {"MinimumLength": 14, "TemporaryPasswordValidityDays": 3}},
        "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": True, "UnusedAccountValidityDays": 3},
        "SchemaAttributes": [{"Name": "email"}],
    }
    before = dict(aws.pools[POOL])
    driver.deploy(*EXISTING, *IMAGE, "--native-registration", "authenticated")
    after = dict(aws.pools[POOL])
    told = after.pop("DcrConfiguration")
    assert (told["EnableStatus"], told["OpenDcrEnabled"]) == ("Enabled", False)
    assert after == before | {"AdminCreateUserConfig": {"AllowAdminCreateUserOnly": True}}


def test_plan_without_registration_is_named_before_anything_is_changed(driver: Driver, aws: Cloud) -> None:
    aws.pools[POOL]["UserPoolTier"] = "LITE"
    with pytest.raises(AwsRefused, match=f"the user pool {POOL} is on the plan Lite, which has no registration"):
        driver.deploy(*EXISTING, *IMAGE, "--native-registration", "open")
    assert aws.changing() == []


def test_plan_that_shows_registration_changes_nothing(driver: Driver, aws: Cloud) -> None:
    driver.deploy(*EXISTING, *IMAGE)
    said = driver.deploy("--native-registration", "open", "--plan", agreed=False)
    assert f"registration of clients at the user pool {POOL}: for anybody" in said
    assert "DcrConfiguration" not in aws.pools[POOL]


def test_registration_alone_is_asked_about_where_the_stack_stays_as_it_is(driver: Driver, aws: Cloud) -> None:
    driver.deploy(*EXISTING, *IMAGE, "--native-registration", "open")
    aws.pools[POOL]["DcrConfiguration"] = {"EnableStatus": "Disabled"}
    assert "Nothing was changed." in driver.deploy(agreed=False)
    assert aws.pools[POOL]["DcrConfiguration"] == {"EnableStatus": "Disabled"}
    assert "registration of clients is set" in driver.deploy()


def test_pool_without_a_resource_server_of_the_gate_lets_registered_clients_ask_for_none(
    driver: Driver, aws: Cloud
) -> None:
    aws.scopes.clear()
    driver.deploy(*EXISTING, *IMAGE, "--native-registration", "open")
    assert aws.pools[POOL]["DcrConfiguration"]["AllowedScopes"] == []


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        pytest.param("InternalErrorException", "AWS refuses DescribeResourceServer", id="trouble at AWS"),
        pytest.param("FeatureUnavailableInTierException", "The plan of the user pool does not have", id="its plan"),
    ],
)
def test_refusal_of_the_pool_ends_in_a_sentence(driver: Driver, aws: Cloud, code: str, sentence: str) -> None:
    driver.deploy(*EXISTING, *IMAGE)
    aws.refuses["DescribeResourceServer"] = [RefusedError(code, "no") for _ in range(3)]
    with pytest.raises(AwsRefused, match=sentence):
        driver.deploy("--native-registration", "open")
    assert "DcrConfiguration" not in aws.pools[POOL]


def test_registration_that_is_off_is_off_however_a_pool_says_so() -> None:
    off = {"EnableStatus": "Disabled"}
    assert is_as_wanted({}, off)
    assert is_as_wanted({"EnableStatus": "Disabled", "OpenDcrEnabled": True}, off)
    assert not is_as_wanted({"EnableStatus": "Enabled"}, off)


def test_stack_of_a_removed_pool_says_how_it_is_used_again(aws: Cloud, driver: Driver) -> None:
    aws.stacks["bearergate"] = FakeStack("bearergate", "CREATE_COMPLETE", outputs=OUTPUTS | {"UserPoolId": POOL})
    done = command(driver.folder, aws.environment(), "destroy", "--yes")
    assert f"A later deployment uses it again with --kept-pool {POOL}." in done.stdout, done.stderr
