"""What the function runs: a package in a bucket, or an image in ECR. Made first, brought to AWS when that is agreed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from deploy import image
from deploy.aws_access import Aws, AwsRefused, refused
from deploy.package import Package, Runtime, compiles_for, program, small_enough
from deploy.packaged_files import PackagedFiles
from deploy.repository import Repository


class Payload:
    """An image that is there already: nothing is made, and nothing brought to AWS."""

    def in_words(self) -> Iterator[str]:
        """What bringing it to AWS changes there."""
        return iter(())

    def notes(self) -> Iterator[str]:
        """What whoever is asked should know of it."""
        return iter(())

    def upload(self) -> None:
        """Bring it to AWS."""


class Zip(Payload):
    """A package, in a bucket of the function's region."""

    def __init__(
        self, aws: Aws, account: str, bucket: str, runtime: Runtime, make: Callable[[Runtime], Package] = program
    ) -> None:
        self._make = make
        self._aws = aws
        self._account = account  # whose the bucket must be: anybody can make one whose name can be guessed
        self._bucket = bucket
        self._runtime = runtime
        self._program: Package | None = None  # what is the same whatever goes with it
        self._package = Package(b"")

    def make(self, packaged: PackagedFiles) -> None:
        """Package the program with files.

        Raises:
            CannotPackage: pip fails, or it becomes too large.
        """
        self.bucket_is_there()  # before the long work: one that cannot be used ends here
        self._runtime = replace(self._runtime, cedar=packaged.cedar)
        if self._program is None:
            print(f"Packaging for Python 3.{self._runtime.minor} on {self._runtime.architecture} ...", flush=True)
            self._program = self._make(self._runtime)
        self._package = small_enough(self._program.holding(packaged.files))
        print(f"  {len(self._package.content) / 1e6:.1f} MB, SHA-256 {self._package.digest[:16]}")

    def parameters(self) -> dict[str, str]:
        """The parameters of the template that name it."""
        return {"ImageUri": "", "CodeBucket": self._bucket, "CodeKey": f"bearergate/{self._package.digest}.zip"}

    def in_words(self) -> Iterator[str]:
        """What bringing it to AWS changes there."""
        if not self.bucket_is_there():
            yield f"  make          the bucket {self._bucket}"
        yield f"  upload        the package to {self._bucket}"

    def notes(self) -> Iterator[str]:
        """What whoever is asked should know of it."""
        minor = self._runtime.minor
        if self._runtime.cedar:
            yield "the package is without byte code, as Cedar's engine takes its room, and a cold start takes longer"
        elif not compiles_for(self._runtime):
            here = f"this is Python 3.{sys.version_info.minor}, so the package is without byte code for 3.{minor}"
            yield f"{here}, and a cold start takes longer; it has some where bearergate runs on Python 3.{minor}"

    def upload(self) -> None:
        """Put the package where the template says it is."""
        client = self._aws.client("s3")
        with refused():
            if not self.bucket_is_there():
                there: dict[str, Any] = {"CreateBucketConfiguration": {"LocationConstraint": self._aws.region}}
                client.create_bucket(Bucket=self._bucket, **({} if self._aws.region == "us-east-1" else there))
            client.put_object(
                Bucket=self._bucket,
                Key=self.parameters()["CodeKey"],
                Body=self._package.content,
                ExpectedBucketOwner=self._account,
            )

    def bucket_is_there(self) -> bool:
        """Whether the bucket is there; it must be ours, and in the region of the function."""
        from botocore.exceptions import ClientError

        with refused():
            try:
                head = self._aws.client("s3").head_bucket(Bucket=self._bucket, ExpectedBucketOwner=self._account)
            except ClientError as error:
                code, headers = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPHeaders"]
                if code == "404":
                    return False
                if code == "403":
                    sentence = "is not yours, or the credentials may not do s3:ListBucket on it"
                    raise AwsRefused(f"The bucket {self._bucket} {sentence}: name one of yours with --bucket") from None
                if code != "301":
                    raise
                region = headers.get("x-amz-bucket-region", "another region")
            else:
                region = head["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", self._aws.region)
        if region != self._aws.region:
            there = f"is in {region}, the function in {self._aws.region}"
            raise AwsRefused(f"The bucket {self._bucket} {there}: name one there with --bucket")
        return True


class Image(Payload):
    """A container image that Docker makes here."""

    def __init__(self, repository: Repository, architecture: str) -> None:
        self._repository = repository
        self._architecture = architecture
        self._is_there = False
        self._uri = ""

    def make(self, packaged: PackagedFiles) -> None:
        """Make the image, unless one of the same input is in ECR.

        Raises:
            CannotPackage: Docker cannot.
        """
        with image.context(packaged.files, self._architecture) as made_from:
            tag = made_from.digest[:32]
            self._uri = f"{self._repository.uri}:{tag}"
            self._is_there = self._repository.holds(tag)
            if not self._is_there:
                print(f"Building {self._uri} ...", flush=True)
                image.build(made_from, self._uri, self._architecture)

    def parameters(self) -> dict[str, str]:
        """The parameters of the template that name it."""
        return {"ImageUri": self._uri}

    def in_words(self) -> Iterator[str]:
        """What bringing it to AWS changes there."""
        if self._is_there:
            return
        if not self._repository.is_there():
            yield f"  make          the repository {self._repository.name} in ECR, which keeps the last images"
        yield f"  push          the image to {self._repository.name}"

    def upload(self) -> None:
        """Push the image."""
        if self._is_there:
            return
        if not self._repository.is_there():
            self._repository.make()
        image.push(self._uri, self._repository.login())
