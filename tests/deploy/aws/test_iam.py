"""The policies hold exactly what is called: the function's by the tools and secrets, the deployer's by the command.

Calls are recorded where they arrive, with the permission that IAM asks for. What CloudFormation does in the name of who
deploys is in the schemas of the resources, which AWS publishes and cfn-lint brings.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path

import cfnlint  # type: ignore[import-untyped]  # ships no types
import pytest

from deploy.aws_secrets import SecretUnavailable, fetched
from tests.deploy.aws.cloudformation import (
    ACCOUNT,
    POOL,
    REGION,
    REGISTRY_PASSWORD,
    Cloud,
    RefusedError,
    command,
    surroundings,
)
from tests.deploy.aws.docker import Docker
from tests.deploy.aws.driven import Driver
from tests.deploy.aws.test_template import actions, policies, template
from tests.deploy.laptop import ROOT
from tests.tools.prompts.faulty import faulty
from tools.prompts.bucket import BucketStore
from tools.prompts.refusals import Refusal

POLICY = ROOT / "deploy" / "iam-policy.json"
SCHEMAS = Path(cfnlint.__file__).parent / "data" / "schemas"
MAX_POLICY = 6_144  # characters of a managed policy, blanks not counted
# What resources could use and those of the template do not: keys of one's own, networks, file systems, mail by SES,
# distributions, other destinations of logs, layers, signed code, instances of one's own, and copies of secrets.
UNUSED = re.compile(
    r"(kms|ec2|elasticfilesystem|s3files|cloudfront|firehose):|s3:REST|s3:getObject$|iam:CreateServiceLinkedRole"
    r"|iam:.*(Boundary|AttachRolePolicy|DetachRolePolicy)|lambda:.*(CodeSigning|CapacityProvider|Layer|Scaling|Alias)"
    r"|logs:.*(LogDelivery|KmsKey|ResourcePolic|IndexPolic|DataProtection|DeletionProtection|BearerToken)"
    r"|sns:.*DataProtection|secretsmanager:.*Replicat|apigateway:UpdateRestApiPolicy|cognito-idp:AddCustom"
)


def stated(sid: str) -> list[str]:
    (statement,) = (each for each in json.loads(POLICY.read_text("utf-8"))["Statement"] if each["Sid"] == sid)
    found: list[str] = statement["Action"]
    return found


def everything(driver: Driver, docker: Docker) -> None:
    """Every way that the command goes."""
    aws = driver.aws
    image, path = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/x:1", {"PATH": f"{docker.folder}:/usr/bin:/bin"}
    aws.outputs |= {"ApiKeyId": "k1", "UserPoolId": "eu-central-1_MadeHere1"}
    aws.pool_made = "eu-central-1_MadeHere1"
    driver.deploy("--new-pool", "--cognito-domain", "acme-new", "--image-uri", image, "--native-registration", "open")
    driver.deploy("--memory", "256", "--plan", agreed=False)
    driver.deploy("--image", over=path)
    aws.stacks.clear()
    settings = "public_url: https://a.example\nissuers: [{issuer: 'http://127.0.0.1:1'}]\n"
    (driver.folder / "bearergate.yaml").write_text(settings)
    driver.deploy()
    (driver.folder / "bearergate.yaml").unlink()
    aws.stacks.clear()
    driver.deploy("--kept-pool", "eu-central-1_MadeHere1", "--image-uri", image)
    for verb in (["status"], ["logs"], ["destroy", "--yes", "--delete-user-pools"]):
        done = command(driver.folder, aws.environment(), *verb)
        assert done.returncode == 0, done.stderr
    assert POOL in aws.pools


def test_policy_of_who_deploys_is_what_the_command_calls(driver: Driver, tmp_path: Path) -> None:
    docker = Docker(tmp_path / "bin")
    docker.state = {**docker.state, "password": REGISTRY_PASSWORD}
    everything(driver, docker)
    assert sorted(driver.aws.permissions) == stated("Command")


def test_policy_of_who_deploys_is_what_cloudformation_needs_for_the_resources() -> None:
    index = json.loads((SCHEMAS / "providers" / "us-east-1.json").read_text("utf-8"))
    needed = set()
    for kind in {made["Type"] for made in template()["Resources"].values()}:
        schema = json.loads((SCHEMAS / "resources" / f"{index[kind]}.json").read_text("utf-8"))
        assert schema["handlers"], f"{kind} says what it needs"
        needed |= {action for handler in schema["handlers"].values() for action in handler["permissions"]}
    wanted = sorted(action for action in needed - {*stated("Command")} if not UNUSED.search(action))
    assert sorted([*stated("Roles"), *stated("Stack")]) == wanted
    assert {action.partition(":")[0] for action in stated("Roles")} == {"iam"}
    assert not [action for action in stated("Stack") if action.startswith("iam:")]


def test_policy_of_who_deploys_can_be_used_as_it_is() -> None:
    policy = json.loads(POLICY.read_text("utf-8"))
    assert len(re.sub(r"\s", "", json.dumps(policy))) <= MAX_POLICY
    assert "](../deploy/iam-policy.json)" in (ROOT / "docs" / "deploy.md").read_text("utf-8")
    names = [action for statement in policy["Statement"] for action in statement["Action"]]
    assert not [name for name in names if "*" in name]
    (roles,) = (statement for statement in policy["Statement"] if statement["Sid"] == "Roles")
    assert roles["Resource"] == "arn:aws:iam::*:role/bearergate-*"


def test_role_of_the_function_is_what_secrets_are_asked_with(aws: Cloud, tmp_path: Path) -> None:
    with surroundings(tmp_path, aws.environment()):
        for name in ("aws:secretsmanager:seal", "aws:ssm:/seal"):
            aws.refuses |= {
                action: [RefusedError("AccessDeniedException", "no")] for action in ("GetSecretValue", "GetParameter")
            }
            with pytest.raises(SecretUnavailable):
                fetched(name)
    named = policies("Role")
    assert aws.permissions == actions(named["named-secrets"])
    assert actions(named["secrets"]) == {"secretsmanager:GetSecretValue"}, "what the template makes are secrets"


PROMPTS: dict[str, Callable[[BucketStore], object]] = {
    "read": lambda store: store.read("one"),
    "read_version": lambda store: store.read_version("one", "1"),
    "remove": lambda store: store.remove("one", "abc"),
    "scan": lambda store: store.scan(),
    "versions": lambda store: store.versions("one"),
    "write": lambda store: store.write("one", b"text", None),
}


def test_role_of_the_function_is_what_the_prompt_library_calls(tmp_path: Path, aws: Cloud) -> None:
    methods = {name for name in vars(BucketStore) if not name.startswith("_")} - {"client"}
    assert methods == PROMPTS.keys()
    said = set()
    with faulty() as state, surroundings(tmp_path, aws.environment()):
        state.refuse(403, "AccessDenied")
        for call in PROMPTS.values():
            store = BucketStore("a-bucket", "prompts/", region=REGION, endpoint=state.endpoint)
            with pytest.raises(Refusal) as refused:
                call(store)
            said |= {*re.findall(r"may not do (s3:\w+)", str(refused.value))}
    assert said == actions(policies("Role")["prompts"])


@pytest.mark.parametrize(
    ("policy", "named_by"), [("bedrock-role", "BedrockRoleArn"), ("bedrock-roles", "BedrockRoleArns")]
)
def test_role_of_the_function_may_assume_the_roles_of_the_reports_and_no_other(policy: str, named_by: str) -> None:
    (statement,) = policies("Role")[policy]
    assert (statement["Action"], statement["Resource"]) == ("sts:AssumeRole", {"Ref": named_by})
    assert "assume_role" in (ROOT / "tools" / "bedrock" / "aws.py").read_text("utf-8")


def test_nothing_else_of_the_project_asks_aws() -> None:
    """Who adds a client of AWS adds its calls to a policy."""
    asking = {
        file.relative_to(ROOT).as_posix()
        for package in ("client", "deploy", "discovery", "gateway", "tools")
        for file in (ROOT / package).rglob("*.py")
        if "boto3" in imported(file)
    }
    assert asking == {
        "deploy/aws_access.py",  # what deploys
        "deploy/aws_secrets.py",  # secrets, above
        "tools/bedrock/aws.py",  # the reports: tests/tools/bedrock/test_policy.py records what they call
        "tools/prompts/bucket.py",  # the prompt library, above
    }


def imported(file: Path) -> set[str]:
    """The packages that a module imports, wherever in it."""
    nodes = ast.walk(ast.parse(file.read_text("utf-8")))
    return {alias.name.partition(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
