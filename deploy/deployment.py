"""One run of `bearergate deploy`: judge, package, show what would change, ask, upload, apply, and say where it is."""

from __future__ import annotations

import hashlib
import json
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy.aws_access import Aws, AwsRefusedError, refused
from deploy.aws_options import BadOptionError, settings_file
from deploy.change_set import in_words
from deploy.function_settings import judge
from deploy.package import Package, Runtime, package
from deploy.stack import ChangeSet, Stack
from deploy.summary import summary

TEMPLATE = Path(__file__).with_name("template.yaml")
STAGED = ("FrontDoor", "Streaming", "Authorizer", "ApiKey", "ResourcePath", "PublicUrl", "DomainName")


class Deployment:
    """What is to be deployed, and where."""

    def __init__(self, aws: Aws, said: Namespace, parameters: dict[str, str], agreed: Callable[[str], bool]) -> None:
        self._aws = aws
        self._said = said
        self._parameters = parameters
        self._agreed = agreed
        self._stack = Stack(aws.client("cloudformation"), said.function_name)
        self._package: Package | None = None

    def run(self) -> None:
        """Do it, printing on the way.

        Raises:
            AwsRefusedError: AWS refuses; nothing was changed, or what was changed is rolled back.
            CannotPackageError: there is no package.
            SettingsError: the function would not start with the settings.
        """
        self.judge_settings()
        account = self._aws.account()
        status = self._stack.check()
        self._parameters.update(self.code(account))
        self.keep_public_url()
        change_set = self.prepared()
        if change_set is None:
            print(f"No changes: {self._stack.name} is already what this would make it ({status}).")
        elif not self.allowed(change_set, account):
            return
        else:
            self.upload()
            self.apply(change_set)
            self.tell_function_its_url()
        if not self._said.plan:
            print("\n".join(summary(self._parameters, self._stack.outputs(), self.api_key())))

    def judge_settings(self) -> None:
        """End here if the function would not start; a public URL that the settings name is what clients are told."""
        if self._said.image_uri and settings_file(self._said) is None and "CognitoUserPoolId" not in self._parameters:
            return  # the settings are in the image, and nobody here knows them
        named = judge(settings_file(self._said), self._parameters)
        if named and "DomainName" not in self._parameters:
            self._parameters["PublicUrl"] = named

    def code(self, account: str) -> dict[str, str]:
        """The parameters that say where the code is; the package is made for that, and not yet uploaded."""
        if self._said.image_uri:
            return {}
        runtime = Runtime(self._said.architecture)
        print(f"Packaging for Python 3.{runtime.minor} on {runtime.architecture} ...", flush=True)
        self._package = package(runtime, settings_file(self._said), bedrock_settings(self._said))
        bucket = self._said.bucket or f"bearergate-packages-{account}-{self._aws.region}"
        self.check_bucket(bucket)
        print(f"  {len(self._package.content) / 1e6:.1f} MB, SHA-256 {self._package.digest[:16]}")
        return {"CodeBucket": bucket, "CodeKey": f"bearergate/{self._package.digest}.zip"}

    def check_bucket(self, bucket: str) -> bool:
        """Whether a bucket is there; it must be ours, and in the region of the function."""
        from botocore.exceptions import ClientError

        with refused():
            try:
                head = self._aws.client("s3").head_bucket(Bucket=bucket)
            except ClientError as error:
                code, headers = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPHeaders"]
                if code == "404":
                    return False
                if code == "403":
                    raise AwsRefusedError(
                        f"The bucket {bucket} is not yours, or the credentials may not do s3:ListBucket on it"
                    ) from None
                if code != "301":
                    raise
                region = headers.get("x-amz-bucket-region", "another region")
            else:
                region = head["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", self._aws.region)
        if region != self._aws.region:
            raise AwsRefusedError(
                f"The bucket {bucket} is in {region}, the function in {self._aws.region}: name one there with --bucket"
            )
        return True

    def keep_public_url(self) -> None:
        """A function URL that is known already stays what the function is told."""
        if "PublicUrl" in self._parameters:
            return
        origin = self._stack.outputs().get("Origin", "") if self._parameters["FrontDoor"] == "function-url" else ""
        if origin:
            self._parameters["PublicUrl"] = origin

    def prepared(self) -> ChangeSet | None:
        """The change, prepared at AWS."""
        return self._stack.prepare(template(self._parameters), self._parameters)

    def allowed(self, change_set: ChangeSet, account: str) -> bool:
        """Show a change and ask; one that is not wanted is taken back."""
        print(f"In account {account}, {self._aws.region}, the stack {self._stack.name} would")
        print("\n".join(in_words(change_set)))
        if self._package is not None:
            print(f"  upload        the package to {self._parameters['CodeBucket']}, which is made if it is not there")
        for note in notes(self._parameters):
            print(f"Note: {note}")
        wanted = False
        try:
            wanted = not self._said.plan and self._agreed("Apply this?")
        finally:
            if not wanted:
                self._stack.forget(change_set)
        if not wanted:
            print("Nothing was changed.")
        return wanted

    def upload(self) -> None:
        """Put the package where the template says it is."""
        if self._package is None:
            return
        bucket, client = self._parameters["CodeBucket"], self._aws.client("s3")
        with refused():
            if not self.check_bucket(bucket):
                there: dict[str, Any] = {"CreateBucketConfiguration": {"LocationConstraint": self._aws.region}}
                client.create_bucket(Bucket=bucket, **({} if self._aws.region == "us-east-1" else there))
            client.put_object(Bucket=bucket, Key=self._parameters["CodeKey"], Body=self._package.content)

    def apply(self, change_set: ChangeSet) -> None:
        """Apply a change, each event on its line with how far it is."""
        done, whole = 0, len(change_set.changes)
        for event in self._stack.apply(change_set):
            ready = event.status.endswith("_COMPLETE") and event.resource != self._stack.name
            done = min(done + ready, whole)
            print(f"  [{done}/{whole}] {event.status.lower():20} {event.resource} {event.reason}".rstrip(), flush=True)

    def tell_function_its_url(self) -> None:
        """A function URL is known only now; the function is told in a second change."""
        if self._parameters["FrontDoor"] != "function-url" or "PublicUrl" in self._parameters:
            return
        self.keep_public_url()
        second = self.prepared()
        if second is not None:
            print("The function URL is known now; telling the function:")
            self.apply(second)

    def api_key(self) -> str:
        """The value of the REST API's key; "" where there is none."""
        key = self._stack.outputs().get("ApiKeyId", "")
        if not key:
            return ""
        with refused():
            value: str = self._aws.client("apigateway").get_api_key(apiKey=key, includeValue=True)["value"]
        return value


def template(parameters: Mapping[str, str]) -> str:
    """The template. A deployment of a REST API never changes, so one of another name is made when the API does."""
    text = TEMPLATE.read_text("utf-8")
    staged = [text, *(parameters.get(name, "") for name in STAGED)]
    digest = hashlib.sha256(json.dumps(staged).encode()).hexdigest()[:8]
    return text.replace("RestDeployment", f"RestDeployment{digest}")


def bedrock_settings(said: Namespace) -> dict[str, bytes]:
    """The settings of the reports about Bedrock that name a role, which were packaged otherwise."""
    beside = Path("bedrock.yaml")
    if not said.bedrock_role_arn:
        return {beside.name: beside.read_bytes()} if beside.exists() else {}
    if beside.exists():
        raise BadOptionError("--bedrock-role-arn: bedrock.yaml names roles already; leave one of them out")
    account = said.bedrock_role_arn.split(":")[4]
    entry = {
        "id": account,
        "groups": ["*"],
        "role": said.bedrock_role_arn,
        "external_id": external_id(said.function_name),
    }
    return {beside.name: json.dumps({"accounts": [entry]}).encode()}


def external_id(function: str) -> str:
    """What the role of the reports about Bedrock is to ask for, so that nobody else uses it through the function."""
    return f"bearergate-{function}"


def notes(parameters: Mapping[str, str]) -> list[str]:
    """What whoever is asked should know."""
    found = []
    if parameters["FrontDoor"] == "rest-api" and "DomainName" not in parameters:
        found.append(
            f"a REST API without --domain-name answers below /{parameters.get('StageName', 'prod')}, where clients "
            "do not find its metadata; use http-api, or a domain name of yours"
        )
    if "PublicUrl" in parameters:
        found.append(f"clients are told {parameters['PublicUrl']}, which is to lead to this front door")
    if parameters["FrontDoor"] == "function-url" and "PublicUrl" not in parameters:
        found.append("the function URL is known only when it is there; a second change then tells the function")
    if "BedrockRoleArn" in parameters:
        asked = external_id(parameters["FunctionName"])
        found.append(f"{parameters['BedrockRoleArn']} is to trust the function's role with sts:ExternalId {asked}")
    return found
