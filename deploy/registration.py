"""Registration of clients at a user pool itself (RFC 7591), which CloudFormation cannot set yet.

It is a step after the stack, done anew with each deployment, since a change of the pool by CloudFormation undoes it.
A pool is changed as a whole: what is not sent again is reset. So everything that it says of itself is.
"""

from __future__ import annotations

from typing import Any

from deploy.aws_access import AwsRefused, refused

WITHOUT = "LITE"  # the plan of Cognito that has no registration
OFF = {"EnableStatus": "Disabled"}


class Registration:
    """Who may register clients at a pool: `off`, `authenticated` or `open`."""

    def __init__(self, client: Any, pool: str, mode: str, identifier: str) -> None:
        self._client = client
        self._pool = pool
        self._mode = mode
        self._identifier = identifier

    def change(self) -> str:
        """What would change, in words; "" where the pool is that already.

        Raises:
            AwsRefused: the pool cannot be asked, or its plan has no registration.
        """
        pool = self.describe()
        if self._mode != "off" and pool.get("UserPoolTier") == WITHOUT:
            raise AwsRefused(
                f"--native-registration {self._mode}: the user pool {self._pool} is on the plan Lite, which has no "
                "registration of clients; choose Essentials for it in the console, or leave the option out"
            )
        has = pool.get("DcrConfiguration", OFF)
        if is_as_wanted(has, self.wanted()):
            return ""
        words = {"off": "nobody", "authenticated": "who has a token with aws.cognito/dcr/register", "open": "anybody"}
        return f"  change        registration of clients at the user pool {self._pool}: for {words[self._mode]}"

    def apply(self) -> None:
        """Set it; nothing else of the pool changes."""
        wanted, has = self.wanted(), self.describe()
        with refused():
            known = self._client.meta.service_model.operation_model("UpdateUserPool").input_shape.members
            stays = {key: value for key, value in has.items() if key in known}
            self._client.update_user_pool(
                **{**without_contradiction(stays), "UserPoolId": self._pool, "DcrConfiguration": wanted}
            )

    def describe(self) -> dict[str, Any]:
        """What the pool says of itself."""
        with refused():
            found: dict[str, Any] = self._client.describe_user_pool(UserPoolId=self._pool)["UserPool"]
        return found

    def wanted(self) -> dict[str, Any]:
        """What the pool is told: code only, and of the pool's own scopes those of the gate."""
        if self._mode == "off":
            return OFF
        return {
            "EnableStatus": "Enabled",
            "OpenDcrEnabled": self._mode == "open",
            "AuthenticatedGrantTypes": ["code"],
            "OpenDcrGrantTypes": ["code"],
            "AllowedScopes": self.scopes(),
        }

    def scopes(self) -> list[str]:
        """The scopes of the gate at this pool; none where it has no resource server of that name."""
        from botocore.exceptions import ClientError

        if not self._identifier:
            return []  # the front door is not there yet

        with refused():
            try:
                found = self._client.describe_resource_server(UserPoolId=self._pool, Identifier=self._identifier)
            except ClientError as error:
                if error.response["Error"]["Code"] == "ResourceNotFoundException":
                    return []
                raise
        named = found["ResourceServer"].get("Scopes", [])
        return sorted(f"{self._identifier}/{scope['ScopeName']}" for scope in named)


def is_as_wanted(has: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a pool has what it is to be told; the order of lists means nothing, and off is off however it is set."""
    if wanted == OFF:
        return bool(has.get("EnableStatus", "Disabled") == "Disabled")
    return all(
        sorted(has.get(key, [])) == sorted(value) if isinstance(value, list) else has.get(key) == value
        for key, value in wanted.items()
    )


def without_contradiction(stays: dict[str, Any]) -> dict[str, Any]:
    """What a pool says of itself, without what Cognito does not take back: two names for one time."""
    made = dict(stays)
    policy = made.get("Policies", {}).get("PasswordPolicy", {})
    if "TemporaryPasswordValidityDays" in policy and "AdminCreateUserConfig" in made:
        kept = made["AdminCreateUserConfig"].items()
        made["AdminCreateUserConfig"] = {key: value for key, value in kept if key != "UnusedAccountValidityDays"}
    return made
