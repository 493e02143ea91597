"""What S3 and botocore refuse, as one sentence with what to do next; their own texts hold ARNs and addresses."""

from __future__ import annotations

from tools.aws_codes import DENIED, EXPIRED, NO_CREDENTIALS, STALE_LOGIN, THROTTLED, UNAVAILABLE, UNKNOWN_KEY
from tools.prompts.refusals import Denied, Unreachable

POLICY = "tools/prompts/iam-policy.json"

NOT_ALLOWED = DENIED | {"AllAccessDisabled", "AccountProblem"}
FAILED = UNAVAILABLE | {"InternalError", "RequestTimeout", "500", "502", "504"}
ELSEWHERE = frozenset(
    {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
)


def of_code(code: str, action: str, bucket: str) -> Unreachable:
    """The refusal for an error code of S3; `action` as IAM spells it, such as `s3:GetObject`."""
    if code in NOT_ALLOWED:
        return Denied(
            f"The server may not do {action} on the bucket {bucket}: its operator must allow that, as {POLICY} does."
        )
    if code == "NoSuchBucket":
        return Unreachable(f"There is no bucket {bucket}: make it, or correct BEARERGATE_PROMPTS_BUCKET.")
    if code in EXPIRED:
        return Unreachable("The server's AWS credentials have expired: its operator must renew them.")
    if code in UNKNOWN_KEY:
        return Unreachable("AWS does not accept the server's credentials: its operator must correct them.")
    if code in THROTTLED:
        return Unreachable("S3 is asked too often at the moment, and was asked again in vain: try later.")
    if code in FAILED:
        return Unreachable("S3 fails at the moment, and was asked again in vain: try later.")
    if code in ELSEWHERE:
        return Unreachable(f"The bucket {bucket} is in another region: set BEARERGATE_PROMPTS_REGION to it.")
    if code == "RequestTimeTooSkewed":
        return Unreachable("The server's clock is wrong, so that AWS refuses it: its operator must set it.")
    return Unreachable(
        f"S3 refuses {action} on the bucket {bucket} with the code {code[:80]}: its operator must see why."
    )


def of_botocore(exception: str, bucket: str, *, writing: bool = False) -> Unreachable:
    """The refusal for an exception of botocore, by its name."""
    if exception in NO_CREDENTIALS:
        return Unreachable("The server has no AWS credentials: its operator must give it a role or a profile.")
    if exception in STALE_LOGIN:
        return Unreachable("The server cannot renew its AWS credentials: its operator must log in or restore its role.")
    done = "; read_prompt then tells whether something was written" if writing else ""  # an answer can be lost
    return Unreachable(
        f"S3 cannot be reached for the bucket {bucket} ({exception}): try later{done}, or have its operator check the "
        "network."
    )


def no_s3(bucket: str) -> Unreachable:
    """The refusal where an answer lacks what S3 always says: a proxy that wants a login, or something else."""
    return Unreachable(
        f"What answers for the bucket {bucket} is no S3: its operator must correct BEARERGATE_PROMPTS_ENDPOINT, or the "
        "proxy in between."
    )
