"""A library in S3: conditional writes, and versions where the bucket keeps them. boto3 is imported when first needed.

boto3 ships no types, so what it answers is Any here and gets its type where it is read.
"""

from __future__ import annotations

import re
import threading
from contextlib import closing
from typing import Any

from tools.prompts.aws_refusals import no_s3, of_botocore, of_code
from tools.prompts.names import SUFFIX, checked
from tools.prompts.refusals import Conflict, Missing, Refusal, Unreachable
from tools.prompts.store import MAX_VERSIONS, Listing, Saved, Stored, Version
from tools.prompts.template import MAX_BYTES

ATTEMPTS = 3  # at one call, the first included; botocore waits up to 1 and 2 seconds in between
CONNECT_SECONDS = 3
READ_SECONDS = 10
MAX_PAGES = 3  # of a listing, each of 1000 objects or folders
ACTIONS = {  # what IAM calls the permission for each operation
    "list_objects_v2": "s3:ListBucket",
    "list_object_versions": "s3:ListBucketVersions",
    "get_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "delete_object": "s3:DeleteObject",
}
VERSION_ACTION = "s3:GetObjectVersion"  # for get_object of a version

_VERSION = re.compile(r"[A-Za-z0-9._-]{1,1024}")

Answer = dict[str, Any]


class BucketStore:
    """Templates as objects under a prefix; `endpoint` is another address than that of AWS."""

    def __init__(self, bucket: str, prefix: str, *, region: str = "", endpoint: str = "") -> None:
        self.bucket = bucket
        self.prefix = prefix
        self._region = region
        self._endpoint = endpoint
        self._client: Any = None
        self._lock = threading.Lock()  # a session is not to be used by two threads at once

    def scan(self) -> Listing:
        """What there is directly under the prefix."""
        etags: dict[str, str] = {}
        problems: dict[str, str] = {}
        for entry in self._objects(problems):
            key = entry["Key"].removeprefix(self.prefix)
            if not key.endswith(SUFFIX):
                continue
            name = key.removesuffix(SUFFIX)
            try:
                etags[checked(name)] = self._etag(entry)
            except Refusal as refusal:
                problems[name] = str(refusal)
        return Listing(etags, problems)

    def read(self, name: str, known: str = "") -> Stored | None:
        """A template; None if it still has the etag that is known."""
        condition = {"IfNoneMatch": f'"{known}"'} if known else {}
        answer = self._call("get_object", name, Key=self._key(name), **condition)
        return None if answer is None else self._stored(answer)

    def write(self, name: str, content: bytes, expected: str | None) -> Saved:
        """Put a new template where there is none, or over the one with the expected etag."""
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": f'"{expected}"'}
        answer = self._call(
            "put_object",
            name,
            Key=self._key(name),
            Body=content,
            ContentType="text/markdown; charset=utf-8",
            **condition,
        )
        return Saved(self._etag(answer), answer.get("VersionId", ""))

    def remove(self, name: str, expected: str) -> None:
        """Remove the template with that etag; a bucket with versioning keeps it as an old version."""
        self._call("delete_object", name, Key=self._key(name), IfMatch=f'"{expected}"')

    def versions(self, name: str) -> list[Version]:
        """The versions of a prompt, the newest first."""
        key = self._key(name)
        answer = self._call("list_object_versions", name, Prefix=key, MaxKeys=2 * MAX_VERSIONS)
        found = [_version(entry) for entry in answer.get("Versions", ()) if entry["Key"] == key]
        found += [_removal(entry) for entry in answer.get("DeleteMarkers", ()) if entry["Key"] == key]
        if not found:
            raise Missing(f"The library has never had a prompt {name}.")
        return sorted(found, key=lambda version: (version.latest, version.written), reverse=True)[:MAX_VERSIONS]

    def read_version(self, name: str, version: str) -> Stored:
        """A version, by its id."""
        unknown = Missing(f"{name} has no version {version[:40]!a}: list_prompt_versions tells those it has.")
        if not _VERSION.fullmatch(version):
            raise unknown
        try:
            answer = self._call("get_object", name, Key=self._key(name), VersionId=version)
        except Missing:
            raise unknown from None
        return self._stored(answer)

    def client(self) -> Any:
        """The client of boto3, which threads may share."""
        with self._lock:
            if self._client is None:
                self._client = self._new_client()
            return self._client

    def _new_client(self) -> Any:
        import boto3  # noqa: PLC0415 - a tenth of a second that only a call needs
        from botocore.config import Config  # noqa: PLC0415 - likewise
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        settings = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        )
        try:
            return boto3.session.Session().client(
                "s3", region_name=self._region or None, endpoint_url=self._endpoint or None, config=settings
            )
        except BotoCoreError as error:
            raise of_botocore(type(error).__name__, self.bucket) from None

    def _objects(self, problems: dict[str, str]) -> Any:
        """The entries of the listing, page by page; a folder below the prefix is no business of the library."""
        further: Answer = {}
        for _ in range(MAX_PAGES):
            answer = self._call("list_objects_v2", "", Prefix=self.prefix, Delimiter="/", **further)
            if "Name" not in answer:
                raise no_s3(self.bucket)
            yield from answer.get("Contents", ())
            if "NextContinuationToken" not in answer:
                return
            further = {"ContinuationToken": answer["NextContinuationToken"]}
        problems[self.prefix] = "There is more here than is looked through: give the library its own prefix."

    def _call(self, operation: str, name: str, **arguments: Any) -> Any:
        """What an operation answers; None where a condition says that nothing is new."""
        client = self.client()
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - with boto3, when first needed

        try:
            return getattr(client, operation)(Bucket=self.bucket, **arguments)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 304:
                return None
            action = VERSION_ACTION if "VersionId" in arguments else ACTIONS[operation]
            status = str(error.response["ResponseMetadata"]["HTTPStatusCode"])
            raise self._refusal(error.response["Error"].get("Code") or status, action, name) from None
        except BotoCoreError as error:
            writing = operation in ("put_object", "delete_object")
            raise of_botocore(type(error).__name__, self.bucket, writing=writing) from None
        except ValueError:  # of what botocore takes for a date or a number
            raise no_s3(self.bucket) from None

    def _refusal(self, code: str, action: str, name: str) -> Refusal:
        if code in ("PreconditionFailed", "412"):
            return Conflict(f"{name} has changed meanwhile.")
        if code == "ConditionalRequestConflict":
            return Unreachable(f"Somebody else writes or removes {name} at this moment: look at it, and try again.")
        if code in ("NoSuchKey", "NoSuchVersion"):
            return Missing(f"The library has no prompt {name}: list the prompts for those it has.")
        if action == VERSION_ACTION and code in ("InvalidArgument", "MethodNotAllowed", "405"):  # no id, or a removal
            return Missing(f"{name} has no such version.")
        return of_code(code, action, self.bucket)

    def _stored(self, answer: Answer) -> Stored:
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - with boto3, when first needed

        try:
            with closing(answer["Body"]) as body:  # its own `with` gives the bare stream, which checks nothing
                content = body.read(MAX_BYTES + 1)
                if len(content) <= MAX_BYTES:
                    body.read(1)  # at its end botocore sees whether all has come
        except BotoCoreError as error:
            raise of_botocore(type(error).__name__, self.bucket) from None
        return Stored(content, self._etag(answer), answer.get("VersionId", ""))

    def _etag(self, answer: Answer) -> str:
        if "ETag" not in answer:
            raise no_s3(self.bucket)
        return _bare(answer["ETag"])

    def _key(self, name: str) -> str:
        return f"{self.prefix}{name}{SUFFIX}"


def _bare(etag: str) -> str:
    return etag.strip('"')


def _version(entry: Answer) -> Version:
    return Version(entry["VersionId"], _bare(entry["ETag"]), entry["LastModified"], entry["Size"], entry["IsLatest"])


def _removal(entry: Answer) -> Version:
    return Version(entry["VersionId"], "", entry["LastModified"], 0, entry["IsLatest"], removed=True)
