"""The settings as the function will read them, judged before anything is sent to AWS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.sources import SettingsError, parse, values_of

UNKNOWN = "https://not-known-yet.invalid"  # stands for an origin that is known when the front door is there


def judge(file: Path | None, parameters: Mapping[str, str]) -> str:
    """The public URL that the settings name for clients; "" where they name none that AWS could serve.

    What a new user pool brings is written by the template. What files hold is judged when they are packaged.

    Raises:
        SettingsError: the function would not start with these settings.
    """
    values, problems = values_of(file, environment(parameters)) if file else no_file(parameters)
    named = str(values.get("public_url", ""))
    values["public_url"] = UNKNOWN
    if parameters["UserPool"] not in ("new", "kept"):
        try:
            parse(without_files(values), problems)
        except SettingsError as error:
            about_files = ("_file:", "seal_keys:", "client_secret:")
            found = [problem for problem in error.problems if not any(word in problem for word in about_files)]
            if found:
                raise SettingsError(found) from None
    return named.rstrip("/") if named.startswith("https://") else ""


def no_file(parameters: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The values where nothing is packaged: what the template says, whatever lies in this folder."""
    from gateway.sources import add_cognito

    values: dict[str, Any] = {}
    problems: list[str] = []
    add_cognito(values, environment(parameters), problems)
    return values, problems


def environment(parameters: Mapping[str, str]) -> dict[str, str]:
    """The variables about an existing pool that the template sets."""
    pool = parameters["CognitoUserPoolId"]
    if parameters["UserPool"] != "existing":
        return {}
    clients = parameters["CognitoClientIds"]
    return {"COGNITO_REGION": pool.partition("_")[0], "COGNITO_USER_POOL_ID": pool} | (
        {"COGNITO_ALLOWED_CLIENT_IDS": clients} if clients else {}
    )


def without_files(values: Any) -> Any:
    """Values without the names of files, which are read at AWS only."""
    if isinstance(values, dict):
        return {key: without_files(entry) for key, entry in values.items() if not str(key).endswith("_file")}
    return [without_files(entry) for entry in values] if isinstance(values, list) else values
