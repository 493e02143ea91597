"""`bearergate deploy`, `status`, `logs` and `destroy` against a CloudFormation that refuses as AWS does."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import UnauthorizedSSOTokenError

from deploy.aws_access import local_sentence
from deploy.aws_commands import ended
from deploy.aws_options import CHOICES, NUMBERS, TEXTS
from deploy.parameters import Parameters, defaults
from tests.deploy.aws.cloudformation import (
    ACCOUNT,
    POOL,
    REGION,
    Cloud,
    Ended,
    FakeStack,
    RefusedError,
    command,
)
from tests.deploy.aws.conftest import OUTPUTS
from tests.deploy.laptop import ROOT
from tests.deploy.test_command_line import bearergate

IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/bearergate:1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/made-by-hand"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:seal-AbCdEf"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"
CERTIFICATE = ("--certificate-arn", f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/1b2f8d1e")
IDS = ("--cognito-client-ids", "a1", "b2")
QUICK = ("deploy", "--image-uri", IMAGE, "--cognito-user-pool-id", POOL, *IDS)


def run(aws: Cloud, folder: Path, *arguments: str, **over: str) -> Ended:
    return command(folder, aws.environment() | over, *arguments)


def parameters_of(aws: Cloud, name: str = "bearergate") -> dict[str, str]:
    made_from = aws.stacks[name].made_from
    assert made_from is not None
    return made_from[1]


def refused(done: Ended | subprocess.CompletedProcess[str]) -> str:
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
        f"See from outside whether clients can log in:  bearergate doctor {url}",
    ):
        assert line in first.stdout
    aws.asked.clear()
    second = run(aws, tmp_path, *QUICK, "--yes")
    assert second.returncode == 0, second.stderr
    assert "No changes: bearergate is already what this would make it (CREATE_COMPLETE)." in second.stdout
    assert "ExecuteChangeSet" not in aws.asked
    assert len(aws.stacks["bearergate"].sets) == 1, "the failed one is deleted"


def test_rest_api_shows_its_key_and_warns_of_its_stage(aws: Cloud, tmp_path: Path) -> None:
    aws.outputs |= {"ApiKeyId": "k1", "ApiUrl": f"{OUTPUTS['Origin']}/prod"}
    done = run(aws, tmp_path, *QUICK, "--api-gateway", "--stage-name", "prod", "--auth-method", "lambda", "--yes")
    assert "  API key  the-value-of-the-key" in done.stdout, done.stderr
    assert "answers below /prod, where clients do not find its metadata" in done.stdout
    made_from = aws.stacks["bearergate"].made_from
    assert made_from is not None
    assert made_from[1]["Authorizer"] == "on"
    assert "RestDeployment:" not in made_from[0], "the deployment is named after what it deploys"


def test_function_is_told_its_url_when_it_is_known(aws: Cloud, tmp_path: Path) -> None:
    aws.outputs |= {"Origin": "https://abc.lambda-url.eu-central-1.on.aws"}
    done = run(aws, tmp_path, *QUICK, "--front-door", "function-url", "--yes")
    assert "telling the function" in done.stdout, done.stderr
    assert parameters_of(aws)["KnownOrigin"] == aws.outputs["Origin"]
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
    said = refused(run(aws, tmp_path, *QUICK, "--yes"))
    assert said == "bearergate: AWS asks to slow down (DescribeStacks): try again in a minute\n"


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
        pytest.param(["--timeout", "soon"], "--timeout soon: give 1 to 900 seconds", id="time-out"),
        pytest.param(["--log-retention-days", "31"], "--log-retention-days 31: give one of 1, 3, 5", id="retention"),
        pytest.param(["--reserved-concurrency", "-2"], "--reserved-concurrency -2: give -1 to", id="concurrency"),
        pytest.param(["--role-arn", "admin"], "--role-arn admin: a role is named arn:aws:iam::", id="role"),
        pytest.param(["--bedrock-role-arn", "x"], "--bedrock-role-arn x: a role is named", id="Bedrock's role"),
        pytest.param(["--image-uri", "mine"], "--image-uri mine: give 111122223333.dkr.ecr", id="image"),
        pytest.param(["--cognito-user-pool-id", "x"], "--cognito-user-pool-id x: a user pool", id="pool"),
        pytest.param(["--kept-pool", "x"], "--kept-pool x: a user pool is named", id="pool that was kept"),
        pytest.param(["--cognito-domain", "A.b"], "--cognito-domain A.b: give the prefix", id="domain of the pool"),
        pytest.param(["--upstream-url", "ftp://x"], "--upstream-url ftp://x: give an http://", id="upstream"),
        pytest.param(["--public-url", "http://x"], "--public-url http://x: give https:// and a host", id="public URL"),
        pytest.param(["--certificate-arn", "x"], "--certificate-arn x: a certificate is named", id="certificate"),
        pytest.param(["--hosted-zone-id", "zone"], "--hosted-zone-id zone: a zone is named", id="zone"),
        pytest.param(["--secret-arns", "mine"], "--secret-arns mine: give ARNs of Secrets Manager", id="secrets"),
        pytest.param(["--prompts-bucket", "A_b"], "--prompts-bucket A_b: give the name of a bucket", id="prompts"),
        pytest.param(["--alarm-topic-arn", "x"], "--alarm-topic-arn x: a topic is named", id="topic"),
        pytest.param(["--alarm-email", "ops"], "--alarm-email ops: give an address", id="address"),
        pytest.param(["--api-gateway", "--front-door", "http-api"], "leave one of them out", id="two front doors"),
        pytest.param(["--new-pool"], "choose one of them", id="two pools"),
        pytest.param(["--image"], "--image and --image-uri: choose one of them", id="two images"),
        pytest.param(["--cognito-client-ids", 'a"b'], '--cognito-client-ids a"b: the id of an app', id="client"),
        pytest.param(["--profile", "nobody"], "correct --profile", id="profile"),
    ],
)
def test_wrong_option_ends_in_a_sentence_before_anything_is_asked(
    aws: Cloud, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    done = run(aws, tmp_path, *QUICK, *arguments, "--yes")
    assert sentence in refused(done)
    assert aws.asked == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--timeout", "60"], "--timeout 60: give 1 to 30 seconds; the http-api", id="time-out"),
        pytest.param(["--lambda-authorizer-name", "x"], "add --auth-method lambda", id="name of no authorizer"),
        pytest.param(["--authorizer-cache-seconds", "9"], "add --auth-method lambda", id="memory of no authorizer"),
        pytest.param(["--authorizer-raises", "off"], "add --auth-method lambda", id="answer of no authorizer"),
        pytest.param(
            ["--auth-method", "lambda", "--function-name", "a" * 54], "add --lambda-authorizer-name", id="long name"
        ),
        pytest.param(["--stage-name", "prod"], "only a REST API has a stage", id="stage of an HTTP API"),
        pytest.param(["--api-key", "required"], "only a REST API has an API key", id="key of an HTTP API"),
        pytest.param(["--streaming"], "an HTTP API does not stream", id="streaming"),
        pytest.param(["--domain-name", "a.example.com"], "give both", id="domain without a certificate"),
        pytest.param(["--hosted-zone-id", "Z1"], "there is no name for it to hold", id="zone without a domain"),
        pytest.param(["--alarm-email", "a@b.example", "--alarm-topic-arn", TOPIC], "a topic is told", id="two alarms"),
        pytest.param(["--role-arn", ROLE.replace("1111", "9999")], "of account 9999", id="role of another account"),
        pytest.param(["--alarm-topic-arn", TOPIC.replace("central", "west")], "eu-west-1, the", id="topic elsewhere"),
        pytest.param(["--image-uri", IMAGE.replace("central", "west")], "--image-uri: it is in eu-west-1", id="image"),
        pytest.param(["--role-arn", ROLE, "--secret-arns", SECRET], "allow it to read them there", id="own role"),
        pytest.param(
            ["--front-door", "function-url", "--auth-method", "lambda", "--domain-name", "a.b", *CERTIFICATE],
            "a function URL has no Lambda authorizer",
            id="authorizer of a function URL",
        ),
    ],
)
def test_options_that_do_not_go_together_end_in_a_sentence_before_anything_is_changed(
    aws: Cloud, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    assert sentence in refused(run(aws, tmp_path, *QUICK, *arguments, "--yes"))
    assert aws.changing() == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--new-pool"], "--new-pool: add --cognito-domain", id="new pool without a domain"),
        pytest.param(["--cognito-client-ids", "a"], "add --cognito-user-pool-id", id="clients of no pool"),
        pytest.param(["--native-registration", "open"], "there is no user pool", id="registration at no pool"),
        pytest.param([], "Nothing says whose tokens are accepted", id="no pool at all"),
    ],
)
def test_pool_that_cannot_be_used_ends_in_a_sentence(
    aws: Cloud, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    assert sentence in refused(run(aws, tmp_path, "deploy", *arguments, "--yes"))
    assert aws.changing() == []


def test_second_run_keeps_what_is_set_by_options_or_by_hand_until_it_is_taken_back(aws: Cloud, tmp_path: Path) -> None:
    done = run(aws, tmp_path, *QUICK, "--memory", "1024", "--alarm-email", "ops@example.com", "--yes")
    assert "Note: ops@example.com gets a mail that asks to confirm the alarms" in done.stdout, done.stderr
    parameters_of(aws)["Burst"] = "7"  # by hand, in the console
    again = run(aws, tmp_path, "deploy", "--yes")
    assert "No changes: bearergate" in again.stdout, again.stderr
    third = run(aws, tmp_path, "deploy", "--timeout", "20", "--alarm-email", "", "--yes")
    assert third.returncode == 0, third.stderr
    assert f"Note: the function keeps the image {IMAGE}; --image builds another" in third.stdout
    kept = {"MemorySize": "1024", "Burst": "7", "Timeout": "20", "AlarmEmail": "", "UserPool": "existing"}
    assert kept.items() <= parameters_of(aws).items()
    assert parameters_of(aws)["CognitoClientIds"] == "a1,b2"


def test_options_are_judged_with_what_is_deployed(aws: Cloud, tmp_path: Path) -> None:
    assert run(aws, tmp_path, *QUICK, "--front-door", "rest-api", "--yes").returncode == 0
    assert run(aws, tmp_path, "deploy", "--stage-name", "live", "--yes").returncode == 0
    assert parameters_of(aws)["StageName"] == "live"
    said = refused(run(aws, tmp_path, "deploy", "--front-door", "http-api", "--timeout", "60", "--yes"))
    assert "--timeout 60: give 1 to 30 seconds; the http-api" in said


def test_every_parameter_of_the_template_has_an_option(aws: Cloud, tmp_path: Path) -> None:
    """But for those that the command works out itself."""
    said = [option.parameter for option in (*TEXTS, *CHOICES, *NUMBERS)]
    by_hand = ["FunctionName", "Authorizer", "Streaming", "CognitoClientIds", "SecretArns", "UserPool"]
    worked_out = ["BedrockRoleArns", "CodeBucket", "CodeKey", "KeysFile", "KnownOrigin", "CognitoUserPoolId"]
    assert sorted([*said, *by_hand, *worked_out]) == sorted(defaults())
    values = {
        "--api-name": "an api",
        "--secret-arns": SECRET,
        "--prompts-bucket": "prompts-of-mine",
        "--resource-path": "tools",
        "--public-url": "https://mcp.example.com",
        "--upstream-url": "https://mcp.internal.example.com/mcp",
        "--alarm-topic-arn": TOPIC,
        "--reserved-concurrency": "-1",
        "--requests-per-second": "5",
        "--requests-per-day": "9",
        "--api-key": "required",
        "--log-retention-days": "365",
        "--refusals-per-five-minutes": "3",
        "--runtime": "python3.12",
        "--architecture": "x86_64",
    }
    given = [word for option in values.items() for word in option]
    done = run(aws, tmp_path, *QUICK, *given, "--api-gateway", "--no-streaming", "--yes")
    assert done.returncode == 0, done.stderr
    made = {option.parameter: values[option.flag] for option in (*TEXTS, *CHOICES, *NUMBERS) if option.flag in values}
    assert (made | {"SecretArns": SECRET, "Streaming": "off"}).items() <= parameters_of(aws).items()


def test_front_door_that_changes_takes_the_function_url_with_it(aws: Cloud, tmp_path: Path) -> None:
    url = aws.outputs["Origin"] = "https://abc.lambda-url.eu-central-1.on.aws"
    assert run(aws, tmp_path, *QUICK, "--front-door", "function-url", "--yes").returncode == 0
    parameters_of(aws)["KnownOrigin"] = ""  # a second change that did not come about
    assert run(aws, tmp_path, "deploy", "--yes").returncode == 0
    assert parameters_of(aws)["KnownOrigin"] == url
    done = run(aws, tmp_path, "deploy", "--front-door", "http-api", "--yes")
    assert f"clients are told {url}" not in done.stdout, done.stderr
    assert parameters_of(aws)["KnownOrigin"] == ""


def test_settings_with_which_the_function_would_not_start_are_refused(aws: Cloud, tmp_path: Path) -> None:
    said = refused(run(aws, tmp_path, "deploy", "--cognito-user-pool-id", POOL, "--yes"))
    assert "no audience rule" in said
    (tmp_path / "bearergate.yaml").write_text("public_url: https://a.example.com\nissuerss: []\n")
    said = refused(run(aws, tmp_path, "deploy", "--yes"))
    assert "issuerss: not a setting; did you mean issuers?" in said
    assert aws.changing() == []


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


def test_logs_shows_what_the_authorizer_wrote_among_it(aws: Cloud, tmp_path: Path) -> None:
    deployed(aws)
    aws.stacks["bearergate"].outputs["AuthorizerLogGroupName"] = "/bearergate/bearergate-authorizer"
    of_authorizer = "/bearergate/bearergate-authorizer"
    aws.logs = [aws.wrote("third", 1), aws.wrote("first", 3), aws.wrote("second", 2, of_authorizer)]
    done = run(aws, tmp_path, "logs")
    assert done.stdout == "first\nsecond\nthird\n", done.stderr


def test_logs_goes_on_with_what_comes_and_what_comes_late_until_the_credentials_end(aws: Cloud, tmp_path: Path) -> None:
    deployed(aws)
    aws.logs = [aws.wrote("too old", 600), aws.wrote("first", 40)]
    aws.arrives = [aws.wrote("late", 50)]
    aws.ends["FilterLogEvents"] = (2, RefusedError("ExpiredTokenException", "expired"))
    done = run(aws, tmp_path, "logs", "--follow", "--minutes", "5")
    assert done.stdout == "first\nlate\n"
    assert "The AWS credentials have expired" in refused(done)


def test_command_that_is_stopped_says_that_aws_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), ended():
        raise KeyboardInterrupt
    assert "Stopped; what AWS has begun goes on: see bearergate status" in capsys.readouterr().err


@pytest.mark.parametrize("minutes", ["0", "soon"])
def test_time_that_is_none_ends_in_a_sentence(aws: Cloud, tmp_path: Path, minutes: str) -> None:
    done = run(aws, tmp_path, "logs", "--minutes", minutes)
    assert f"{minutes} is no number of minutes: give 1 or more" in done.stderr


def test_name_that_no_stack_has_ends_in_a_sentence_before_anything_is_asked(aws: Cloud, tmp_path: Path) -> None:
    assert "--function-name a b: give up to 64" in refused(run(aws, tmp_path, "status", "--function-name", "a b"))
    assert aws.asked == []


def test_status_of_what_a_failure_left_has_no_clients(aws: Cloud, tmp_path: Path) -> None:
    aws.stacks["bearergate"] = FakeStack("bearergate", "ROLLBACK_COMPLETE")
    assert run(aws, tmp_path, "status").stdout == "bearergate: ROLLBACK_COMPLETE\n"


def test_plan_without_changes_says_so_and_no_more(aws: Cloud, tmp_path: Path) -> None:
    run(aws, tmp_path, *QUICK, "--yes")
    done = run(aws, tmp_path, "deploy", "--plan")
    assert done.stdout == "No changes: bearergate is already what this would make it (CREATE_COMPLETE).\n", done.stderr


def test_name_of_ones_own_is_told_where_it_is_to_lead(aws: Cloud, tmp_path: Path) -> None:
    aws.outputs["DomainTarget"] = "d-abc.execute-api.eu-central-1.amazonaws.com"
    done = run(aws, tmp_path, *QUICK, "--domain-name", "mcp.example.com", *CERTIFICATE, "--yes")
    target = aws.outputs["DomainTarget"]
    assert f"  DNS      mcp.example.com is to be an alias of {target}" in done.stdout, done.stderr


def test_settings_whose_secrets_are_at_aws_are_good_to_deploy(aws: Cloud, tmp_path: Path) -> None:
    (tmp_path / "bearergate.yaml").write_text(
        "public_url: https://mcp.example.com\nissuers: [{issuer: https://issuer.example.com}]\n"
        "facade: {client_id: a1, client_secret_file: 'aws:secretsmanager:facade'}\n"
        "seal_keys_file: aws:secretsmanager:seal\n"
    )
    done = run(aws, tmp_path, "deploy", "--image-uri", IMAGE, "--secret-arns", SECRET, "--plan")
    assert done.returncode == 0, done.stderr


def test_aws_that_cannot_be_reached_ends_in_a_sentence(aws: Cloud, tmp_path: Path) -> None:
    done = run(aws, tmp_path, *QUICK, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert "AWS cannot be reached (EndpointConnectionError): check the network" in refused(done)


def test_login_by_sso_that_has_expired_ends_in_a_sentence() -> None:
    assert local_sentence(UnauthorizedSSOTokenError()).startswith("The AWS credentials cannot be renewed: log in")


def test_destroy_that_is_not_wanted_removes_nothing(aws: Cloud, tmp_path: Path) -> None:
    deployed(aws)
    done = command(tmp_path, aws.environment(), "destroy", typed="n\n")
    assert "Nothing was removed." in refused(done)
    assert aws.changing() == []


def test_pool_without_a_domain_is_deleted_too(aws: Cloud, tmp_path: Path) -> None:
    deployed(aws, POOL)
    del aws.pools[POOL]["Domain"]
    done = run(aws, tmp_path, "destroy", "--yes", "--delete-user-pools")
    assert f"The user pool {POOL} is deleted." in done.stdout, done.stderr
    assert "DeleteUserPoolDomain" not in aws.asked


def test_parameters_are_those_of_the_template_each_with_what_it_will_be() -> None:
    made = Parameters({"FunctionName": "mine", "Burst": "7"}, {"Burst": "5", "Timeout": "9", "Gone": "x"})
    assert len(made) == len(defaults())
    assert dict(made) == defaults() | {"FunctionName": "mine", "Burst": "7", "Timeout": "9"}
    assert {"ParameterKey": "Timeout", "UsePreviousValue": True} in made.sent()
    assert [entry["ParameterKey"] for entry in made.sent()] == ["FunctionName", "Burst", "Timeout"]


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


def test_destroy_deletes_every_domain_of_the_user_pool_first(aws: Cloud, tmp_path: Path) -> None:
    deployed(aws, POOL)
    aws.pools[POOL]["CustomDomain"] = "login.example.com"
    done = run(aws, tmp_path, "destroy", "--yes", "--delete-user-pools")
    assert done.returncode == 0, done.stderr
    assert aws.asked.count("DeleteUserPoolDomain") == 2
    assert aws.pools_deleted == [POOL]


def test_user_pool_that_cannot_be_deleted_after_its_stack_is_named(aws: Cloud, tmp_path: Path) -> None:
    deployed(aws, POOL)
    aws.refuses["DeleteUserPool"] = [RefusedError("InvalidParameterException", "Deletion protection is active.")]
    said = refused(run(aws, tmp_path, "destroy", "--yes", "--delete-user-pools"))
    assert said == (
        "bearergate: AWS refuses DeleteUserPool: Deletion protection is active.\n"
        f"bearergate: bearergate is removed, and the user pool {POOL} is still there: delete it in the console\n"
    )


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
    paths = f"{tmp_path}{os.pathsep}{ROOT}"
    done = bearergate(*arguments, cwd=tmp_path, **(aws.environment() | {"PYTHONPATH": paths}))
    assert "This command needs boto3, which is not installed: pip install 'bearergate[lambda]'" in refused(done)
