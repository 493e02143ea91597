"""Names of models as people say them, from ids, inference profiles and ARNs; and short names of callers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tools.bedrock.aws import Service
from tools.bedrock.refusals import Refused

# Prefixes of cross-region inference profiles (Bedrock user guide, supported inference profiles), beside those of two
# letters, such as us, eu and jp, to which AWS adds; no maker of models has a name as short.
GEOGRAPHIES = frozenset({"apac", "amer", "global", "us-gov"})
GONE = frozenset({"ResourceNotFoundException", "ValidationException"})  # of one profile, not of all
MODEL_ARNS = ("foundation-model", "inference-profile")  # whose last part is an id
APPLICATION_PROFILE = "application-inference-profile"  # whose last part says nothing: Bedrock has to be asked
_ARN = re.compile(r"arn:[^:]*:bedrock:[^:]*:[^:]*:([\w-]+)/(.+)")
_ASSUMED = re.compile(r"arn:[^:]*:sts::\d*:assumed-role/([^/]+)/(.+)")


def model_name(model: str) -> str:
    """`claude-sonnet-4-5-20250929-v1:0` for an id, inference profile or ARN of it, in whatever region."""
    arn = _ARN.fullmatch(model)
    if arn and arn[1] not in MODEL_ARNS:
        return f"{arn[1]}/{arn[2]}"
    parts = (arn[2] if arn else model).split(".")
    if len(parts) > 1 and (len(parts[0]) == 2 or parts[0] in GEOGRAPHIES):
        del parts[0]
    return ".".join(parts[1:] if len(parts) > 1 else parts)  # without who makes it


def caller_name(arn: str) -> str:
    """Whom to show where there is no room for an ARN: role and session, or what stands behind the account."""
    if assumed := _ASSUMED.fullmatch(arn):
        return f"{assumed[1]}/{assumed[2]}"
    return arn.rpartition(":")[2] or "unknown"


class Names:
    """Names of models, remembered: what an application inference profile stands for does not change."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}  # by the ARN of the profile, which has region and account in it

    async def of(self, models: Iterable[str], bedrock: Service | None) -> tuple[dict[str, str], list[str]]:
        """The name of each model, and in a sentence why Bedrock did not tell some."""
        models = list(models)
        problem = await self._learn(filter(is_application_profile, models), bedrock) if bedrock else None
        names = {model: self._known.get(model) or model_name(model) for model in models}
        return names, [f"Some application inference profiles are shown by their ids. {problem}"] if problem else []

    async def _learn(self, profiles: Iterable[str], bedrock: Service) -> Refused | None:
        """Ask for the profiles that are not known yet; the last refusal, if any."""
        problem = None
        for profile in profiles:
            try:
                if profile not in self._known:
                    await self._ask(profile, bedrock)
            except Refused as refused:
                problem = refused
                if refused.code not in GONE:
                    break  # for what is true of one is true of all, and each would be waited for as long
        return problem

    async def _ask(self, profile: str, bedrock: Service) -> None:
        answer = await bedrock.call("get_inference_profile", inferenceProfileIdentifier=profile)
        models = sorted({model_name(model["modelArn"]) for model in answer["models"]})
        if models:
            self._known[profile] = " or ".join(models)


def is_application_profile(model: str) -> bool:
    """Whether the model is given by an application inference profile."""
    arn = _ARN.fullmatch(model)
    return arn is not None and arn[1] == APPLICATION_PROFILE
