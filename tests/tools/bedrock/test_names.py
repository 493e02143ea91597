"""Names of models and callers, from whatever a log has in their place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.bedrock.records import MODELS, PROFILE
from tools.bedrock.aws import Answer
from tools.bedrock.names import Names, caller_name, is_application_profile, model_name
from tools.bedrock.refusals import of_aws, plain

ARN = "arn:aws:bedrock:eu-west-1:111122223333"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        *((model, name) for model, name in MODELS.items() if model != PROFILE),
        ("eu.anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307-v1:0"),
        ("us-gov.anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307-v1:0"),
        (f"{ARN}:inference-profile/eu.amazon.nova-pro-v1:0", "nova-pro-v1:0"),
        (f"{ARN}:application-inference-profile/abc", "application-inference-profile/abc"),
        (f"{ARN}:provisioned-model/abc", "provisioned-model/abc"),
        (f"{ARN}:imported-model/abc", "imported-model/abc"),
        ("arn:aws-cn:bedrock:cn-north-1::foundation-model/amazon.nova-pro-v1:0", "nova-pro-v1:0"),
        *(
            (f"{prefix}.amazon.nova-pro-v1:0", "nova-pro-v1:0")
            for prefix in ("apac", "amer", "global", "jp", "in", "zz")
        ),
        ("zai.glm-4.6", "glm-4.6"),
        ("us.zai.glm-4.6", "glm-4.6"),
        ("us", "us"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_model_has_one_name_however_it_is_called(model: str, name: str) -> None:
    assert model_name(model) == name


@given(st.text())
def test_any_text_has_a_name(text: str) -> None:
    assert isinstance(model_name(text), str)
    assert caller_name(text)


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("arn:aws:sts::111122223333:assumed-role/chat/i-0abc", "chat/i-0abc"),
        ("arn:aws:iam::111122223333:user/bob", "user/bob"),
        ("arn:aws:iam::111122223333:root", "root"),
        ("", "unknown"),
    ],
)
def test_caller_is_shortened_for_display(arn: str, name: str) -> None:
    assert caller_name(arn) == name


class Bedrock:
    """Tells that a profile stands for these models."""

    def __init__(self, *models: str) -> None:
        self.models = models

    async def call(self, operation: str, **_: Any) -> Answer:
        assert operation == "get_inference_profile"
        return {"models": [{"modelArn": model} for model in self.models]}


@pytest.mark.parametrize(
    ("models", "name"),
    [
        (("arn:aws:bedrock:us-east-1::foundation-model/a.x", "arn:aws:bedrock:us-west-2::foundation-model/a.x"), "x"),
        (("a.x", "a.y"), "x or y"),
        ((), "application-inference-profile/abc123def456"),
    ],
    ids=["in several regions", "several models", "none"],
)
async def test_profile_is_called_by_its_models(models: tuple[str, ...], name: str) -> None:
    assert is_application_profile(PROFILE)
    assert await Names().of([PROFILE], Bedrock(*models)) == ({PROFILE: name}, [])


@given(st.text())
def test_words_of_aws_are_one_line_without_arns(words: str) -> None:
    said = plain(f"{words} arn:aws:iam::111122223333:user/x {words}")
    assert "\n" not in said
    assert "arn:aws:iam" not in said
    assert said.endswith(".")


class Refusing:
    """Bedrock that refuses, and counts how often."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.times = 0

    async def call(self, operation: str, **_: Any) -> Answer:
        self.times += 1
        raise of_aws(self.code, "", f"bedrock:{operation}", "us-east-1")


@pytest.mark.parametrize(
    ("code", "times"), [("AccessDeniedException", 1), ("ThrottlingException", 1), ("ResourceNotFoundException", 3)]
)
async def test_refusal_that_holds_for_all_is_not_asked_for_again(code: str, times: int) -> None:
    bedrock = Refusing(code)
    profiles = [f"{PROFILE}{number}" for number in range(3)]
    names, (problem,) = await Names().of([*profiles, "amazon.nova-pro-v1:0"], bedrock)
    assert bedrock.times == times
    assert names[profiles[2]] == "application-inference-profile/abc123def4562"
    assert names["amazon.nova-pro-v1:0"] == "nova-pro-v1:0"
    assert problem.startswith("Some application inference profiles are shown by their ids.")
