"""The user pool of a deployment, judged before anything is made, and told what CloudFormation cannot tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy.aws_access import Aws, refused
from deploy.aws_options import BadOption
from deploy.key_snapshot import snapshots
from deploy.packaged_files import Take, region_of
from deploy.parameters import Parameters
from deploy.registration import Registration
from deploy.summary import server_url
from gateway.sources import pool_issuer


def pool_of(parameters: Parameters, outputs: Mapping[str, str]) -> str:
    """The pool that issues tokens; "" where none does, or it is not made yet."""
    if parameters["UserPool"] == "settings":
        return ""
    return outputs.get("UserPoolId", "") if parameters["UserPool"] == "new" else parameters["CognitoUserPoolId"]


class Pools:
    """The pool that parameters and the outputs of a stack name."""

    def __init__(self, aws: Aws, parameters: Parameters, outputs: Mapping[str, str]) -> None:
        self._aws = aws
        self._parameters = parameters
        self._outputs = outputs
        self.id = pool_of(parameters, outputs)

    def judge(self, take: Take = snapshots) -> None:
        """End here where the pool cannot be made, or is not there; `take` fetches keys.

        Raises:
            BadOption: its domain is another pool's, or the pool is nowhere, or cannot be used again.
            AwsRefused: AWS cannot be asked.
        """
        kept = self._parameters.kept
        if self._parameters["UserPool"] == "new":
            if kept.get("UserPool") != "new" or kept["CognitoDomain"] != self._parameters["CognitoDomain"]:
                self.judge_domain(self._parameters["CognitoDomain"])
        elif self._parameters["UserPool"] == "kept" and self._parameters.states("CognitoUserPoolId"):
            self.judge_kept()
        elif self._parameters["UserPool"] == "existing" and self._parameters.states("CognitoUserPoolId"):
            self.judge_existing(take)

    def judge_domain(self, prefix: str) -> None:
        """A prefix that a pool of this account has already cannot be given to a new one."""
        with refused():
            found = self._aws.client("cognito-idp").describe_user_pool_domain(Domain=prefix)
        owner = found["DomainDescription"].get("UserPoolId")
        if owner:
            raise BadOption(
                f"--cognito-domain {prefix} is the domain of the user pool {owner}, as a deployment leaves it that "
                f"was removed: use that pool again with --kept-pool {owner}, or choose another prefix"
            )

    def judge_existing(self, take: Take) -> None:
        """A pool of another account, or region, is there if its keys are."""
        region = region_of(self._parameters, self._aws.region, self.id)
        if region == self._aws.region and self.described():
            return
        found = take([{"issuer": pool_issuer(region, self.id)}], [])
        if not found.names:
            why = "".join(note.rpartition("them: ")[2] for note in found.notes)
            raise BadOption(
                f"--cognito-user-pool-id {self.id}: this account has no such user pool in {self._aws.region}, and "
                f"there are no keys of another one ({why}); correct it"
            )

    def described(self) -> dict[str, Any]:
        """What Cognito says of the pool; nothing where this account has none of that name in this region."""
        client = self._aws.client("cognito-idp")
        from botocore.exceptions import ClientError

        with refused():
            try:
                found: dict[str, Any] = client.describe_user_pool(UserPoolId=self.id)["UserPool"]
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":
                    raise
                return {}
        return found

    def judge_kept(self) -> None:
        """A pool can be used again if it is there, and people can log in at it."""
        found = self.described()
        if not found:
            there = f"there is no such user pool in {self._aws.region}"
            raise BadOption(f"--kept-pool {self.id}: {there}; correct it, or use --new-pool")
        if not found.get("Domain") and not found.get("CustomDomain"):
            raise BadOption(
                f"--kept-pool {self.id}: it has no domain, so nobody could log in; give it one in the console first"
            )

    def change(self) -> list[str]:
        """What registration at the pool would change, as a line; nothing where it is not spoken of."""
        if not self._speaks():
            return []
        mode = self._parameters["NativeRegistration"]
        if not self.id:
            return [f"  change        registration of clients at the new user pool: {mode}"]
        said = self._registration(server_url(self._outputs) if self._outputs.get("Origin") else "").change()
        return [said] if said else []

    def register(self, identifier: str) -> bool:
        """Set registration as was said; whether there was something to set."""
        if not self._speaks():
            return False
        registration = self._registration(identifier)
        differs = bool(registration.change())
        if differs:
            registration.apply()
        return differs

    def _speaks(self) -> bool:
        modes = {self._parameters["NativeRegistration"], self._parameters.kept.get("NativeRegistration", "off")}
        return self._parameters["UserPool"] != "settings" and modes != {"off"}

    def _registration(self, identifier: str) -> Registration:
        client = self._aws.client("cognito-idp")
        return Registration(client, self.id, self._parameters["NativeRegistration"], identifier)
