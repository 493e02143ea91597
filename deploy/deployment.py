"""One run of `bearergate deploy`: judge, package, show what would change, ask, upload, apply, and say where it is."""

from __future__ import annotations

import hashlib
import json
import re
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping

from deploy import image
from deploy.aws_access import Aws, refused
from deploy.aws_options import BadOption, settings_file
from deploy.change_set import in_words
from deploy.function_settings import judge, public_url, resource_path, settings_in
from deploy.intrinsics import TEMPLATE
from deploy.key_snapshot import snapshots
from deploy.package import Package, Runtime, program
from deploy.packaged_files import Take, external_id, packaged_files
from deploy.parameters import Parameters, place_problems, problems_of
from deploy.payload import Image, Payload, Zip
from deploy.pools import Pools, pool_of
from deploy.repository import Repository
from deploy.stack import ChangeSet, Stack
from deploy.summary import server_url, summary

STAGED = (  # what the methods of a REST API, its authorizer and its Gateway Responses are made from
    "ApiKey",
    "Authorizer",
    "AuthorizerCacheSeconds",
    "AuthorizerName",
    "DomainName",
    "FrontDoor",
    "KnownOrigin",
    "PublicUrl",
    "ResourcePath",
    "Streaming",
)
URL = "function-url"
ORIGINS = ("FrontDoor", "PublicUrl", "DomainName", "KnownOrigin")  # what the origin that clients know follows from


class Deployment:
    """What is to be deployed, and where."""

    def __init__(
        self,
        aws: Aws,
        said: Namespace,
        chosen: dict[str, str],
        agreed: Callable[[str], bool],
        *,
        make: Callable[[Runtime], Package] = program,
        take: Take = snapshots,
    ) -> None:
        self._make = make
        self._take = take
        self._aws = aws
        self._said = said
        self._chosen = chosen
        self._agreed = agreed
        self._stack = Stack(aws.client("cloudformation"), said.function_name)
        self._parameters = Parameters(chosen, {})
        self._payload = Payload()
        self._notes: list[str] = []

    def run(self) -> None:
        """Do it, printing on the way.

        Raises:
            AwsRefused: AWS refuses; nothing was changed, or what was changed is rolled back.
            BadOption: options do not go together, or not with what is deployed.
            CannotPackage: there is no package, or no image.
            SettingsError: the function would not start with the settings.
        """
        account = self._aws.account()
        status = self._stack.check()
        self._parameters = Parameters(self._chosen, self._stack.parameters())
        self.judge(account)
        pools = Pools(self._aws, self._parameters, self.outputs())
        pools.judge(self._take)
        self._payload = self.payload(account)
        self.make()
        registration = pools.change()
        steps = [*self._payload.in_words(), *registration]
        change_set = self.prepared()
        if change_set is None and not registration:
            print(f"No changes: {self._stack.name} is already what this would make it ({status}).")
        elif self.allowed(change_set, steps, account):
            self.change(change_set)
        else:
            return
        if not self._said.plan:
            print("\n".join(summary(self._parameters, self._stack.outputs(), self.api_key())))

    def judge(self, account: str) -> None:
        """End here if options do not go together, or the function would not start.

        A public URL that the settings name is what clients are told.
        """
        parameters, file = self._parameters, settings_file(self._said)
        of_image = bool(parameters["ImageUri"]) and not self._said.image
        problems = list(problems_of(parameters, has_settings=file is not None, has_image=of_image))
        problems += place_problems(parameters, account, self._aws.region)
        if problems:
            raise BadOption("\n".join(problems))
        self.judge_kind(of_image or bool(self._said.image))
        settings = settings_in(file)
        path = resource_path(settings, parameters)
        if path != parameters["ResourcePath"]:
            parameters["ResourcePath"] = path
        if file is not None or not of_image or URL in (parameters["FrontDoor"], parameters.kept.get("FrontDoor")):
            self.say_origin(public_url(settings))  # otherwise the settings are in an image, and nobody here knows them
        known = self._stack.outputs().get("Origin", "") if parameters.stays(*ORIGINS) else ""
        self._notes += judge(file, parameters, self._aws.region, origin=known, image=of_image)

    def judge_kind(self, is_image: bool) -> None:
        """End here if the function is a package and is to be an image, or the reverse: AWS cannot do that."""
        kept = self._parameters.kept
        if kept and bool(kept.get("ImageUri")) != is_image:
            name = self._said.function_name
            was, new = ("a package", "an image") if is_image else ("an image", "a package")
            raise BadOption(
                f"The function {name} is {was}, and AWS does not make {new} of it: remove it first with `bearergate "
                f"destroy --function-name {name}`, which leaves user pools, or give this one another --function-name"
            )

    def say_origin(self, named: str) -> None:
        """Say what clients are told where no option does: what the settings name, or a function URL that is known."""
        parameters = self._parameters
        if named and not parameters["PublicUrl"] and not parameters["DomainName"]:
            self._notes.append(f"clients are told {named}, which is to lead to this front door")
        elif not named and parameters["FrontDoor"] == URL and parameters.stays("FrontDoor"):
            named = "" if parameters["PublicUrl"] else self._stack.outputs().get("Origin", "")
        parameters["KnownOrigin"] = named

    def payload(self, account: str) -> Payload:
        """What the function is to run; not made yet."""
        parameters = self._parameters
        if self._said.image:
            image.check_docker()
            name = re.sub("-+", "-", self._stack.name.lower()).strip("-")  # no repository has two hyphens in a row
            repository = Repository(self._aws.client("ecr"), account, self._aws.region, name)
            return Image(repository, parameters["Architecture"])
        if parameters["ImageUri"]:
            if parameters.states("ImageUri"):
                parameters["KeysFile"] = ""  # who knows what is in it
            else:
                self._notes.append(f"the function keeps the image {parameters['ImageUri']}; --image builds another")
            return Payload()
        named = self._said.bucket or parameters["CodeBucket"]
        bucket = named or f"bearergate-packages-{account}-{self._aws.region}"
        runtime = Runtime(parameters["Architecture"], int(parameters["Runtime"].partition(".")[2]))
        return Zip(self._aws, account, bucket, runtime, self._make)

    def make(self) -> None:
        """Make what the function is to run, with the keys of issuers as they are now."""
        if not isinstance(self._payload, Zip | Image):
            return
        pool = pool_of(self._parameters, self.outputs())
        packaged = packaged_files(self._said, self._parameters, self._aws.region, pool, self._take)
        self._payload.make(packaged)
        self._parameters["KeysFile"] = packaged.keys_file
        self._parameters["BedrockRoleArns"] = ",".join(packaged.roles)
        for name, value in self._payload.parameters().items():
            self._parameters[name] = value
        self._notes += packaged.notes

    def outputs(self) -> dict[str, str]:
        """What the stack says of itself; a pool that it had before is not the new one that is to be made."""
        outputs = self._stack.outputs()
        if self._stack.parameters().get("UserPool") != self._parameters["UserPool"]:
            outputs.pop("UserPoolId", None)
        return outputs

    def prepared(self) -> ChangeSet | None:
        """The change, prepared at AWS."""
        return self._stack.prepare(template(self._parameters), self._parameters.sent())

    def allowed(self, change_set: ChangeSet | None, steps: list[str], account: str) -> bool:
        """Show a change and ask; one that is not wanted is taken back."""
        print(f"In account {account}, {self._aws.region}, the stack {self._stack.name} would")
        print("\n".join([*(in_words(change_set) if change_set else ()), *steps]))
        for note in (*self._notes, *self._payload.notes(), *notes(self._parameters)):
            print(f"Note: {note}")
        wanted = False
        try:
            wanted = not self._said.plan and self._agreed("Apply this?")
        finally:
            if change_set and not wanted:
                self._stack.forget(change_set)
        if not wanted:
            print("Nothing was changed.")
        return wanted

    def change(self, change_set: ChangeSet | None) -> None:
        """Do what was agreed to."""
        if change_set is not None:
            self.bring(change_set)
            self.tell_what_is_known_now()
        outputs = self.outputs()
        if Pools(self._aws, self._parameters, outputs).register(server_url(outputs)):
            print("  registration of clients is set at the user pool")

    def bring(self, change_set: ChangeSet) -> None:
        """Upload and apply; a change that cannot be uploaded for is taken back."""
        try:
            self._payload.upload()
        except BaseException:
            self._stack.forget(change_set)
            raise
        self.apply(change_set)

    def apply(self, change_set: ChangeSet) -> None:
        """Apply a change, each event on its line with how far it is."""
        done, whole = 0, len(change_set.changes)
        for event in self._stack.apply(change_set):
            ready = event.status.endswith("_COMPLETE") and event.resource != self._stack.name
            done = min(done + ready, whole)
            print(f"  [{done}/{whole}] {event.status.lower():20} {event.resource} {event.reason}".rstrip(), flush=True)

    def tell_what_is_known_now(self) -> None:
        """A function URL, and a new pool's keys, are known only now; the function is told in a second change."""
        url = self._parameters["FrontDoor"] == URL and not self.origin()
        keys = self._parameters["UserPool"] == "new" and not self._parameters["KeysFile"]
        outputs = self._stack.outputs()
        if url:
            self._parameters["KnownOrigin"] = outputs["Origin"]
        if keys:
            self._notes.clear()
            self.make()
            for note in self._notes:
                print(f"Note: {note}")
        second = self.prepared() if url or self._parameters["KeysFile"] else None
        if second is not None:
            print("The function URL or the keys of the pool are known only now; telling the function:")
            self.bring(second)

    def origin(self) -> str:
        """What clients are told, if that does not depend on what AWS names the front door."""
        return self._parameters["PublicUrl"] or self._parameters["KnownOrigin"]

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
    staged = [text, *(parameters[name] for name in STAGED)]
    digest = hashlib.sha256(json.dumps(staged).encode()).hexdigest()[:8]
    return text.replace("RestDeployment", f"RestDeployment{digest}")


def notes(parameters: Parameters) -> Iterator[str]:
    """What whoever is asked should know."""
    url = parameters["PublicUrl"]
    if parameters["FrontDoor"] == "rest-api" and not (parameters["DomainName"] or url or parameters["KnownOrigin"]):
        yield (
            f"a REST API without --domain-name answers below /{parameters['StageName']}, where clients "
            "do not find its metadata; use http-api, or a domain name of yours"
        )
    if url:
        yield f"clients are told {url}, which is to lead to this front door"
    elif parameters["FrontDoor"] == URL and not parameters["KnownOrigin"]:
        yield "the function URL is known only when it is there; a second change then tells the function"
    if parameters["UserPool"] == "existing" and parameters.states("CognitoDomain") and parameters["CognitoDomain"]:
        yield f"--cognito-domain is not used: people log in at the domain that {parameters['CognitoUserPoolId']} has"
    if parameters["BedrockRoleArn"]:
        asked = external_id(parameters["FunctionName"])
        yield f"{parameters['BedrockRoleArn']} is to trust the function's role with sts:ExternalId {asked}"
    if parameters["NativeRegistration"] == "open":
        yield "anybody may register clients at the user pool; each counts against its quota of 1,000"
    if parameters["AlarmEmail"]:
        yield f"{parameters['AlarmEmail']} gets a mail that asks to confirm the alarms, and none before that"
