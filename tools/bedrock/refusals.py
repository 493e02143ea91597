"""What AWS refuses, said in one sentence with what to do next; AWS's own texts hold ARNs and are not passed on."""

from __future__ import annotations

import re

from mcp.server.mcpserver.exceptions import ToolError

from tools.aws_codes import DENIED, EXPIRED, NO_CREDENTIALS, STALE_LOGIN, THROTTLED, UNAVAILABLE, UNKNOWN_KEY

BUSY = THROTTLED | UNAVAILABLE | {"LimitExceededException"}  # the last for too many queries of Logs Insights at once

RENEWABLE = EXPIRED | UNKNOWN_KEY | NO_CREDENTIALS | STALE_LOGIN  # whoever mends these asks again, without a restart


class Refused(ToolError):
    """AWS did not do it; `code` is the one of AWS, or the name of botocore's exception."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def of_aws(code: str, message: str, action: str, region: str) -> Refused:
    """The refusal for an error code of AWS; `action` as IAM spells it, such as `logs:StartQuery`."""
    if code in DENIED:
        where = "the IAM policy of this server"
        if action == "sts:AssumeRole":
            where = f"the trust policy of the role and {where}"
        return Refused(code, f"AWS does not let this server do {action} in {region}: allow it in {where}.")
    if code in EXPIRED:
        return Refused(code, "The AWS credentials of this server have expired: renew them and ask again.")
    if code in UNKNOWN_KEY:
        wrong = f"AWS does not know the credentials of this server in {region}"
        return Refused(code, f"{wrong}: correct them or its clock, or turn the region on for the account.")
    if code in BUSY:
        return Refused(code, f"AWS is too busy for {action} and was asked several times: try again in a minute.")
    return Refused(code, f"AWS answered {action} in {region} with {code}: {plain(message)}")


def of_botocore(name: str, action: str, region: str) -> Refused:
    """The refusal for an exception of botocore: nothing was asked, or nothing came back."""
    if name in NO_CREDENTIALS:
        sentence = "This server has no AWS credentials: give it a role, or set AWS_PROFILE or AWS_ACCESS_KEY_ID."
    elif name in STALE_LOGIN:
        sentence = "The AWS credentials of this server cannot be renewed: log in again, as with `aws sso login`."
    else:
        sentence = f"AWS cannot be reached for {action} in {region} ({name}): check the network and the endpoint."
    return Refused(name, sentence)


def plain(message: str) -> str:
    """AWS's words on one line, without ARNs and not too many, ending in a full stop."""
    line = re.sub(r"arn:[^\s,]+", "(an ARN)", " ".join(message.split()))[:200].rstrip(". ")
    return f"{line or 'it gave no reason'}."
