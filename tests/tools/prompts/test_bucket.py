"""A library in S3: what AWS refuses is one sentence, and no permission is asked for that the policy does not give."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from tests.tools.prompts.conftest import REGION, template
from tests.tools.prompts.faulty import Faulty, faulty
from tools.prompts import settings
from tools.prompts.bucket import ACTIONS, ATTEMPTS, MAX_PAGES, BucketStore
from tools.prompts.refusals import Denied, Missing, Refusal, Unreachable

POLICY = Path(settings.__file__).parent / "iam-policy.json"
CALLS: dict[str, Callable[[BucketStore], object]] = {
    "s3:ListBucket": lambda store: store.scan(),
    "s3:ListBucketVersions": lambda store: store.versions("one"),
    "s3:GetObject": lambda store: store.read("one", "abc"),
    "s3:GetObjectVersion": lambda store: store.read_version("one", "1"),
    "s3:PutObject": lambda store: store.write("one", template(), None),
    "s3:DeleteObject": lambda store: store.remove("one", "abc"),
}


@pytest.fixture
def failing(credentials: None) -> Iterator[Faulty]:
    """An S3 that answers with errors."""
    del credentials
    with faulty() as state:
        yield state


def store_at(endpoint: str) -> BucketStore:
    return BucketStore("a-bucket", "prompts/", region=REGION, endpoint=endpoint)


class TestRefusals:
    @pytest.mark.parametrize("action", CALLS)
    def test_missing_permission_is_named(self, failing: Faulty, action: str) -> None:
        failing.refuse(403, "AccessDenied")
        with pytest.raises(Denied, match=rf"may not do {action} on the bucket a-bucket: .*iam-policy\.json does\.$"):
            CALLS[action](store_at(failing.endpoint))
        assert len(failing.asked) == 1

    @pytest.mark.parametrize(
        ("status", "code", "said"),
        [
            pytest.param(404, "NoSuchBucket", "There is no bucket a-bucket: make it", id="no bucket"),
            pytest.param(400, "ExpiredToken", "credentials have expired: its operator must renew", id="expired"),
            pytest.param(403, "InvalidAccessKeyId", "does not accept the server's credentials", id="unknown key"),
            pytest.param(403, "SignatureDoesNotMatch", "does not accept the server's credentials", id="wrong secret"),
            pytest.param(400, "AuthorizationHeaderMalformed", "is in another region: set BEARERGATE", id="region"),
            pytest.param(403, "RequestTimeTooSkewed", "clock is wrong", id="wrong clock"),
            pytest.param(418, "Teapot", "refuses s3:.* with the code Teapot: its operator", id="something else"),
        ],
    )
    @pytest.mark.parametrize("action", CALLS)
    def test_what_no_retry_cures_is_said_at_once(
        self, failing: Faulty, action: str, status: int, code: str, said: str
    ) -> None:
        failing.refuse(status, code)
        with pytest.raises(Unreachable, match=said) as refused:
            CALLS[action](store_at(failing.endpoint))
        assert len({*failing.asked}) == 1
        assert "123456789012" not in str(refused.value)
        assert re.fullmatch(r"[^\n]{20,250}\.", str(refused.value))

    @pytest.mark.parametrize(
        ("status", "code", "said"),
        [
            pytest.param(503, "SlowDown", "S3 is asked too often at the moment", id="throttled"),
            pytest.param(500, "InternalError", "S3 fails at the moment", id="an error of its own"),
        ],
    )
    def test_what_may_pass_is_tried_again_within_bounds(
        self, failing: Faulty, status: int, code: str, said: str
    ) -> None:
        failing.refuse(status, code)
        with pytest.raises(Unreachable, match=f"{said}, and was asked again in vain: try later"):
            store_at(failing.endpoint).scan()
        assert 1 < len(failing.asked) == ATTEMPTS < 6

    def test_bucket_that_is_not_there(self, moto: str, credentials: None) -> None:
        del credentials
        with pytest.raises(Unreachable, match="There is no bucket a-bucket"):
            store_at(moto).scan()

    def test_network_that_is_not_there(self, credentials: None) -> None:
        del credentials
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and nobody listens
            endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
            said = r"cannot be reached for the bucket a-bucket \(\w+\): try later, or have its operator"
            with pytest.raises(Unreachable, match=said):
                store_at(endpoint).scan()

    def test_write_whose_answer_is_lost_is_not_said_to_have_failed(self, failing: Faulty) -> None:
        failing.status = 0
        with pytest.raises(Unreachable, match="try later; read_prompt then tells whether something was written"):
            store_at(failing.endpoint).write("one", template(), None)
        assert len(failing.asked) == ATTEMPTS

    def test_body_that_ends_too_soon(self, failing: Faulty) -> None:
        failing.body, failing.headers = "---", {"content-length": "100", "ETag": '"abc"', "connection": "close"}
        with pytest.raises(Unreachable, match="cannot be reached"):
            store_at(failing.endpoint).read("one")

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param("", id="nothing"),
            pytest.param("<html><p>Log in</p></html>", id="the page of a proxy"),
            pytest.param(
                "<ListBucketResult><Name>a-bucket</Name><Contents><LastModified>never</LastModified></Contents>"
                "</ListBucketResult>",
                id="a date that is none",
            ),
        ],
    )
    def test_answer_that_is_not_of_s3_is_no_empty_library(self, failing: Faulty, body: str) -> None:
        failing.body = body
        for action in ("s3:ListBucket", "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"):
            with pytest.raises(Unreachable, match="What answers for the bucket a-bucket is no S3: its operator must"):
                CALLS[action](store_at(failing.endpoint))

    @pytest.mark.parametrize("action", CALLS)
    def test_page_that_is_not_there_is_said_with_its_status(self, failing: Faulty, action: str) -> None:
        failing.status, failing.body = 404, "<html>Not found</html>"
        with pytest.raises(Unreachable, match=f"S3 refuses {action} on the bucket a-bucket with the code 404"):
            CALLS[action](store_at(failing.endpoint))

    def test_machine_without_credentials(self, moto: str, credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
        del credentials
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with pytest.raises(Unreachable, match="has no AWS credentials: its operator must give it a role"):
            store_at(moto).scan()

    def test_profile_that_is_none(self, moto: str, credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
        del credentials
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(Unreachable, match="has no AWS credentials"):
            store_at(moto).scan()

    def test_login_that_cannot_be_renewed(
        self, moto: str, credentials: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        del credentials
        file = tmp_path / "aws"
        file.write_text("[profile stale]\ncredential_process = false\n")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
        monkeypatch.setenv("AWS_PROFILE", "stale")
        with pytest.raises(Unreachable, match="cannot renew its AWS credentials"):
            store_at(moto).scan()


class TestObjects:
    def test_only_what_lies_directly_under_the_prefix_counts(self, bucket: BucketStore, s3: Any) -> None:
        for key in ("one.md", "prompts/sub/two.md", "prompts/notes.txt", "prompts/", "prompts-old/three.md"):
            s3.put_object(Bucket=bucket.bucket, Key=key, Body=template())
        assert bucket.scan() == ({}, {})

    def test_object_whose_name_is_none_is_a_problem(self, bucket: BucketStore, s3: Any) -> None:
        for key in ("prompts/My Prompt.md", "prompts/.md"):
            s3.put_object(Bucket=bucket.bucket, Key=key, Body=template())
        listing = bucket.scan()
        assert listing.etags == {}
        assert set(listing.problems) == {"My Prompt", ""}

    def test_listing_goes_on_page_by_page(self, bucket: BucketStore, s3: Any) -> None:
        for number in range(5):
            s3.put_object(Bucket=bucket.bucket, Key=f"prompts/p{number}.md", Body=template())
        client = bucket.client()

        def two_at_a_time(params: dict[str, Any], **_: object) -> None:
            params.setdefault("MaxKeys", 2)

        client.meta.events.register("provide-client-params.s3.ListObjectsV2", two_at_a_time)
        asked: list[object] = []
        client.meta.events.register("before-call.s3.ListObjectsV2", lambda **_: asked.append(1))
        assert list(bucket.scan().etags) == ["p0", "p1", "p2", "p3", "p4"]
        assert len(asked) == 3

    def test_listing_is_bounded_and_what_it_leaves_out_is_said(self, failing: Faulty) -> None:
        """A page may hold nothing but folders, and nothing at all where what speaks S3 goes round in circles."""
        head = "<Name>a-bucket</Name><NextContinuationToken>more</NextContinuationToken>"
        failing.body = f"<ListBucketResult>{head}</ListBucketResult>"
        problems = store_at(failing.endpoint).scan().problems
        assert len(failing.asked) == MAX_PAGES
        assert problems == {"prompts/": "There is more here than is looked through: give the library its own prefix."}

    def test_huge_object_is_not_read_whole(self, bucket: BucketStore, s3: Any) -> None:
        s3.put_object(Bucket=bucket.bucket, Key="prompts/huge.md", Body=b"x" * 1_000_000)
        stored = bucket.read("huge")
        assert stored is not None
        assert len(stored.content) < 100_000

    def test_removal_is_a_version_that_cannot_be_read(self, bucket: BucketStore) -> None:
        saved = bucket.write("one", template(), None)
        bucket.remove("one", saved.etag)
        removal, first = bucket.versions("one")
        assert (removal.removed, removal.latest, removal.size) == (True, True, 0)
        assert not first.latest
        with pytest.raises(Missing, match="has no version"):
            bucket.read_version("one", removal.id)

    @pytest.mark.parametrize(
        ("status", "code"), [(405, "MethodNotAllowed"), (400, "InvalidArgument"), (404, "NoSuchVersion")]
    )
    def test_version_that_s3_does_not_give_is_missing(self, failing: Faulty, status: int, code: str) -> None:
        failing.refuse(status, code)
        with pytest.raises(Missing, match="one has no version 'abc': list_prompt_versions tells"):
            store_at(failing.endpoint).read_version("one", "abc")

    def test_bucket_without_versions_has_the_present_one(self, bucket: BucketStore, s3: Any) -> None:
        s3.create_bucket(Bucket="plain", CreateBucketConfiguration={"LocationConstraint": REGION})
        plain = BucketStore("plain", "prompts/", region=REGION, endpoint=bucket._endpoint)
        saved = plain.write("one", template(), None)
        assert saved.version == ""
        (version,) = plain.versions("one")
        assert plain.read_version("one", version.id).content == template()

    def test_object_is_markdown(self, bucket: BucketStore, s3: Any) -> None:
        bucket.write("one", template(), None)
        head = s3.head_object(Bucket=bucket.bucket, Key="prompts/one.md")
        assert head["ContentType"] == "text/markdown; charset=utf-8"

    def test_two_writes_at_once_that_s3_refuses_to_order_are_to_be_done_again(self, failing: Faulty) -> None:
        failing.refuse(409, "ConditionalRequestConflict")
        with pytest.raises(Unreachable, match=r"at this moment: look at it, and try again\.$"):
            store_at(failing.endpoint).write("one", template(), "abc")


def test_policy_gives_what_the_calls_need_and_no_more(bucket: BucketStore) -> None:
    """Every operation is done once, and what reaches S3 is held against the statements."""
    needed: set[tuple[str, str, str]] = set()  # action, resource, prefix

    def note(params: dict[str, Any], model: Any, **_: object) -> None:
        operation = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", model.name).lower()
        version = "versionId" in params["query_string"]
        action = "s3:GetObjectVersion" if version else ACTIONS[operation]
        path = params["url_path"].partition("?")[0].removeprefix(f"/{bucket.bucket}").removeprefix("/")
        arn = f"arn:aws:s3:::YOUR-BUCKET/{path}" if path else "arn:aws:s3:::YOUR-BUCKET"
        needed.add((action, arn, str(params["query_string"].get("prefix", ""))))

    bucket.client().meta.events.register("before-call.s3", note)
    saved = bucket.write("one", template(), None)
    saved = bucket.write("one", template("{{name}}"), saved.etag)
    bucket.scan()
    bucket.read("one", saved.etag)
    for version in bucket.versions("one"):
        bucket.read_version("one", version.id)
    bucket.remove("one", saved.etag)

    statements = json.loads(POLICY.read_text())["Statement"]
    given = {action for statement in statements for action in statement["Action"]}
    assert {action for action, _, _ in needed} == given == set(CALLS)
    for action, arn, prefix in needed:
        (statement,) = (one for one in statements if action in one["Action"])
        assert statement["Effect"] == "Allow"
        assert fnmatchcase(arn, statement["Resource"]), (action, arn)
        for pattern in statement.get("Condition", {}).get("StringLike", {}).values():
            assert fnmatchcase(prefix, pattern), (action, prefix)


@pytest.mark.parametrize("store", ["bucket"], indirect=True)
def test_errors_of_s3_are_all_refusals(store: BucketStore) -> None:
    with pytest.raises(Refusal):
        store.read("nobody")
