"""A CloudFormation of ours on loopback, in the query protocol that boto3 speaks, which refuses as AWS does.

It answers for STS, S3, Logs, API Gateway and Cognito too, as far as the deploy command asks them.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

REGION = "eu-central-1"
ACCOUNT = "111122223333"
NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."
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
    made_from: object = None
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
        self.buckets: dict[str, str] = {}  # name to region
        self.objects: dict[str, bytes] = {}
        self.pools_deleted: list[str] = []
        self.asked: list[str] = []
        self.refuses: dict[str, list[RefusedError]] = {}  # by action; each refusal once
        self.fails: tuple[str, str] | None = None  # resource and reason
        self.outputs: dict[str, str] = {}
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
        return [action for action in self.asked if not action.startswith(("Describe", "Get", "Head", "Filter"))]

    def answer(self, action: str, said: dict[str, str]) -> dict[str, Any]:
        """The result of an action."""
        self.asked.append(action)
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
        given = {
            value: said[key.replace("ParameterKey", "ParameterValue")]
            for key, value in said.items()
            if key.endswith(".ParameterKey")
        }
        known = set(re.findall(r"^  (\w+):\n    Type: (?:String|Number|CommaDelimitedList)", body, re.MULTILINE))
        if unknown := given.keys() - known:
            raise RefusedError("ValidationError", f"Parameters: [{', '.join(unknown)}] do not exist in the template")
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
        stack.made_from, stack.status, stack.outputs = made["made_from"], f"{verb}_COMPLETE", dict(self.outputs)

    def DescribeStackEvents(self, said: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        return {"StackEvents": list(reversed(self.found(said).events))}

    def DeleteStack(self, said: dict[str, str]) -> None:  # noqa: N802
        stack = self.found(said)
        stack.status = "DELETE_COMPLETE"
        stack.happened("Function", "AWS::Lambda::Function", "DELETE_COMPLETE")
        self.deleted[stack.name] = self.stacks.pop(stack.name)

    def FilterLogEvents(self, _: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        return {"events": [{"message": '{"decision": "refused"}\n', "timestamp": 1}]}

    def DescribeUserPool(self, _: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        return {"UserPool": {"Domain": "acme-mcp"}}

    def DeleteUserPoolDomain(self, _: dict[str, str]) -> None:  # noqa: N802
        return None

    def DeleteUserPool(self, said: dict[str, str]) -> None:  # noqa: N802
        self.pools_deleted.append(said["UserPoolId"])


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

    def do_POST(self) -> None:
        body = self.body()
        target = self.headers.get("X-Amz-Target", "")
        said = json.loads(body) if target else dict(parse_qsl(body.decode(), keep_blank_values=True))
        action = target.rpartition(".")[2] or said["Action"]
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

    def do_HEAD(self) -> None:
        self.server.asked.append("HeadBucket")
        bucket = self.path.strip("/").partition("?")[0]
        region = self.server.buckets.get(bucket)
        status = 404 if region is None else 403 if region == "" else 200 if region == REGION else 301
        self.answered(status, headers={"x-amz-bucket-region": region} if region else {})

    def do_PUT(self) -> None:
        body = self.body()
        bucket, _, key = self.path.partition("?")[0].strip("/").partition("/")
        self.server.asked.append("PutObject" if key else "CreateBucket")
        if key:
            self.server.objects[f"{bucket}/{key}"] = body
        else:
            self.server.buckets[bucket] = REGION
        self.answered(200)

    def do_GET(self) -> None:
        self.server.asked.append("GetApiKey")
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
