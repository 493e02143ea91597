"""`bearergate deploy`, `status`, `logs` and `destroy` against a CloudFormation that refuses as AWS does."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.aws_options import BadOptionError
from deploy.deployment import bedrock_settings
from tests.deploy.aws.cloudformation import ACCOUNT, REGION, Cloud, FakeStack, RefusedError, cloud
from tests.deploy.laptop import ROOT
from tests.deploy.test_command_line import bearergate
from tools.bedrock.settings import load

IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/bearergate:1"
POOL = "eu-central-1_AbCdEfGhI"
IDS = ("--cognito-client-ids", "a1", "b2")
QUICK = ("deploy", "--image-uri", IMAGE, "--cognito-user-pool-id", POOL, *IDS)
OUTPUTS = {
    "FunctionName": "bearergate",
    "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/bearergate",
    "Origin": "https://abc.execute-api.eu-central-1.amazonaws.com",
    "ApiUrl": "https://abc.execute-api.eu-central-1.amazonaws.com",
    "ResourcePath": "mcp",
    "LogGroupName": "/bearergate/bearergate",
}


@pytest.fixture
def aws() -> Iterator[Cloud]:
    with cloud() as made:
        made.outputs = dict(OUTPUTS)
        yield made


def run(aws: Cloud, folder: Path, *arguments: str, **over: str) -> subprocess.CompletedProcess[str]:
    return bearergate(*arguments, cwd=folder, **(aws.environment() | over))


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_plan_shows_the_change_and_leaves_nothing(aws: Cloud, tmp_path: Path) -> None:
    done = run(aws, tmp_path, *QUICK, "--plan")
    assert done.returncode == 0, done.stderr
    assert "make          Function (Lambda Function)" in done.stdout
    assert "make          ManyRefusals (CloudWatch Alarm)" in done.stdout, "the second page of the change set is read"
    assert done.stdout.endswith("Nothing was changed.\n")
    assert aws.stacks == {}
    assert aws.changing() == ["CreateChangeSet", "DeleteChangeSet", "DeleteStack"]


def test_deployment_ends_with_the_summary_and_a_second_one_finds_no_changes(aws: Cloud, tmp_path: Path) -> None:
    first = run(aws, tmp_path, *QUICK, "--yes")
    assert first.returncode == 0, first.stderr
    assert "create_complete      Function" in first.stdout
    url = f"{OUTPUTS['Origin']}/mcp"
    for line in (
        f"  Image    {IMAGE}",
        f"  Role     {OUTPUTS['RoleArn']}",
        "  Function bearergate",
        f"  API URL  {OUTPUTS['ApiUrl']}",
        f"  Claude Code  claude mcp add --transport http bearergate {url}",
        f"""  VS Code      code --add-mcp '{{"name": "bearergate", "type": "http", "url": "{url}"}}'""",
        f"""  Cursor       {{"mcpServers": {{"bearergate": {{"url": "{url}"}}}}}}""",
        f"  Inspector    npx @modelcontextprotocol/inspector --transport http --server-url {url}",
        f"  our shell    bearergate shell {url}",
    ):
        assert line in first.stdout
    aws.asked.clear()
    second = run(aws, tmp_path, *QUICK, "--yes")
    assert second.returncode == 0, second.stderr
    assert "No changes: bearergate is already what this would make it (CREATE_COMPLETE)." in second.stdout
    assert "ExecuteChangeSet" not in aws.asked
    assert len(aws.stacks["bearergate"].sets) == 1, "the failed one is deleted"


def test_package_is_uploaded_to_a_bucket_that_is_made_after_the_question(aws: Cloud, tmp_path: Path) -> None:
    arguments = ("deploy", "--cognito-user-pool-id", POOL, *IDS)
    planned = run(aws, tmp_path, *arguments, "--plan")
    assert planned.returncode == 0, planned.stderr
    assert aws.buckets == {}
    done = run(aws, tmp_path, *arguments, "--yes")
    assert done.returncode == 0, done.stderr
    (key,) = aws.objects
    assert key.startswith(f"bearergate-packages-{ACCOUNT}-{REGION}/bearergate/")
    assert f"  Package  s3://{key}" in done.stdout
    assert aws.asked.index("PutObject") < aws.asked.index("ExecuteChangeSet")


def test_rest_api_shows_its_key_and_warns_of_its_stage(aws: Cloud, tmp_path: Path) -> None:
    aws.outputs |= {"ApiKeyId": "k1", "ApiUrl": f"{OUTPUTS['Origin']}/prod"}
    done = run(aws, tmp_path, *QUICK, "--api-gateway", "--stage-name", "prod", "--auth-method", "lambda", "--yes")
    assert "  API key  the-value-of-the-key" in done.stdout, done.stderr
    assert "answers below /prod, where clients do not find its metadata" in done.stdout
    (made_from,) = [stack.made_from for stack in aws.stacks.values()]
    assert isinstance(made_from, tuple)
    assert made_from[1]["Authorizer"] == "on"
    assert "RestDeployment:" not in made_from[0], "the deployment is named after what it deploys"


def test_function_is_told_its_url_when_it_is_known(aws: Cloud, tmp_path: Path) -> None:
    aws.outputs |= {"Origin": "https://abc.lambda-url.eu-central-1.on.aws"}
    done = run(aws, tmp_path, *QUICK, "--front-door", "function-url", "--yes")
    assert "telling the function" in done.stdout, done.stderr
    made_from = aws.stacks["bearergate"].made_from
    assert isinstance(made_from, tuple)
    assert made_from[1]["PublicUrl"] == aws.outputs["Origin"]
    again = run(aws, tmp_path, *QUICK, "--front-door", "function-url", "--yes")
    assert "No changes" in again.stdout


def test_role_of_the_bedrock_reports_is_told_whom_to_trust(aws: Cloud, tmp_path: Path) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/reader"
    done = run(aws, tmp_path, *QUICK, "--bedrock-role-arn", role, "--plan")
    assert f"{role} is to trust the function's role with sts:ExternalId bearergate-bearergate" in done.stdout


def test_nobody_to_ask_changes_nothing(aws: Cloud, tmp_path: Path) -> None:
    assert "There is nobody to ask: add --yes" in refused(run(aws, tmp_path, *QUICK))
    assert aws.stacks == {}


def test_leftover_in_review_is_used(aws: Cloud, tmp_path: Path) -> None:
    aws.stacks["bearergate"] = FakeStack("bearergate")
    assert run(aws, tmp_path, *QUICK, "--yes").returncode == 0
    assert aws.stacks["bearergate"].status == "CREATE_COMPLETE"


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        pytest.param("ROLLBACK_COMPLETE", "`bearergate destroy --function-name bearergate`", id="first attempt failed"),
        pytest.param("UPDATE_IN_PROGRESS", "Somebody is changing the stack bearergate", id="somebody else updates it"),
        pytest.param("UPDATE_ROLLBACK_FAILED", "is stuck (UPDATE_ROLLBACK_FAILED)", id="rollback failed"),
    ],
)
def test_stack_that_cannot_be_changed_ends_in_a_sentence(
    aws: Cloud, tmp_path: Path, status: str, sentence: str
) -> None:
    aws.stacks["bearergate"] = FakeStack("bearergate", status)
    assert sentence in refused(run(aws, tmp_path, *QUICK, "--yes"))
    assert aws.changing() == []


def test_resource_that_fails_is_named_with_its_reason_and_rolled_back(aws: Cloud, tmp_path: Path) -> None:
    aws.fails = ("Function", "The role defined for the function cannot be assumed by Lambda.")
    said = refused(run(aws, tmp_path, *QUICK, "--yes"))
    assert said == (
        "bearergate: Function failed: The role defined for the function cannot be assumed by Lambda. "
        "The stack is now ROLLBACK_COMPLETE\n"
    )


@pytest.mark.parametrize(
    ("action", "refusal", "sentence"),
    [
        pytest.param(
            "GetCallerIdentity",
            RefusedError("ExpiredToken", "The security token included in the request is expired", 403),
            "The AWS credentials have expired",
            id="expired credentials",
        ),
        pytest.param(
            "GetCallerIdentity",
            RefusedError("InvalidClientTokenId", "The security token included in the request is invalid.", 403),
            "AWS does not know these credentials",
            id="unknown credentials",
        ),
        pytest.param(
            "CreateChangeSet",
            RefusedError(
                "AccessDenied",
                f"User: arn:aws:iam::{ACCOUNT}:user/ada is not authorized to perform: "
                "cloudformation:CreateChangeSet on resource: arn:x",
                403,
            ),
            "The credentials may not do cloudformation:CreateChangeSet",
            id="missing permission",
        ),
        pytest.param(
            "CreateChangeSet",
            RefusedError("ValidationError", "Parameter FunctionName failed"),
            "AWS refuses CreateChangeSet: Parameter FunctionName failed",
            id="anything else",
        ),
    ],
)
def test_refusal_of_aws_ends_in_a_sentence(
    aws: Cloud, tmp_path: Path, action: str, refusal: RefusedError, sentence: str
) -> None:
    aws.refuses[action] = [refusal]
    assert sentence in refused(run(aws, tmp_path, *QUICK, "--yes"))
    assert aws.stacks == {}


def test_throttling_is_waited_out_and_then_named(aws: Cloud, tmp_path: Path) -> None:
    aws.refuses["DescribeStacks"] = [RefusedError("Throttling", "Rate exceeded")]
    assert run(aws, tmp_path, *QUICK, "--yes").returncode == 0
    aws.refuses["DescribeStacks"] = [RefusedError("Throttling", "Rate exceeded") for _ in range(5)]
    assert "AWS asks to slow down (DescribeStacks)" in refused(run(aws, tmp_path, *QUICK, "--yes"))


@pytest.mark.parametrize(
    ("region", "sentence"),
    [
        pytest.param("us-east-1", "is in us-east-1, the function in eu-central-1", id="another region"),
        pytest.param("", "is not yours", id="somebody else's"),
    ],
)
def test_bucket_that_cannot_be_used_ends_in_a_sentence(aws: Cloud, tmp_path: Path, region: str, sentence: str) -> None:
    aws.buckets["packages"] = region
    done = run(aws, tmp_path, "deploy", "--cognito-user-pool-id", POOL, *IDS, "--bucket", "packages", "--yes")
    assert sentence in refused(done)
    assert aws.changing() == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--function-name", "a b"], "--function-name a b:", id="name"),
        pytest.param(["--region", "eu-centrl-1"], "--region eu-centrl-1 is no region of AWS", id="region"),
        pytest.param(["--memory", "64"], "--memory 64: give 128 to 10240 MB", id="memory"),
        pytest.param(["--timeout", "60"], "--timeout 60: give 1 to 30 seconds; the http-api", id="time-out"),
        pytest.param(["--role-arn", "admin"], "--role-arn admin: a role is named arn:aws:iam::", id="role"),
        pytest.param(["--bedrock-role-arn", "x"], "--bedrock-role-arn x: a role is named", id="Bedrock's role"),
        pytest.param(["--image-uri", "mine"], "--image-uri mine: give 111122223333.dkr.ecr", id="image"),
        pytest.param(["--cognito-user-pool-id", "x"], "--cognito-user-pool-id x: a user pool", id="pool"),
        pytest.param(["--cognito-domain", "A.b"], "--cognito-domain A.b: give the prefix", id="domain of the pool"),
        pytest.param(["--upstream-url", "ftp://x"], "--upstream-url ftp://x: give an http://", id="upstream"),
        pytest.param(["--lambda-authorizer-name", "x"], "add --auth-method lambda", id="name of no authorizer"),
        pytest.param(["--stage-name", "prod"], "only a REST API has a stage", id="stage of an HTTP API"),
        pytest.param(["--api-gateway", "--front-door", "http-api"], "leave one of them out", id="two front doors"),
        pytest.param(["--streaming"], "an HTTP API does not stream", id="streaming"),
        pytest.param(["--domain-name", "a.example.com"], "give both", id="domain without a certificate"),
        pytest.param(["--new-pool"], "choose one of them", id="two pools"),
        pytest.param(
            ["--front-door", "function-url", "--auth-method", "lambda", "--domain-name", "a", "--certificate-arn", "b"],
            "a function URL has no Lambda authorizer",
            id="authorizer of a function URL",
        ),
        pytest.param(["--profile", "nobody"], "correct --profile", id="profile"),
    ],
)
def test_wrong_option_ends_in_a_sentence_before_anything_is_asked(
    aws: Cloud, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    done = run(aws, tmp_path, *QUICK, *arguments, "--yes")
    assert sentence in refused(done)
    assert aws.asked == []


def test_deployment_that_nobody_could_log_in_to_is_refused(aws: Cloud, tmp_path: Path) -> None:
    assert "Nothing says whose tokens are accepted" in refused(run(aws, tmp_path, "deploy", "--yes"))


def test_settings_with_which_the_function_would_not_start_are_refused(aws: Cloud, tmp_path: Path) -> None:
    said = refused(run(aws, tmp_path, "deploy", "--cognito-user-pool-id", POOL, "--yes"))
    assert "no audience rule" in said
    (tmp_path / "bearergate.yaml").write_text("public_url: https://a.example.com\nissuerss: []\n")
    said = refused(run(aws, tmp_path, "deploy", "--yes"))
    assert "issuerss: not a setting; did you mean issuers?" in said
    assert aws.asked == []


def test_public_url_of_the_settings_is_what_clients_are_told(aws: Cloud, tmp_path: Path) -> None:
    settings = "public_url: https://mcp.example.com\nissuers: [{issuer: https://issuer.example.com}]\n"
    (tmp_path / "bearergate.yaml").write_text(settings)
    done = run(aws, tmp_path, "deploy", "--image-uri", IMAGE, "--plan")
    assert "clients are told https://mcp.example.com, which is to lead to this front door" in done.stdout, done.stderr


def test_missing_credentials_end_in_a_sentence(aws: Cloud, tmp_path: Path) -> None:
    done = run(aws, tmp_path, *QUICK, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert "No AWS credentials are set" in refused(done)


def test_missing_region_ends_in_a_sentence(aws: Cloud, tmp_path: Path) -> None:
    assert "No region is set" in refused(run(aws, tmp_path, *QUICK, AWS_REGION="", AWS_DEFAULT_REGION=""))


@pytest.mark.parametrize("verb", ["status", "logs", "destroy"])
def test_verbs_say_that_there_is_no_stack(aws: Cloud, tmp_path: Path, verb: str) -> None:
    assert "There is no stack bearergate in this region" in refused(run(aws, tmp_path, verb))


def deployed(aws: Cloud, pool: str = "") -> None:
    outputs = OUTPUTS | ({"UserPoolId": pool} if pool else {})
    aws.stacks["bearergate"] = FakeStack("bearergate", "CREATE_COMPLETE", outputs=outputs)


def test_status_says_what_is_there_and_where(aws: Cloud, tmp_path: Path) -> None:
    deployed(aws)
    done = run(aws, tmp_path, "status")
    assert done.stdout.startswith("bearergate: CREATE_COMPLETE\n"), done.stderr
    assert f"bearergate shell {OUTPUTS['Origin']}/mcp" in done.stdout


def test_logs_shows_what_the_function_wrote(aws: Cloud, tmp_path: Path) -> None:
    deployed(aws)
    done = run(aws, tmp_path, "logs")
    assert done.stdout == '{"decision": "refused"}\n', done.stderr


def test_destroy_keeps_the_user_pool_and_says_so(aws: Cloud, tmp_path: Path) -> None:
    deployed(aws, POOL)
    done = run(aws, tmp_path, "destroy", "--yes")
    assert f"The user pool {POOL} stays, with everybody in it" in done.stdout, done.stderr
    assert "bearergate is removed." in done.stdout
    assert aws.stacks == {}
    assert aws.pools_deleted == []


def test_destroy_deletes_the_user_pool_when_told(aws: Cloud, tmp_path: Path) -> None:
    deployed(aws, POOL)
    done = run(aws, tmp_path, "destroy", "--yes", "--delete-user-pools")
    assert f"The user pool {POOL} IS DELETED" in done.stdout, done.stderr
    assert aws.pools_deleted == [POOL]


def test_destroy_with_nobody_to_ask_removes_nothing(aws: Cloud, tmp_path: Path) -> None:
    deployed(aws)
    assert "There is nobody to ask" in refused(run(aws, tmp_path, "destroy"))
    assert aws.changing() == []


def test_stack_that_somebody_changes_is_not_removed(aws: Cloud, tmp_path: Path) -> None:
    aws.stacks["bearergate"] = FakeStack("bearergate", "UPDATE_IN_PROGRESS")
    assert "Somebody is changing the stack" in refused(run(aws, tmp_path, "destroy", "--yes"))
    assert aws.changing() == []


def test_what_a_failed_first_attempt_left_has_no_log_and_can_be_removed(aws: Cloud, tmp_path: Path) -> None:
    aws.stacks["bearergate"] = FakeStack("bearergate", "ROLLBACK_COMPLETE")
    assert "has no log" in refused(run(aws, tmp_path, "logs"))
    done = run(aws, tmp_path, "destroy", "--yes")
    assert "No user pool was made here" in done.stdout, done.stderr
    assert aws.stacks == {}


@pytest.mark.parametrize(
    ("typed", "status"),
    [pytest.param("n\n", 0, id="no"), pytest.param("y\n", 0, id="yes"), pytest.param("\n", 0, id="nothing")],
)
def test_person_is_asked(aws: Cloud, tmp_path: Path, typed: str, status: int) -> None:
    person, terminal = pty.openpty()
    os.write(person, typed.encode())
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", *QUICK],
        cwd=tmp_path,
        env=os.environ | aws.environment() | {"PYTHONPATH": str(ROOT)},
        stdin=terminal,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(person)
    os.close(terminal)
    assert done.returncode == status, done.stderr
    assert "Apply this? [y/N]" in done.stdout + done.stderr
    assert ("ExecuteChangeSet" in aws.asked) == (typed == "y\n")
    assert ("Nothing was changed." in done.stdout) == (typed != "y\n")


@pytest.mark.parametrize("verb", ["deploy", "status", "logs", "destroy"])
def test_missing_extra_ends_in_a_sentence(aws: Cloud, tmp_path: Path, verb: str) -> None:
    (tmp_path / "boto3.py").write_text("raise ModuleNotFoundError('No module named boto3', name='boto3')\n")
    arguments = QUICK if verb == "deploy" else (verb,)
    done = run(aws, tmp_path, *arguments, PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert "This command needs boto3, which is not installed: pip install 'bearergate[lambda]'" in refused(done)


def test_role_of_the_bedrock_reports_is_packaged_and_not_named_twice(tmp_path: Path) -> None:
    said = Namespace(bedrock_role_arn=f"arn:aws:iam::{ACCOUNT}:role/reader", function_name="bearergate")
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        (made,) = bedrock_settings(said).values()
        assert settings_of_bedrock(made, tmp_path) == said.bedrock_role_arn
        (tmp_path / "bedrock.yaml").write_text("accounts: []")
        with pytest.raises(BadOptionError, match=r"bedrock\.yaml names roles already"):
            bedrock_settings(said)
        assert bedrock_settings(Namespace(bedrock_role_arn=None)) == {"bedrock.yaml": b"accounts: []"}
    finally:
        os.chdir(here)


def settings_of_bedrock(made: bytes, folder: Path) -> str | None:
    """The role that the reports themselves read in such a file."""
    (folder / "made.yaml").write_bytes(made)
    return load({"BEARERGATE_BEDROCK_SETTINGS": str(folder / "made.yaml")}).accounts[0].role
