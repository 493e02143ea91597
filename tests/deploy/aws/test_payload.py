"""What the function runs is made on this machine and brought to AWS when that is agreed: a package, or an image."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy import image
from deploy.aws_access import Aws, AwsRefused
from deploy.package import CannotPackage, Runtime
from deploy.packaged_files import PackagedFiles
from deploy.payload import Zip
from deploy.repository import Login, Repository
from tests.deploy.aws.cloudformation import (
    ACCOUNT,
    REGION,
    REGISTRY_PASSWORD,
    Cloud,
    RefusedError,
    command,
    surroundings,
)
from tests.deploy.aws.docker import Docker
from tests.deploy.aws.dockerfile import ignored
from tests.deploy.aws.driven import Driver, issuer
from tests.deploy.laptop import ROOT

REGISTRY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
SETTINGS = "public_url: https://mcp.example.com\nissuers: [{issuer: 'http://127.0.0.1:1'}]\n"
BUCKET = f"bearergate-packages-{ACCOUNT}-{REGION}"


@pytest.fixture(autouse=True)
def settings(driver: Driver) -> Path:
    file = driver.folder / "bearergate.yaml"
    file.write_text(SETTINGS)
    return file


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    made = Docker(tmp_path / "bin")
    made.state = {**made.state, "password": REGISTRY_PASSWORD}
    return made


def on_path(docker: Docker) -> dict[str, str]:
    return {"PATH": f"{docker.folder}:/usr/bin:/bin"}


def test_package_goes_up_before_the_change_to_a_bucket_that_is_made_after_the_question(
    driver: Driver, aws: Cloud
) -> None:
    shown = driver.deploy("--plan", agreed=False)
    assert f"  make          the bucket {BUCKET}\n  upload        the package to {BUCKET}\n" in shown
    assert (aws.buckets, aws.objects) == ({}, {})
    said = driver.deploy()
    (key,) = aws.objects
    assert key.startswith(f"{BUCKET}/bearergate/")
    assert f"  Package  s3://{key}" in said
    assert aws.asked.index("PutObject") < aws.asked.index("ExecuteChangeSet")
    assert f"make          the bucket {BUCKET}" not in driver.deploy("--plan", "--memory", "256", agreed=False)


def test_package_is_made_for_what_the_stack_runs_on(driver: Driver) -> None:
    driver.deploy("--architecture", "x86_64", "--runtime", "python3.12", "--bucket", "mine")
    driver.deploy("--memory", "256")
    assert driver.packaged_for == [Runtime("x86_64", 12)] * 2
    assert driver.parameters()["CodeBucket"] == "mine"


def test_policies_in_cedar_are_packaged_with_what_decides_by_them(driver: Driver, settings: Path) -> None:
    settings.write_text(f"{SETTINGS}resources: [{{cedar: {{policies: 'permit(principal, action, resource);'}}}}]\n")
    driver.deploy()
    settings.write_text(f"{SETTINGS}resources: [{{}}]\n")
    driver.deploy()
    assert driver.packaged_for == [Runtime(cedar=True), Runtime()]


@pytest.mark.parametrize(
    ("minor", "cedar", "said"),
    [
        pytest.param(sys.version_info.minor, False, "", id="the same Python"),
        pytest.param(99, False, "so the package is without byte code for 3.99, and a cold start takes", id="another"),
        pytest.param(sys.version_info.minor, True, "without byte code, as Cedar's engine takes its room", id="Cedar"),
    ],
)
def test_package_without_byte_code_is_noted(driver: Driver, aws: Cloud, minor: int, cedar: bool, said: str) -> None:
    with surroundings(driver.folder, aws.environment()):
        made = Zip(Aws(REGION), ACCOUNT, BUCKET, Runtime(minor=minor), driver.program)
        made.make(PackagedFiles({}, "", [], cedar=cedar))
        assert said in (noted := "".join(made.notes()))
    assert bool(noted) == bool(said)


def test_note_of_the_package_is_shown_with_the_plan(driver: Driver) -> None:
    shown = driver.deploy("--plan", agreed=False)
    assert ("without byte code" in shown) == (sys.version_info.minor != Runtime().minor)


def test_package_that_cannot_go_up_leaves_no_change_behind(driver: Driver, aws: Cloud) -> None:
    aws.refuses["CreateBucket"] = [RefusedError("AccessDenied", "perform: s3:CreateBucket", 403)]
    with pytest.raises(AwsRefused, match="may not do s3:CreateBucket"):
        driver.deploy()
    assert aws.stacks == {}


def test_package_is_not_given_to_a_stranger_who_has_taken_the_name_of_the_bucket(driver: Driver, aws: Cloud) -> None:
    aws.buckets[BUCKET] = REGION
    aws.open_buckets.add(BUCKET)
    with pytest.raises(AwsRefused, match=f"The bucket {BUCKET} is not yours, .*: name one of yours with --bucket"):
        driver.deploy()
    assert (aws.objects, aws.stacks) == ({}, {})


def test_whose_the_bucket_is_is_said_with_the_package_too(driver: Driver, aws: Cloud) -> None:
    driver.deploy()
    assert aws.owners_said == {"HeadBucket": ACCOUNT, "PutObject": ACCOUNT}


def test_bucket_that_fails_in_another_way_is_passed_on(driver: Driver, aws: Cloud) -> None:
    aws.refuses["HeadBucket"] = [RefusedError("x", "y", 400)]
    with pytest.raises(AwsRefused, match="AWS refuses HeadBucket"):
        driver.deploy()


def test_bucket_of_the_first_region_needs_no_region(driver: Driver, aws: Cloud) -> None:
    driver.deploy("--region", "us-east-1")
    assert aws.located == [""]
    driver.deploy("--bucket", "another")
    assert aws.located[1] == REGION


def test_command_packages_the_real_thing(aws: Cloud, tmp_path: Path) -> None:
    """With the issuer's keys, by pip; what else is in it the tests of packages look at."""
    with issuer() as asked:
        (tmp_path / "bearergate.yaml").write_text(SETTINGS.replace("http://127.0.0.1:1", asked.url))
        done = command(tmp_path, aws.environment(), "deploy", "--yes")
    assert done.returncode == 0, done.stderr
    assert "Packaging for Python 3.13 on arm64 ...\n  1" in done.stdout
    (content,) = aws.objects.values()
    assert len(content) <= 20_000_000


def test_image_is_built_pushed_and_deployed(driver: Driver, aws: Cloud, docker: Docker) -> None:
    path = on_path(docker)
    shown = driver.deploy("--image", "--plan", agreed=False, over=path)
    assert "  make          the repository bearergate in ECR" in shown
    assert "  push          the image to bearergate" in shown
    assert (aws.repositories, docker.state["pushed"]) == ({}, [])
    said = driver.deploy("--image", "--function-name", "bearergate", over=path)
    known = docker.state
    (uri,) = known["pushed"]
    assert uri.startswith(f"{REGISTRY}/bearergate:")
    assert driver.parameters()["ImageUri"] == uri
    assert f"  Image    {uri}" in said
    assert known["attestations"] == "1", "Lambda takes no index of an image and its attestations"
    assert known["logged_in"] == [], "the login ends with the push"
    assert ["build", "--platform", "linux/arm64", "--tag", uri] == [*known["asked"]][1][:5]
    wheel = [name for name in known["context"] if name.endswith(".whl")]
    assert sorted(known["context"]) == sorted(["Dockerfile", "constraints.txt", "settings/bearergate.yaml", *wheel])
    assert len(wheel) == 1
    assert not any(ignored(Path(name), ROOT / ".dockerignore") for name in known["context"] if name != "Dockerfile")
    assert not [word for words in known["asked"] for word in words if REGISTRY_PASSWORD in word]
    assert known["asked"][-1] == ["logout", REGISTRY]


def test_repository_keeps_tags_and_the_last_images_and_lets_lambda_read(
    driver: Driver, aws: Cloud, docker: Docker
) -> None:
    driver.deploy("--image", over=on_path(docker))
    lifecycle, policy = map(json.loads, aws.repository_texts)
    assert lifecycle["rules"][0]["selection"]["countNumber"] == 20
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert statement["Condition"]["StringLike"]["aws:sourceArn"] == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:*"


def test_image_of_the_same_input_is_not_made_again(driver: Driver, aws: Cloud, docker: Docker, settings: Path) -> None:
    path = on_path(docker)
    driver.deploy("--image", over=path)
    aws.repositories["bearergate"].add(docker.state["pushed"][0].rpartition(":")[2])
    assert "No changes" in driver.deploy("--image", over=path)
    assert "push          the image" not in driver.deploy("--image", "--memory", "256", over=path)
    settings.write_text(SETTINGS + "audit_log: stdout\n")
    driver.deploy("--image", over=path)
    assert len(docker.state["pushed"]) == 2
    assert "make          the repository" not in driver.deploy("--image", "--architecture", "x86_64", over=path)
    assert "linux/amd64" in [word for words in docker.state["asked"] for word in words]


@pytest.mark.parametrize(
    ("refuses", "sentence"),
    [
        pytest.param("daemon", "its daemon does not answer .*Cannot connect to the Docker daemon", id="no daemon"),
        pytest.param("build", "docker build failed: ERROR: failed to solve: process did not", id="build"),
        pytest.param("emulation", "Docker cannot run linux/arm64 on this machine: add --arch", id="emulation"),
        pytest.param("push", "The credentials may not do ecr:InitiateLayerUpload", id="push"),
        pytest.param("expired", "The login to ECR has expired meanwhile: run this again", id="login that expires"),
        pytest.param("network", "docker push of .* failed: without a word", id="anything else"),
    ],
)
def test_refusal_of_docker_ends_in_a_sentence_and_leaves_no_change_behind(
    driver: Driver, aws: Cloud, docker: Docker, refuses: str, sentence: str
) -> None:
    docker.refuse(refuses)
    with pytest.raises(CannotPackage, match=sentence):
        driver.deploy("--image", over=on_path(docker))
    assert aws.stacks == {}
    assert docker.state["logged_in"] == []


def test_login_that_the_registry_does_not_take_ends_in_a_sentence(driver: Driver, docker: Docker) -> None:
    docker.state = {**docker.state, "password": "another"}
    with pytest.raises(CannotPackage, match=rf"docker login to {REGISTRY} failed: Error response from daemon"):
        driver.deploy("--image", over=on_path(docker))


def test_docker_that_is_not_there_ends_in_a_sentence(driver: Driver, aws: Cloud, tmp_path: Path) -> None:
    with pytest.raises(CannotPackage, match="--image needs Docker, which is not there: install it, or leave"):
        driver.deploy("--image", over={"PATH": str(tmp_path / "nowhere")})
    assert aws.changing() == []


def test_permission_to_look_at_the_repository_that_is_missing_is_named(
    driver: Driver, aws: Cloud, docker: Docker
) -> None:
    aws.refuses["DescribeImages"] = [RefusedError("AccessDeniedException", "perform: ecr:DescribeImages")]
    with pytest.raises(AwsRefused, match="may not do ecr:DescribeImages"):
        driver.deploy("--image", over=on_path(docker))
    assert aws.stacks == {}


@pytest.mark.parametrize("action", ["PutLifecyclePolicy", "SetRepositoryPolicy"])
def test_repository_that_is_only_half_made_is_named(driver: Driver, aws: Cloud, docker: Docker, action: str) -> None:
    aws.refuses[action] = [RefusedError("AccessDeniedException", f"perform: ecr:{action}")]
    with pytest.raises(AwsRefused, match=f"ecr:{action}.* bearergate is there without its rules: delete it"):
        driver.deploy("--image", over=on_path(docker))
    assert aws.stacks == {}


def test_context_of_an_image_is_what_its_dockerfile_installs(tmp_path: Path) -> None:
    """The wheel in it holds the gate, and the tag changes with what is in it only."""
    files = {"bearergate.yaml": yaml.safe_dump({"a": 1}).encode(), "keys/a.json": b"{}"}
    with image.context(files, "arm64") as first, image.context(files, "arm64") as second:
        assert first.digest == second.digest != image.digest(first.folder, "x86_64")
        assert (first.folder / "settings" / "keys" / "a.json").read_bytes() == b"{}"
        assert (first.folder / "Dockerfile").read_bytes() == image.DOCKERFILE.read_bytes()
        assert (first.folder / "constraints.txt").read_bytes() == (ROOT / "constraints.txt").read_bytes()
        (wheel,) = first.folder.glob("*.whl")
        shutil.unpack_archive(wheel, tmp_path, "zip")
    assert (tmp_path / "deploy" / "aws_lambda.py").exists()


def test_registries_of_china_have_their_own_names() -> None:
    there = Repository(None, ACCOUNT, "cn-north-1", "bearergate")
    assert there.uri == f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn/bearergate"
    assert there._policy()["Statement"][0]["Condition"]["StringLike"]["aws:sourceArn"].startswith("arn:aws-cn:lambda:")
    assert "secret" not in repr(Login("AWS", "secret"))


def test_fake_docker_says_what_the_real_one_says_of_a_command_that_it_does_not_know(docker: Docker) -> None:
    done = subprocess.run([docker.folder / "docker", "teleport"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "docker: unknown command\n")
    done = subprocess.run(
        [docker.folder / "docker", "push", f"{REGISTRY}/x"], capture_output=True, text=True, check=False
    )
    assert done.stderr == "no basic auth credentials\n"
