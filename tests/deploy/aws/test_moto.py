"""The same commands against moto, for what moto really does: STS, S3, ECR, Cognito, logs and secrets.

Its CloudFormation skips most of what the template makes while it says that all is well, so a deployment ends at the
change set: that a look leaves nothing behind is seen here, and the rest in the CloudFormation of ours.
"""

from __future__ import annotations

import io
import json
import logging
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from deploy.aws_access import Aws, AwsRefused
from deploy.aws_options import BadOption
from deploy.aws_secrets import fetched
from deploy.package import Package, Runtime, written
from deploy.packaged_files import PackagedFiles
from deploy.parameters import Parameters
from deploy.payload import Zip
from deploy.pools import Pools
from deploy.registration import Registration
from deploy.removal import remove_pool
from deploy.repository import Repository
from deploy.stack import Stack
from tests.deploy.aws.cloudformation import REGION, command, surroundings

ACCOUNT = "123456789012"  # moto's


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def environment(moto: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture
def aws(environment: dict[str, str], tmp_path: Path) -> Iterator[Aws]:
    with surroundings(tmp_path, environment):
        yield Aws(REGION)


def program(_: Runtime) -> Package:
    return Package(written({"streaming": b""}))


def test_credentials_are_those_of_an_account(aws: Aws) -> None:
    assert aws.account() == ACCOUNT


def test_package_is_where_the_template_says_it_is(aws: Aws) -> None:
    made = Zip(aws, ACCOUNT, "packages-of-mine", Runtime(), program)
    made.make(PackagedFiles({"bearergate.yaml": b"a: 1"}, "", []))
    assert [line.split()[0] for line in made.in_words()] == ["make", "upload"]
    made.upload()
    assert [line.split()[0] for line in made.in_words()] == ["upload"]
    said = made.parameters()
    stored = aws.client("s3").get_object(Bucket=said["CodeBucket"], Key=said["CodeKey"])["Body"].read()
    assert zipfile.ZipFile(io.BytesIO(stored)).read("bearergate.yaml") == b"a: 1"
    assert aws.client("s3").get_bucket_location(Bucket="packages-of-mine")["LocationConstraint"] == REGION
    made.upload()  # the same again


def test_repository_is_made_once_with_its_rules(aws: Aws) -> None:
    client = aws.client("ecr")
    repository = Repository(client, ACCOUNT, REGION, "bearergate")
    assert not repository.is_there()
    assert not repository.holds("abc")
    repository.make()
    assert repository.is_there()
    assert not repository.holds("abc")
    (described,) = client.describe_repositories(repositoryNames=["bearergate"])["repositories"]
    assert described["repositoryUri"] == repository.uri
    assert described["imageTagMutability"] == "IMMUTABLE"
    rules = json.loads(client.get_lifecycle_policy(repositoryName="bearergate")["lifecyclePolicyText"])
    assert rules["rules"][0]["selection"]["countNumber"] == 20
    assert repository.login().user == "AWS"
    with pytest.raises(AwsRefused, match="AWS refuses CreateRepository: The repository with name 'bearergate'"):
        repository.make()


def pool_of(client: Any, **more: Any) -> str:
    made: str = client.create_user_pool(PoolName="acme", **more)["UserPool"]["Id"]
    return made


def test_registration_is_set_at_a_pool_and_the_rest_of_it_stays(aws: Aws) -> None:
    client = aws.client("cognito-idp")
    password = {"MinimumLength": 14, "RequireUppercase": False, "TemporaryPasswordValidityDays": 3}
    pool = pool_of(client, Policies={"PasswordPolicy": password}, UserPoolTags={"team": "acme"})
    scopes = [{"ScopeName": "mcp:use", "ScopeDescription": "Use the server"}]
    client.create_resource_server(UserPoolId=pool, Identifier="https://a/mcp", Name="mcp", Scopes=scopes)
    before = client.describe_user_pool(UserPoolId=pool)["UserPool"]
    registration = Registration(client, pool, "open", "https://a/mcp")
    assert "for anybody" in registration.change()
    registration.apply()
    assert registration.change() == ""
    after = client.describe_user_pool(UserPoolId=pool)["UserPool"]
    assert after.pop("DcrConfiguration")["AllowedScopes"] == ["https://a/mcp/mcp:use"]
    changes = {"LastModifiedDate", "AdminCreateUserConfig"}
    assert {key: value for key, value in after.items() if key not in changes} == {
        key: value for key, value in before.items() if key not in changes
    }
    assert Registration(client, pool, "authenticated", "https://b").scopes() == []


def test_domain_of_a_pool_that_was_left_is_found_and_goes_with_it(aws: Aws) -> None:
    client = aws.client("cognito-idp")
    pool = pool_of(client)
    client.create_user_pool_domain(UserPoolId=pool, Domain="acme-left")
    chosen = {"FunctionName": "bearergate", "UserPool": "new", "CognitoDomain": "acme-left"}
    with pytest.raises(BadOption, match=f"is the domain of the user pool {pool}"):
        Pools(aws, Parameters(chosen, {}), {}).judge()
    kept = {"FunctionName": "bearergate", "UserPool": "kept", "CognitoUserPoolId": pool}
    Pools(aws, Parameters(kept, {}), {}).judge()
    remove_pool(client, pool)
    Pools(aws, Parameters(chosen, {}), {}).judge()
    with pytest.raises(BadOption, match="there is no such user pool"):
        Pools(aws, Parameters(kept, {}), {}).judge()


def test_secrets_are_read(aws: Aws) -> None:
    aws.client("secretsmanager").create_secret(Name="seal", SecretString="a key")
    aws.client("ssm").put_parameter(Name="/seal", Value="another", Type="SecureString")
    assert (fetched("aws:secretsmanager:seal"), fetched("aws:ssm:/seal")) == ("a key", "another")


STACK = """
Parameters: {Days: {Type: Number, Default: 7}}
Resources:
  LogGroup:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: /bearergate/NAME, RetentionInDays: !Ref Days}
Outputs:
  LogGroupName: {Value: !Ref LogGroup}
  FunctionName: {Value: NAME}
"""


def test_stack_is_looked_at_made_and_removed(aws: Aws) -> None:
    """A log alone, since that is what moto's CloudFormation makes as AWS does."""
    stack = Stack(aws.client("cloudformation"), "made", lambda _: None)
    looked = stack.prepare(STACK.replace("NAME", "made"), [])
    assert looked is not None
    stack.forget(looked)
    assert stack.status() == ""
    change_set = stack.prepare(STACK.replace("NAME", "made"), [])
    assert change_set is not None
    assert [change["ResourceChange"]["LogicalResourceId"] for change in change_set.changes] == ["LogGroup"]
    list(stack.apply(change_set))
    assert (stack.status(), stack.parameters()) == ("CREATE_COMPLETE", {"Days": "7"})
    list(stack.delete())
    assert aws.client("logs").describe_log_groups(logGroupNamePrefix="/bearergate/made")["logGroups"] == []


def test_log_and_state_of_a_stack_are_told_and_it_is_removed(
    aws: Aws, environment: dict[str, str], tmp_path: Path
) -> None:
    """Made at once and not by a change set, after which moto tells no outputs."""
    name = ("--function-name", "told")
    aws.client("cloudformation").create_stack(StackName="told", TemplateBody=STACK.replace("NAME", "told"))
    logs = aws.client("logs")
    logs.create_log_stream(logGroupName="/bearergate/told", logStreamName="one")
    events = [{"timestamp": int(time.time() * 1000), "message": '{"decision": "refused"}'}]
    logs.put_log_events(logGroupName="/bearergate/told", logStreamName="one", logEvents=events)
    assert command(tmp_path, environment, "logs", *name).stdout == '{"decision": "refused"}\n'
    assert command(tmp_path, environment, "status", *name).stdout.startswith("told: CREATE_COMPLETE\n")
    assert "told is removed." in command(tmp_path, environment, "destroy", "--yes", *name).stdout


def test_plan_of_the_whole_template_changes_nothing(aws: Aws, environment: dict[str, str], tmp_path: Path) -> None:
    image = ("--image-uri", f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/bearergate:1")
    pool = ("--cognito-user-pool-id", pool_of(aws.client("cognito-idp")), "--cognito-client-ids", "a1")
    done = command(tmp_path, environment, "deploy", *image, *pool, "--function-name", "planned", "--plan")
    assert done.returncode == 0, done.stderr
    assert "make          Function (Lambda Function)" in done.stdout
    assert done.stdout.endswith("Nothing was changed.\n")
    left = boto3.client("cloudformation", region_name=REGION, endpoint_url=environment["AWS_ENDPOINT_URL"])
    summaries = left.list_stacks()["StackSummaries"]
    assert [each["StackStatus"] for each in summaries if each["StackName"] == "planned"] == ["DELETE_COMPLETE"]
