"""The repository in ECR that holds the images of a function."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from deploy.aws_access import AwsRefused, refused

KEEPS = 20  # images; older ones go
LIFECYCLE = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": KEEPS},
            "action": {"type": "expire"},
        }
    ]
}


@dataclass(frozen=True)
class Login:
    """What a registry knows this machine by, for twelve hours."""

    user: str
    password: str = field(repr=False)


class Repository:
    """A repository by its name."""

    def __init__(self, client: Any, account: str, region: str, name: str) -> None:
        self._client = client
        china = ".cn" if region.startswith("cn-") else ""
        self._account, self._region = account, region
        self.name = name
        self.uri = f"{account}.dkr.ecr.{region}.amazonaws.com{china}/{name}"

    def is_there(self) -> bool:
        """Whether there is such a repository."""
        return self._finds(("RepositoryNotFoundException",), "describe_repositories", repositoryNames=[self.name])

    def holds(self, tag: str) -> bool:
        """Whether an image of a tag is in it."""
        missing = ("RepositoryNotFoundException", "ImageNotFoundException")
        wanted = [{"imageTag": tag}]
        return self._finds(missing, "describe_images", repositoryName=self.name, imageIds=wanted)

    def make(self) -> None:
        """Make it: tags that stay what they are, the last images kept, and Lambda allowed to fetch them.

        Raises:
            AwsRefused: it is not made; or it is, without its rules, and the text says what to do about it.
        """
        with refused():
            self._client.create_repository(
                repositoryName=self.name,
                imageTagMutability="IMMUTABLE",
                imageScanningConfiguration={"scanOnPush": True},
            )
        try:
            with refused():
                self._client.put_lifecycle_policy(repositoryName=self.name, lifecyclePolicyText=json.dumps(LIFECYCLE))
                self._client.set_repository_policy(repositoryName=self.name, policyText=json.dumps(self._policy()))
        except AwsRefused as error:
            half = f"the repository {self.name} is there without its rules: delete it, then deploy again"
            raise AwsRefused(f"{error}; {half}") from None

    def login(self) -> Login:
        """What to log in with."""
        with refused():
            told = self._client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        user, _, password = base64.b64decode(told).decode().partition(":")
        return Login(user, password)

    def _policy(self) -> dict[str, Any]:
        partition = "aws-cn" if self._region.startswith("cn-") else "aws"
        functions = f"arn:{partition}:lambda:{self._region}:{self._account}:function:*"
        statement = {
            "Sid": "LambdaFetchesImages",
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Condition": {"StringLike": {"aws:sourceArn": functions}},
        }
        return {"Version": "2012-10-17", "Statement": [statement]}

    def _finds(self, missing: tuple[str, ...], operation: str, **arguments: Any) -> bool:
        from botocore.exceptions import ClientError

        with refused():
            try:
                getattr(self._client, operation)(**arguments)
            except ClientError as error:
                if error.response["Error"]["Code"] in missing:
                    return False
                raise
        return True
