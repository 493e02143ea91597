"""One CloudFormation stack: what a change of it would do, applying that, and taking it away.

A change is always made as a change set first. One that was not applied is deleted, and with it the empty stack that
stands for a new one, so that a look changes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.aws_access import AwsRefused, refused

POLL_SECONDS = 2.0
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
NEW = {"", "REVIEW_IN_PROGRESS", "DELETE_COMPLETE"}
NEVER_WAS = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}
GOOD = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE"}
CANCELLED = ("Resource creation cancelled", "Resource update cancelled")  # because another one failed


def stack_name(function: str) -> str:
    """The name of a function's stack: the same, where a stack can be named so, and otherwise one like no other's."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", function):
        return function
    return f"function-{re.sub('[^A-Za-z0-9]+', '-', function)}-{hashlib.sha256(function.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Event:
    """What happened to one resource of a stack."""

    resource: str
    status: str
    reason: str


@dataclass(frozen=True)
class ChangeSet:
    """A change that is ready to be applied."""

    id: str
    creates: bool
    changes: tuple[dict[str, Any], ...] = field(repr=False)


class Stack:
    """The stack of a function, by the function's name."""

    def __init__(self, client: Any, name: str, pause: Callable[[float], object] = time.sleep) -> None:
        self._client = client
        self._function = name
        self.name = stack_name(name)
        self._pause = pause

    def description(self) -> dict[str, Any]:
        """What AWS knows of it; empty where there is none."""
        from botocore.exceptions import ClientError

        with refused():
            try:
                found: dict[str, Any] = self._client.describe_stacks(StackName=self.name)["Stacks"][0]
            except ClientError as error:
                if "does not exist" in error.response["Error"].get("Message", ""):
                    return {}
                raise
        return found

    def status(self) -> str:
        """Its status; "" where there is none."""
        status: str = self.description().get("StackStatus", "")
        return status

    def outputs(self) -> dict[str, str]:
        """Its outputs by name."""
        listed = self.description().get("Outputs", [])
        return {output["OutputKey"]: output["OutputValue"] for output in listed}

    def parameters(self) -> dict[str, str]:
        """What its parameters are; empty where there is no stack yet."""
        found = self.description()
        listed = [] if found.get("StackStatus", "") in NEW else found.get("Parameters", [])
        return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in listed}

    def check(self) -> str:
        """The status of a stack that can be changed, or made.

        Raises:
            AwsRefused: it is being changed, or a failure left it as it cannot be changed.
        """
        status = self.status()
        if status in NEW:
            return status
        if status.endswith("_IN_PROGRESS"):
            raise AwsRefused(f"Somebody is changing the stack {self.name} ({status}): try again when that is over")
        if status in NEVER_WAS:
            raise AwsRefused(
                f"The stack {self.name} is what a failure left ({status}): remove it with "
                f"`bearergate destroy --function-name {self._function}`, then deploy again"
            )
        if status.endswith("_FAILED"):
            raise AwsRefused(
                f"The stack {self.name} is stuck ({status}): continue its rollback in the CloudFormation console first"
            )
        return status

    def prepare(self, template: str, parameters: Sequence[Mapping[str, object]]) -> ChangeSet | None:
        """The change that makes the stack what a template and parameters say; none where it is that already.

        Parameters are written as CloudFormation takes them.
        """
        creates = self.check() in NEW
        name = f"bearergate-{time.time_ns():x}"
        with refused():
            made = self._client.create_change_set(
                StackName=self.name,
                ChangeSetName=name,
                ChangeSetType="CREATE" if creates else "UPDATE",
                TemplateBody=template,
                Capabilities=["CAPABILITY_IAM"],
                Parameters=parameters,
            )
            described = self._wait_for(made["Id"])
        if described["Status"] == "FAILED":
            self.forget(ChangeSet(made["Id"], creates, ()))
            reason = described.get("StatusReason", "")
            if any(words in reason for words in NO_CHANGES):
                return None
            raise AwsRefused(f"CloudFormation refuses the change: {reason}")
        return ChangeSet(made["Id"], creates, tuple(described["Changes"]))

    def _wait_for(self, change_set: str) -> dict[str, Any]:
        while True:
            described: dict[str, Any] = self._client.describe_change_set(ChangeSetName=change_set)
            if described["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
                break
            self._pause(POLL_SECONDS)
        described["Changes"] = list(described.get("Changes", []))
        page = described
        while page.get("NextToken"):
            page = self._client.describe_change_set(ChangeSetName=change_set, NextToken=page["NextToken"])
            described["Changes"] += page.get("Changes", [])
        return described

    def forget(self, change_set: ChangeSet) -> None:
        """Take back a change that was not applied, and the stack that was made for it if it is still empty."""
        with refused():
            self._client.delete_change_set(ChangeSetName=change_set.id)
            if change_set.creates and self.status() == "REVIEW_IN_PROGRESS":
                self._client.delete_stack(StackName=self.name)

    def apply(self, change_set: ChangeSet) -> Iterator[Event]:
        """Apply a change; yields events as they come.

        Raises:
            AwsRefused: it failed, and was rolled back, with the resource that failed first and why; or it was not
                begun, and is taken back; or it goes on, but AWS does not tell how far it is.
        """
        try:
            seen = self._event_ids()
            with refused():
                self._client.execute_change_set(ChangeSetName=change_set.id)
        except AwsRefused:
            with contextlib.suppress(AwsRefused):  # why it was not applied is what is to be said
                self.forget(change_set)
            raise
        yield from self._until_done(self.name, seen)

    def delete(self) -> Iterator[Event]:
        """Delete the stack; yields events as they come."""
        stack = self.description()["StackId"]  # a deleted stack is found by its id only
        seen = self._event_ids()
        with refused():
            self._client.delete_stack(StackName=self.name)
        yield from self._until_done(stack, seen)

    def _until_done(self, stack: str, seen: set[str]) -> Iterator[Event]:
        failed: list[Event] = []
        while True:
            with self._followed(), refused():
                status = self._client.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
                fresh = self._new_events(stack, seen)
            for event in fresh:
                if event.status.endswith("_FAILED") and not event.reason.startswith(CANCELLED):
                    failed.append(event)
                yield event
            if not status.endswith("_IN_PROGRESS"):
                break
            self._pause(POLL_SECONDS)
        if status not in GOOD:
            first = failed[0] if failed else Event(self.name, status, "see its events in the console")
            raise AwsRefused(f"{first.resource} failed: {first.reason} The stack is now {status}")

    @contextlib.contextmanager
    def _followed(self) -> Iterator[None]:
        """Says of what was begun that it goes on, where AWS does not tell how far it is."""
        try:
            yield
        except AwsRefused as error:
            how = f"follow it with `bearergate status --function-name {self._function}`"
            raise AwsRefused(f"{error}. The change of {self.name} goes on at AWS: {how}") from None

    def _event_ids(self) -> set[str]:
        return {event["EventId"] for event in self._pages(self.name)}

    def _new_events(self, stack: str, seen: set[str]) -> list[Event]:
        fresh = []
        for event in self._pages(stack):
            if event["EventId"] in seen:
                break  # they come newest first
            fresh.append(event)
        seen.update(event["EventId"] for event in fresh)
        return [
            Event(e["LogicalResourceId"], e["ResourceStatus"], e.get("ResourceStatusReason", ""))
            for e in reversed(fresh)
        ]

    def _pages(self, stack: str) -> Iterator[dict[str, Any]]:
        with refused():
            for page in self._client.get_paginator("describe_stack_events").paginate(StackName=stack):
                yield from page["StackEvents"]
