"""A CloudFormation of ours on loopback, in the query protocol that boto3 speaks, which refuses as AWS does.

It answers for STS, S3, Logs, API Gateway, Cognito and ECR too, as far as the deploy command asks them.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from deploy.cli import main

REGION = "eu-central-1"
ACCOUNT = "111122223333"
POOL = "eu-central-1_AbCdEfGhI"
REGISTRY_PASSWORD = "of-the-registry"
READING = ("Describe", "Get", "Head", "Filter")
PERMISSIONS = {"HeadBucket": "ListBucket", "GetApiKey": "GET"}  # where the name of the action is another
NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."
CUSTOM_NAME = "CloudFormation cannot update a stack when a custom-named resource requires replacing."
RESOURCE = re.compile(r"^  (\w+):.*\n    Type: (AWS::\S+)", re.MULTILINE)


class RefusedError(Exception):
    """What AWS answers in place of a result."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass
class FakeStack:
    """A stack: what it was last made from, and what happened to it."""

    name: str
    status: str = "REVIEW_IN_PROGRESS"
    made_from: tuple[str, dict[str, str]] | None = None  # template and every parameter
    outputs: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, str]] = field(default_factory=list)
    sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    next_statuses: list[str] = field(default_factory=list)  # one each time it is asked for

    @property
    def id(self) -> str:
        return f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{self.name}/1"

    def happened(self, resource: str, kind: str, status: str, reason: str = "") -> None:
        self.events.append(
            {
                "EventId": str(uuid.uuid4()),
                "StackId": self.id,
                "StackName": self.name,
                "LogicalResourceId": resource,
                "ResourceType": kind,
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
            }
        )


class Cloud(ThreadingHTTPServer):
    """The services of one account in one region."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.stacks: dict[str, FakeStack] = {}
        self.deleted: dict[str, FakeStack] = {}
        self.buckets: dict[str, str] = {}  # name to region; "" where it is somebody else's
        self.open_buckets: set[str] = set()  # somebody else's too, whose policy lets everybody in
        self.owners_said: dict[str, str] = {}  # of buckets, by action
        self.objects: dict[str, bytes] = {}
        self.pools: dict[str, dict[str, Any]] = {POOL: {"Id": POOL, "Name": "acme", "Domain": "acme-mcp"}}
        self.pool_made = ""  # the pool that the next deployment makes
        self.scopes: dict[str, list[str]] = {}  # of resource servers
        self.pools_deleted: list[str] = []
        self.repositories: dict[str, set[str]] = {}  # tags
        self.repository_texts: list[str] = []  # of lifecycle and policy
        self.located: list[str] = []  # the region that each bucket was made in, as it was said
        self.asked: list[str] = []
        self.permissions: set[str] = set()  # that were needed for what was asked
        self.refuses: dict[str, list[RefusedError]] = {}  # by action; each refusal once
        self.ends: dict[str, tuple[int, RefusedError]] = {}  # after how many times an action is always refused
        self.fails: tuple[str, str] | None = None  # resource and reason
        self.outputs: dict[str, str] = {}
        self.logs = [self.wrote('{"decision": "refused"}')]
        self.arrives: list[dict[str, Any]] = []
        self.set_statuses: list[str] = []  # of a change set that is being made, one each time it is asked for
        self.set_fails = ""

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server_address[1]}",
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_MAX_ATTEMPTS": "2",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def changing(self) -> list[str]:
        """What was asked that changes something."""
        return [action for action in self.asked if not action.startswith(READING)]

    def answer(self, action: str, said: dict[str, str]) -> dict[str, Any]:
        """The result of an action."""
        self.asked.append(action)
        times, refusal = self.ends.get(action, (0, None))
        if refusal is not None and self.asked.count(action) > times:
            raise refusal
        if self.refuses.get(action):
            raise self.refuses[action].pop(0)
        result: dict[str, Any] = getattr(self, action)(said) or {}
        return result

    def found(self, said: dict[str, str]) -> FakeStack:
        name = said["StackName"]
        for stack in (*self.stacks.values(), *self.deleted.values()):
            if name == stack.id or (name == stack.name and stack.name in self.stacks):
                return stack
        raise RefusedError("ValidationError", f"Stack with id {name} does not exist")

    def GetCallerIdentity(self, _: dict[str, str]) -> dict[str, Any]:  # noqa: N802 - the names of AWS
        return {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/ada", "UserId": "A"}

    def DescribeStacks(self, said: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        stack = self.found(said)
        if stack.next_statuses:
            stack.status = stack.next_statuses.pop(0)
        outputs = [{"OutputKey": key, "OutputValue": value} for key, value in stack.outputs.items()]
        shown = {"StackName": stack.name, "StackId": stack.id, "StackStatus": stack.status, "Outputs": outputs}
        given = stack.made_from[1] if stack.made_from else {}
        shown["Parameters"] = [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]
        return {"Stacks": [shown]}

    def CreateChangeSet(self, said: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        stack = self.stacks.get(said["StackName"])
        if said["ChangeSetType"] == "CREATE":
            if stack is not None and stack.status != "REVIEW_IN_PROGRESS":
                raise RefusedError(
                    "ValidationError", f"Stack [{stack.name}] already exists and cannot be created again"
                )
            stack = stack or self.stacks.setdefault(said["StackName"], FakeStack(said["StackName"]))
        elif stack is None or stack.status == "REVIEW_IN_PROGRESS":
            raise RefusedError("ValidationError", f"Stack [{said['StackName']}] does not exist")
        elif not stack.status.endswith("_COMPLETE") or stack.status == "ROLLBACK_COMPLETE":
            raise RefusedError(
                "ValidationError", f"Stack:{stack.id} is in {stack.status} state and can not be updated."
            )
        body = said["TemplateBody"]
        given = self.given(said, stack, body)
        if "AWS::IAM::Role" in body and "CAPABILITY_IAM" not in said.values():
            raise RefusedError("InsufficientCapabilitiesException", "Requires capabilities : [CAPABILITY_IAM]")
        assert len(body.encode()) <= 51_200
        same = stack.made_from == (body, given)
        failed = same or self.set_fails
        made = {"made_from": (body, given), "stack": stack, "status": "FAILED" if failed else "CREATE_COMPLETE"}
        made["reason"] = self.set_fails or NO_CHANGES
        made["changes"] = [] if same else self.changes(stack, body)
        change_set = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:changeSet/{said['ChangeSetName']}/1"
        stack.sets[change_set] = made
        return {"Id": change_set, "StackId": stack.id}

    def given(self, said: dict[str, str], stack: FakeStack, body: str) -> dict[str, str]:
        """Every parameter that a change would leave the stack with."""
        declared = dict(
            re.findall(
                r"^  (\w+):\n    Type: (?:String|Number|CommaDelimitedList)(?:\n    Default: (.+))?$",
                body,
                re.MULTILINE,
            )
        )
        before = stack.made_from[1] if stack.made_from else {}
        given = {key: value.strip('"') for key, value in declared.items()}
        for key, name in said.items():
            if not key.endswith(".ParameterKey"):
                continue
            if name not in declared:
                raise RefusedError("ValidationError", f"Parameters: [{name}] do not exist in the template")
            if said.get(key.replace("ParameterKey", "UsePreviousValue")) != "true":
                given[name] = said[key.replace("ParameterKey", "ParameterValue")]
            elif name in before:
                given[name] = before[name]
            else:
                raise RefusedError(
                    "ValidationError",
                    f"Invalid input for parameter key {name}. Cannot specify usePrevi"
                    "ousValue as true for a parameter key not in the previous template",
                )
        return given

    def changes(self, stack: FakeStack, body: str) -> list[dict[str, Any]]:
        action = "Add" if stack.made_from is None else "Modify"
        listed = []
        for name, kind in RESOURCE.findall(body[body.index("\nResources:") :]):
            change = {"Action": action, "LogicalResourceId": name, "ResourceType": kind}
            if action == "Modify":
                change |= {"Replacement": "False", "Scope": ["Properties"]}
            listed.append({"Type": "Resource", "ResourceChange": change})
        return listed

    def set_of(self, said: dict[str, str]) -> dict[str, Any]:
        for stack in self.stacks.values():
            if said["ChangeSetName"] in stack.sets:
                return stack.sets[said["ChangeSetName"]]
        raise RefusedError("ChangeSetNotFound", f"ChangeSet [{said['ChangeSetName']}] does not exist", 404)

    def DescribeChangeSet(self, said: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        made = self.set_of(said)
        if self.set_statuses:
            return {"Status": self.set_statuses.pop(0)}
        middle = len(made["changes"]) // 2  # in two pages, as AWS pages them
        page = made["changes"][middle:] if said.get("NextToken") else made["changes"][:middle]
        shown = {"Status": made["status"], "Changes": page, "ChangeSetName": said["ChangeSetName"]}
        if made["status"] == "FAILED":
            shown["StatusReason"] = made["reason"]
        if not said.get("NextToken") and made["changes"]:
            shown["NextToken"] = "second"
        return shown

    def DeleteChangeSet(self, said: dict[str, str]) -> None:  # noqa: N802
        made = self.set_of(said)
        del made["stack"].sets[said["ChangeSetName"]]

    def ExecuteChangeSet(self, said: dict[str, str]) -> None:  # noqa: N802
        made = self.set_of(said)
        stack, new = made["stack"], made["stack"].made_from is None
        verb = "CREATE" if new else "UPDATE"
        if not new and self.made_anew(stack.made_from[1], made["made_from"][1]):
            stack.happened("Function", "AWS::Lambda::Function", "UPDATE_FAILED", CUSTOM_NAME)
            stack.status = "UPDATE_ROLLBACK_COMPLETE"
            return
        if self.fails is not None:
            resource, reason = self.fails
            stack.happened(resource, "AWS::Lambda::Function", f"{verb}_FAILED", reason)
            stack.happened("LogGroup", "AWS::Logs::LogGroup", f"{verb}_FAILED", "Resource creation cancelled")
            stack.status = "ROLLBACK_COMPLETE" if new else "UPDATE_ROLLBACK_COMPLETE"
            return
        for change in made["changes"]:
            each = change["ResourceChange"]
            stack.happened(each["LogicalResourceId"], each["ResourceType"], f"{verb}_COMPLETE")
        stack.happened(stack.name, "AWS::CloudFormation::Stack", f"{verb}_COMPLETE")
        stack.made_from, stack.status = made["made_from"], f"{verb}_COMPLETE"
        stack.outputs = dict(self.outputs) | self.with_pool(made["made_from"][1])

    def made_anew(self, before: dict[str, str], after: dict[str, str]) -> bool:
        """Whether a function of the same name would take the place of another one, which CloudFormation does not do."""
        return bool(before.get("ImageUri")) != bool(after.get("ImageUri")) and "FunctionName" in after

    def DescribeStackEvents(self, said: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        return {"StackEvents": list(reversed(self.found(said).events))}

    def DeleteStack(self, said: dict[str, str]) -> None:  # noqa: N802
        stack = self.found(said)
        stack.status = "DELETE_COMPLETE"
        stack.happened("Function", "AWS::Lambda::Function", "DELETE_COMPLETE")
        self.deleted[stack.name] = self.stacks.pop(stack.name)

    def FilterLogEvents(self, said: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """What has arrived; more arrives after each time that somebody asks."""
        held = [event for event in self.logs if event["group"] == said["logGroupName"]]
        if self.arrives:
            self.logs.append(self.arrives.pop(0))
        wanted = [event for event in held if event["timestamp"] >= int(said["startTime"])]
        return {"events": sorted(wanted, key=lambda event: event["timestamp"])}

    def wrote(self, message: str, seconds_ago: float = 0, group: str = "/bearergate/bearergate") -> dict[str, Any]:
        """An event of a log group, to be put among those that are there or will arrive."""
        stamp = int((time.time() - seconds_ago) * 1000)
        return {"group": group, "message": f"{message}\n", "timestamp": stamp, "eventId": str(uuid.uuid4())}

    def with_pool(self, given: dict[str, str]) -> dict[str, str]:
        """The output about the pool, which is there from now on."""
        if given.get("UserPool") == "kept":
            return {"UserPoolId": given["CognitoUserPoolId"]}
        if given.get("UserPool") != "new":
            return {}
        made = {"Id": self.pool_made, "Name": "bearergate", "Domain": given["CognitoDomain"]}
        self.pools.setdefault(self.pool_made, made)
        return {"UserPoolId": self.pool_made}

    def pool(self, said: dict[str, Any]) -> dict[str, Any]:
        if said["UserPoolId"] not in self.pools:
            raise RefusedError("ResourceNotFoundException", f"User pool {said['UserPoolId']} does not exist.")
        return self.pools[said["UserPoolId"]]

    def DescribeUserPool(self, said: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        return {"UserPool": self.pool(said)}

    def UpdateUserPool(self, said: dict[str, Any]) -> None:  # noqa: N802
        """What is not said is reset, as Cognito does it; what cannot be changed stays."""
        pool = self.pool(said)
        if "UnusedAccountValidityDays" in said.get("AdminCreateUserConfig", {}):
            raise RefusedError(
                "InvalidParameterException", "Please use TemporaryPasswordValidityDays in PasswordPolicy"
            )
        stays = {key: pool[key] for key in ("Id", "Name", "Domain", "SchemaAttributes") if key in pool}
        self.pools[said["UserPoolId"]] = stays | {key: value for key, value in said.items() if key != "UserPoolId"}

    def DescribeUserPoolDomain(self, said: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        """Of a domain that somebody else has, as of one that nobody has, nothing is told."""
        owners = [pool["Id"] for pool in self.pools.values() if pool.get("Domain") == said["Domain"]]
        return {"DomainDescription": {"UserPoolId": owners[0], "Domain": said["Domain"]} if owners else {}}

    def DescribeResourceServer(self, said: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        if said["Identifier"] not in self.scopes:
            raise RefusedError("ResourceNotFoundException", "Resource server does not exist.")
        named = [{"ScopeName": name, "ScopeDescription": name} for name in self.scopes[said["Identifier"]]]
        return {"ResourceServer": {"Identifier": said["Identifier"], "Name": "mcp", "Scopes": named}}

    def DescribeRepositories(self, said: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        (name,) = said["repositoryNames"]
        if name not in self.repositories:
            raise RefusedError("RepositoryNotFoundException", f"The repository with name '{name}' does not exist")
        return {"repositories": [{"repositoryName": name}]}

    def DescribeImages(self, said: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.DescribeRepositories({"repositoryNames": [said["repositoryName"]]})
        (wanted,) = said["imageIds"]
        if wanted["imageTag"] not in self.repositories[said["repositoryName"]]:
            raise RefusedError("ImageNotFoundException", "The image does not exist")
        return {"imageDetails": [{"imageTags": [wanted["imageTag"]]}]}

    def CreateRepository(self, said: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.repositories[said["repositoryName"]] = set()
        return {"repository": {"repositoryName": said["repositoryName"]}}

    def PutLifecyclePolicy(self, said: dict[str, str]) -> None:  # noqa: N802
        self.repository_texts.append(said["lifecyclePolicyText"])

    def SetRepositoryPolicy(self, said: dict[str, str]) -> None:  # noqa: N802
        self.repository_texts.append(said["policyText"])

    def GetAuthorizationToken(self, _: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        token = base64.b64encode(f"AWS:{REGISTRY_PASSWORD}".encode()).decode()
        return {"authorizationData": [{"authorizationToken": token, "proxyEndpoint": "https://x"}]}

    def DeleteUserPoolDomain(self, said: dict[str, str]) -> None:  # noqa: N802
        pool = self.pool(said)
        (kind,) = (kind for kind in ("Domain", "CustomDomain") if pool.get(kind) == said["Domain"])
        del pool[kind]

    def DeleteUserPool(self, said: dict[str, str]) -> None:  # noqa: N802
        if {"Domain", "CustomDomain"} & self.pool(said).keys():
            raise RefusedError("InvalidParameterException", "It has a domain configured that should be deleted first.")
        self.pools_deleted.append(said["UserPoolId"])
        del self.pools[said["UserPoolId"]]


@contextlib.contextmanager
def surroundings(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """The folder and the environment of a command, in this process."""
    before = dict(os.environ)
    clean = {name: value for name, value in before.items() if not name.startswith(("BEARERGATE_", "COGNITO_", "AWS_"))}
    os.environ.clear()
    os.environ.update({**clean, **environment})
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Ended(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Keyboard(io.StringIO):
    """A terminal with somebody who types."""

    def isatty(self) -> bool:
        return True


def command(folder: Path, environment: Mapping[str, str], *arguments: str, typed: str = "") -> Ended:
    """The `bearergate` command in this process, in a folder; nobody is at the keyboard unless something is typed."""
    status, out, err, before = 0, io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = Keyboard(typed) if typed else io.StringIO()
    with surroundings(folder, environment), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([*arguments])
        except SystemExit as ended:
            status = int(str(ended.code))
        finally:
            sys.stdin = before
    return Ended(status, out.getvalue(), err.getvalue())


def xml(value: Any) -> str:
    """A value as the query protocol writes it."""
    if isinstance(value, dict):
        return "".join(f"<{key}>{xml(entry)}</{key}>" for key, entry in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{xml(entry)}</member>" for entry in value)
    return escape(str(value))


class Handler(BaseHTTPRequestHandler):
    """Reads the protocols of AWS: query, JSON, and the REST of S3 and API Gateway."""

    protocol_version = "HTTP/1.1"
    server: Cloud

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def answered(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def needed(self, action: str) -> None:
        """Note the permission that a request needs; the signature names the service."""
        service = self.headers["Authorization"].split("/")[3]
        self.server.permissions.add(f"{service}:{PERMISSIONS.get(action, action)}")

    def do_POST(self) -> None:
        body = self.body()
        target = self.headers.get("X-Amz-Target", "")
        said = json.loads(body) if target else dict(parse_qsl(body.decode(), keep_blank_values=True))
        action = target.rpartition(".")[2] or said["Action"]
        self.needed(action)
        try:
            result = self.server.answer(action, said)
        except RefusedError as refusal:
            self.refuse(refusal, as_json=bool(target))
            return
        if target:
            self.answered(200, json.dumps(result).encode(), {"Content-Type": "application/x-amz-json-1.1"})
            return
        text = f"<{action}Response><{action}Result>{xml(result)}</{action}Result></{action}Response>"
        self.answered(200, text.encode(), {"Content-Type": "text/xml"})

    def refuse(self, refusal: RefusedError, *, as_json: bool) -> None:
        if as_json:
            said = {"__type": refusal.code, "message": refusal.message}
            self.answered(refusal.status, json.dumps(said).encode(), {"Content-Type": "application/x-amz-json-1.1"})
            return
        error = xml({"Error": {"Type": "Sender", "Code": refusal.code, "Message": refusal.message}})
        self.answered(refusal.status, f"<ErrorResponse>{error}</ErrorResponse>".encode(), {"Content-Type": "text/xml"})

    def refuse_in_xml(self, refusal: RefusedError) -> None:
        """As S3 does it: without the frame of the query protocol."""
        body = f"<Error>{xml({'Code': refusal.code, 'Message': refusal.message})}</Error>".encode()
        self.answered(refusal.status, body, {"Content-Type": "application/xml"})

    def of_a_stranger(self, bucket: str) -> bool:
        """Whether a bucket is not of the account that a request says it is of."""
        said = self.headers.get("x-amz-expected-bucket-owner", "")
        if said:
            self.server.owners_said[self.server.asked[-1]] = said
        return bool(said) and bucket in self.server.open_buckets

    def do_HEAD(self) -> None:
        self.server.asked.append("HeadBucket")
        self.needed("HeadBucket")
        if refusals := self.server.refuses.get("HeadBucket"):
            self.answered(refusals.pop(0).status)
            return
        bucket = self.path.strip("/").partition("?")[0]
        region = "" if self.of_a_stranger(bucket) else self.server.buckets.get(bucket)
        status = 404 if region is None else 403 if region == "" else 200 if region == REGION else 301
        self.answered(status, headers={"x-amz-bucket-region": region} if region else {})

    def do_PUT(self) -> None:
        body = self.body()
        bucket, _, key = self.path.partition("?")[0].strip("/").partition("/")
        self.server.asked.append("PutObject" if key else "CreateBucket")
        self.needed(self.server.asked[-1])
        if refusals := self.server.refuses.get(self.server.asked[-1]):
            self.refuse_in_xml(refusals.pop(0))
            return
        self.of_a_stranger(bucket)
        if key:
            self.server.objects[f"{bucket}/{key}"] = body
        else:
            self.server.buckets[bucket] = REGION
            self.server.located += re.findall(r"<LocationConstraint>(.*?)<", body.decode()) or [""]
        self.answered(200)

    def do_GET(self) -> None:
        self.server.asked.append("GetApiKey")
        self.needed("GetApiKey")
        body = json.dumps({"id": "k1", "value": "the-value-of-the-key"}).encode()
        self.answered(200, body, {"Content-Type": "application/json"})


@contextlib.contextmanager
def cloud() -> Iterator[Cloud]:
    """A cloud that runs while it is used."""
    with Cloud() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()
