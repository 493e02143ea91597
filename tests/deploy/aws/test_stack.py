"""The stack itself: it waits for what takes its time, and puts a change in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from deploy.aws_access import AwsRefused
from deploy.change_set import in_words
from deploy.stack import ChangeSet, Stack
from tests.deploy.aws.cloudformation import POOL, REGION, Cloud, FakeStack, RefusedError, cloud

NAME = [{"ParameterKey": "Name", "ParameterValue": "a"}]
TEMPLATE = "Parameters:\n  Name:\n    Type: String\nResources:\n  Function:\n    Type: AWS::Lambda::Function\n"


@pytest.fixture
def aws() -> Iterator[Cloud]:
    with cloud() as made:
        yield made


@pytest.fixture
def client(aws: Cloud) -> Any:
    return boto3.client(
        "cloudformation",
        region_name=REGION,
        endpoint_url=aws.environment()["AWS_ENDPOINT_URL"],
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )


def test_change_set_is_waited_for(aws: Cloud, client: Any) -> None:
    aws.set_statuses = ["CREATE_PENDING", "CREATE_IN_PROGRESS"]
    pauses: list[float] = []
    change_set = Stack(client, "mine", pauses.append).prepare(TEMPLATE, NAME)
    assert change_set is not None
    assert change_set.creates
    assert len(change_set.changes) == 1
    assert len(pauses) == 2


def test_change_set_that_fails_for_another_reason_is_deleted_and_says_why(aws: Cloud, client: Any) -> None:
    aws.set_fails = "Template error: instance of Fn::GetAtt references undefined resource X"
    with pytest.raises(AwsRefused, match="CloudFormation refuses the change: Template error"):
        Stack(client, "mine").prepare(TEMPLATE, NAME)
    assert aws.stacks == {}


@pytest.mark.parametrize("creates", [True, False], ids=["a new stack", "one that is there"])
@pytest.mark.parametrize("action", ["ExecuteChangeSet", "DescribeStackEvents"])
def test_change_that_was_not_begun_is_taken_back(aws: Cloud, client: Any, action: str, creates: bool) -> None:
    if not creates:
        aws.stacks["mine"] = FakeStack("mine", "CREATE_COMPLETE", made_from=("", {}))
    ours = Stack(client, "mine")
    change_set = ours.prepare(TEMPLATE, NAME)
    assert change_set is not None
    aws.refuses[action] = [RefusedError("AccessDenied", f"perform: cloudformation:{action} on x", 403)]
    with pytest.raises(AwsRefused, match=f"may not do cloudformation:{action}: ask for that permission$"):
        list(ours.apply(change_set))
    assert [(stack.status, stack.sets) for stack in aws.stacks.values()] == [("CREATE_COMPLETE", {})] * (not creates)


def test_change_that_cannot_be_taken_back_ends_with_why_it_was_not_applied(aws: Cloud, client: Any) -> None:
    ours = Stack(client, "mine")
    change_set = ours.prepare(TEMPLATE, NAME)
    assert change_set is not None
    aws.refuses["ExecuteChangeSet"] = [RefusedError("AccessDenied", "perform: cloudformation:ExecuteChangeSet on x")]
    aws.refuses["DeleteChangeSet"] = [RefusedError("AccessDenied", "perform: cloudformation:DeleteChangeSet on x")]
    with pytest.raises(AwsRefused, match="may not do cloudformation:ExecuteChangeSet"):
        list(ours.apply(change_set))


def test_stack_that_somebody_else_makes_meanwhile_stays(aws: Cloud, client: Any) -> None:
    ours = Stack(client, "mine")
    change_set = ours.prepare(TEMPLATE, NAME)
    assert change_set is not None
    aws.stacks["mine"].status = "CREATE_IN_PROGRESS"
    ours.forget(change_set)
    assert aws.stacks["mine"].sets == {}
    assert "DeleteStack" not in aws.asked


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        pytest.param(RefusedError("Throttling", "Rate exceeded"), "asks to slow down", id="throttled"),
        pytest.param(RefusedError("ExpiredToken", "expired", 403), "credentials have expired", id="expired"),
    ],
)
def test_change_that_can_be_followed_no_further_goes_on_and_that_is_said(
    aws: Cloud, client: Any, refusal: RefusedError, sentence: str
) -> None:
    aws.stacks["mine"] = FakeStack("mine", "CREATE_COMPLETE", made_from=("", {}))
    ours = Stack(client, "mine")
    change_set = ours.prepare(TEMPLATE, NAME)
    assert change_set is not None
    aws.ends["DescribeStackEvents"] = (1, refusal)
    goes_on = "The change of mine goes on at AWS: follow it with `bearergate status --function-name mine`"
    with pytest.raises(AwsRefused, match=f"{sentence}.* {goes_on}"):
        list(ours.apply(change_set))
    assert "ExecuteChangeSet" in aws.asked


def test_events_come_in_their_order_and_each_once_until_all_is_done(aws: Cloud, client: Any) -> None:
    stack = FakeStack("mine", "CREATE_COMPLETE", made_from=("", {}))
    stack.happened("Old", "AWS::Lambda::Function", "CREATE_COMPLETE")
    aws.stacks["mine"] = stack
    ours = Stack(client, "mine", lambda _: stack.happened("Late", "AWS::Logs::LogGroup", "UPDATE_COMPLETE"))
    change_set = ours.prepare(TEMPLATE, NAME)
    assert change_set is not None
    applied = ours.apply(change_set)
    stack.next_statuses = ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"]
    assert [event.resource for event in applied] == ["Function", "mine", "Late"]


def test_failure_without_a_failed_resource_names_the_stack(aws: Cloud, client: Any) -> None:
    aws.stacks["mine"] = FakeStack("mine", "UPDATE_COMPLETE")
    ours = Stack(client, "mine")
    change_set = ours.prepare(TEMPLATE, NAME)
    assert change_set is not None
    aws.stacks["mine"].next_statuses = ["UPDATE_ROLLBACK_COMPLETE"]
    with pytest.raises(AwsRefused, match="mine failed: see its events in the console The stack is now UPDATE_"):
        list(ours.apply(change_set))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"Action": "Add"}, "  make          Pool (Cognito UserPool)", id="made"),
        pytest.param(
            {"Action": "Modify", "Replacement": "False", "Scope": ["Properties", "Tags"]},
            "  change        Pool (Cognito UserPool): its properties, tags",
            id="changed",
        ),
        pytest.param(
            {"Action": "Modify", "Replacement": "True"},
            "  change        Pool (Cognito UserPool): is made anew, and the old one removed"
            " - THE PEOPLE IN IT WOULD BE LOST",
            id="made anew",
        ),
        pytest.param(
            {"Action": "Modify", "Replacement": "Conditional"},
            "  change        Pool (Cognito UserPool): may be made anew - THE PEOPLE IN IT WOULD BE LOST",
            id="perhaps made anew",
        ),
        pytest.param(
            {"Action": "Remove", "PolicyAction": "Retain"},
            "  remove        Pool (Cognito UserPool) - what was there stays, and is no longer part of this stack",
            id="let go",
        ),
        pytest.param(
            {"Action": "Modify", "Replacement": "True", "PolicyAction": "ReplaceAndRetain"},
            "  change        Pool (Cognito UserPool): is made anew"
            " - what was there stays, and is no longer part of this stack",
            id="made anew beside the old one",
        ),
        pytest.param(
            {"Action": "Remove"},
            "  remove        Pool (Cognito UserPool) - THE PEOPLE IN IT WOULD BE LOST",
            id="removed",
        ),
    ],
)
def test_change_is_put_in_words(change: dict[str, Any], words: str) -> None:
    made = {"LogicalResourceId": "Pool", "ResourceType": "AWS::Cognito::UserPool"} | change
    assert list(in_words(ChangeSet("x", False, ({"ResourceChange": made},)))) == [words]


CREATE = {"StackName": "mine", "ChangeSetName": "a", "TemplateBody": TEMPLATE, "ChangeSetType": "CREATE"}
UPDATE = CREATE | {"ChangeSetType": "UPDATE"}
ROLE = TEMPLATE + "  Role:\n    Type: AWS::IAM::Role\n"


@pytest.mark.parametrize(
    ("status", "asked", "sentence"),
    [
        pytest.param("CREATE_COMPLETE", CREATE, "already exists and cannot be created again", id="made already"),
        pytest.param("REVIEW_IN_PROGRESS", UPDATE, "Stack \\[mine\\] does not exist", id="not made yet"),
        pytest.param("ROLLBACK_COMPLETE", UPDATE, "state and can not be updated", id="rolled back"),
        pytest.param("CREATE_COMPLETE", UPDATE | {"TemplateBody": ROLE}, "CAPABILITY_IAM", id="a role unannounced"),
        pytest.param(
            "CREATE_COMPLETE",
            UPDATE | {"Parameters": [{"ParameterKey": "Other", "ParameterValue": "a"}]},
            "do not exist in the template",
            id="no such parameter",
        ),
        pytest.param(
            "CREATE_COMPLETE",
            UPDATE | {"Parameters": [{"ParameterKey": "Name", "UsePreviousValue": True}]},
            "Cannot specify usePreviousValue",
            id="no value before",
        ),
    ],
)
def test_cloudformation_of_ours_refuses_as_the_real_one(
    aws: Cloud, client: Any, status: str, asked: dict[str, Any], sentence: str
) -> None:
    aws.stacks["mine"] = FakeStack("mine", status)
    with pytest.raises(ClientError, match=sentence):
        client.create_change_set(**asked)


def test_change_set_that_is_not_there_is_not_described(aws: Cloud, client: Any) -> None:
    aws.stacks["mine"] = FakeStack("mine", "CREATE_COMPLETE")
    with pytest.raises(ClientError, match="does not exist"):
        client.describe_change_set(ChangeSetName="arn:aws:cloudformation:eu-central-1:1:changeSet/gone/1")


def test_user_pool_of_ours_takes_no_two_names_for_one_time(aws: Cloud) -> None:
    with pytest.raises(RefusedError, match="TemporaryPasswordValidityDays"):
        aws.UpdateUserPool({"UserPoolId": POOL, "AdminCreateUserConfig": {"UnusedAccountValidityDays": 3}})
