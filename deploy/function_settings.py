"""The settings as the function will read them, judged before anything is sent to AWS.

What is parsed is what the function parses: the file that is packaged, under the variables that the template sets.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from deploy.aws_options import BadOption
from deploy.aws_secrets import ACTIONS, SCHEME
from deploy.intrinsics import Filled, template
from deploy.parameters import Parameters
from deploy.stack_values import function_values
from gateway.settings import ResourceSettings, Settings
from gateway.sources import SettingsError, parse, read_file

SEGMENT = re.compile(r"/[A-Za-z0-9._~-]+")
STAND_IN = f"{'A' * 43}="  # for keys that are read at AWS only
PAIR = {"client_certificate_file", "client_key_file"}
OWN_POOL = ("new", "kept")
PLUGINS = "bearergate.tools"  # the group of entry points that tools are found by
FROM_OPTIONS = (  # setting, parameter, option; of two for one setting, the first wins
    ("public_url", "PublicUrl", "--public-url"),
    ("public_url", "DomainName", "--domain-name"),
    ("resources[0].path", "ResourcePath", "--resource-path"),
    ("resources[0].upstream.url", "UpstreamUrl", "--upstream-url"),
    ("issuers[0].client_ids", "CognitoUserPoolId", "--cognito-client-ids"),
)


def settings_in(file: Path | None) -> dict[str, Any]:
    """What a settings file says; nothing where there is none."""
    return read_file(file, required=True) if file else {}


def public_url(values: Mapping[str, Any]) -> str:
    """The public URL that settings name for clients; "" where they name none that AWS could serve."""
    named = values.get("public_url")
    return named.rstrip("/") if isinstance(named, str) and named.startswith("https://") else ""


def resource_path(values: Mapping[str, Any], parameters: Parameters) -> str:
    """The path that the front door leads to, without its slash: that of the settings, if they name one.

    Raises:
        BadOption: an option names another one, or it is none that a front door could have.
    """
    said = f"/{parameters['ResourcePath']}"
    listed = values.get("resources")
    paths = [entry.get("path") for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    named = [str(path or "/mcp") for path in paths] if len(paths) > 1 else [str(path) for path in paths if path]
    if not named or said in named:
        return said[1:]
    if parameters.states("ResourcePath"):
        raise BadOption(f"--resource-path {said[1:]}: the settings say {', '.join(named)}; leave out the option")
    if not SEGMENT.fullmatch(named[0]):
        raise BadOption(f"resources[0].path: the front door leads to one segment, such as /mcp, and not to {named[0]}")
    return named[0][1:]


def judge(
    file: Path | None, parameters: Parameters, region: str, *, origin: str = "", image: bool = False
) -> list[str]:
    """What whoever is asked should know of the settings.

    `origin` is what clients know already. The settings may be in an `image`, with the files that they name.

    Raises:
        BadOption: options and settings say two things of which only one can be meant.
        SettingsError: the function, or its authorizer, would not start with these settings, or serve nobody.
    """
    filled = Filled({**parameters, "KeysFile": ""}, region, origin)  # which comes from AWS, and was read already
    own = settings_in(file)
    if parameters["UserPool"] == "existing" and "issuers" in own:
        raise BadOption(f"--cognito-user-pool-id: {file} names issuers as well; leave one of them out")
    settings = parsed_for_function(file, filled, parameters, image=image)
    problems = [*authorizer_problems(file, filled, image=image), *settings_problems(settings, image=image)]
    if parameters["UserPool"] in OWN_POOL:
        problems += scope_problems(settings, filled)
    if problems:
        raise SettingsError(problems)
    # What tools an image brings is not known here, and so not what they need.
    return [*notes(own, settings, parameters), *(() if image else scope_notes(settings))]


def parsed_for_function(file: Path | None, filled: Filled, parameters: Parameters, *, image: bool) -> Settings:
    """The settings of the function; raises `SettingsError`."""
    values, problems = values_at(file, filled.variables("Function"), image=image)
    try:
        return parsed(file, readable(values, problems, image=image), problems)
    except SettingsError as error:
        raise SettingsError([with_option(problem, parameters) for problem in error.problems]) from None


def values_at(file: Path | None, environment: Mapping[str, str], *, image: bool) -> tuple[dict[str, Any], list[str]]:
    """The values under the variables of a function, and what is wrong with them already."""
    values, problems = function_values(environment, str(file) if file else None)
    if image and file is None:
        values.setdefault("issuers", [{"issuer": "https://not-known-here.invalid"}])  # they are in the image
    return values, problems


def parsed(file: Path | None, values: Mapping[str, Any], problems: list[str]) -> Settings:
    """The settings of values; the files that they name lie beside theirs."""
    with contextlib.chdir(file.parent if file else Path()):
        return parse(values, problems)


def readable(value: Any, problems: list[str], *, image: bool) -> Any:
    """Values without what is read at AWS only, as the names of secrets are, or in an image, as all files are."""
    if isinstance(value, list):
        return [readable(entry, problems, image=image) for entry in value]
    if not isinstance(value, dict):
        return value
    elsewhere = {key for key, entry in value.items() if is_elsewhere(str(key), entry, problems, image=image)}
    elsewhere |= PAIR if PAIR & elsewhere else set()
    kept = {key: readable(entry, problems, image=image) for key, entry in value.items() if key not in elsewhere}
    return kept | ({"seal_keys": [STAND_IN]} if "seal_keys_file" in elsewhere and "seal_keys" not in value else {})


def is_elsewhere(key: str, entry: Any, problems: list[str], *, image: bool) -> bool:
    """Whether something is a file that is not here, or of no use without one."""
    if key in ("credential", "cedar") and isinstance(entry, dict):
        return is_elsewhere(f"{key}.file", entry.get("file"), problems, image=image) or (image and key == "credential")
    if not isinstance(entry, str):
        return False
    if not entry.startswith(SCHEME):
        return image and key.endswith(("_file", ".file"))
    service, _, name = entry.removeprefix(SCHEME).partition(":")
    if service not in ACTIONS or not name:
        problems.append(f"{key}: {entry} names no secret; write aws:secretsmanager:NAME or aws:ssm:/NAME")
    return True


def with_option(problem: str, parameters: Parameters) -> str:
    """A problem of the settings, with the option that it comes from."""
    key, _, rest = problem.partition(":")
    flag = next((flag for setting, name, flag in FROM_OPTIONS if setting == key and parameters[name]), "")
    return f"{key} ({flag}):{rest}" if flag else problem


def authorizer_problems(file: Path | None, filled: Filled, *, image: bool) -> Iterator[str]:
    """Why the authorizer would not start where the function does. It reads no secret, and so none is looked over."""
    if not filled.holds("HasAuthorizer"):
        return
    from deploy.authorizer import without_secrets

    environment = filled.variables("AuthorizerFunction")
    values, problems = values_at(file, environment, image=image)
    kept = without_secrets(values)
    try:
        settings = parsed(file, readable(kept, problems, image=image) if image else kept, problems)
    except SettingsError as error:
        yield from (f"--auth-method lambda: {problem}" for problem in error.problems)
        return
    if environment["AUTHORIZER_CACHE_SECONDS"] != "0" and len(settings.resources) > 1:
        yield f"--authorizer-cache-seconds: must be 0, for {file} names several resources, and a token has one answer"


def settings_problems(settings: Settings, *, image: bool) -> Iterator[str]:
    """What a function does not have that starts elsewhere."""
    if settings.audit_log not in ("stdout", "stderr", "off"):
        yield f"audit_log: {settings.audit_log} cannot be written on Lambda; leave it out, and it is in the log"
    for i, resource in enumerate(settings.resources):
        yield from () if image else resource_problems(f"resources[{i}].", resource)


def resource_problems(where: str, resource: ResourceSettings) -> Iterator[str]:
    """What a package does not hold that a resource needs."""
    if resource.upstream and resource.upstream.credential and resource.upstream.credential.variable:
        variable = resource.upstream.credential.variable
        yield (
            f"{where}upstream.credential.variable: the function has no variable {variable}; put the secret into "
            "Secrets Manager, and write file: aws:secretsmanager:NAME"
        )
    packaged = sorted(entry.name for entry in distribution("bearergate").entry_points if entry.group == PLUGINS)
    for name in resource.tools or ():
        if name not in packaged:
            yield (
                f"{where}tools: {name} is not packaged, {', '.join(packaged)} are; put it into an image of yours, and "
                "give that with --image-uri"
            )


def scope_problems(settings: Settings, filled: Filled) -> Iterator[str]:
    """Scopes that nobody could have, since the user pool of the stack has others."""
    client = template()["Resources"]["FacadeClient"]["Properties"]
    known = set(filled.value(client["AllowedOAuthScopes"]))
    names = ", ".join(sorted(scope.rpartition("/")[2] for scope in known if "/" in scope))
    known |= {scope for implied in settings.scope_hierarchy.values() for scope in implied}
    for i, resource in enumerate(settings.resources):
        needed = [(f"resources[{i}].scopes", scope) for scope in resource.scopes]
        needed += [
            (f"resources[{i}].rules[{j}].scopes", scope)
            for j, rule in enumerate(resource.rules)
            for scope in rule.scopes
        ]
        for where, scope in needed:
            if scope not in known:
                yield (
                    f"{where}: the user pool of the stack has no scope {scope}, so nobody could have it; it has the "
                    f"URL of the endpoint, a slash and one of {names}"
                )


def notes(own: Mapping[str, Any], settings: Settings, parameters: Parameters) -> Iterator[str]:
    """What settings say to no effect, or lack."""
    if parameters["UserPool"] in OWN_POOL and "issuers" in own:
        yield "issuers of the settings are not used: tokens come from the user pool of the stack"
    if any(resource.upstream for resource in settings.resources) and not settings.seal_keys:
        yield (
            "sessions of an upstream end with each instance of the function, since no keys seal them: name "
            "seal_keys_file: aws:secretsmanager:NAME"
        )


def scope_notes(settings: Settings) -> Iterator[str]:
    """Scopes that nobody gets behind a front door which renames challenges."""
    for resource in settings.resources:
        if missing := sorted(set(scopes_of_tools(resource)) - set(resource.scopes)):
            yield (
                f"no login asks for {', '.join(missing)}, and behind this front door no step-up does: to use what "
                "needs them, name them in `scopes` of the resource, or put CloudFront before it (docs/aws.md)"
            )


def scopes_of_tools(resource: ResourceSettings) -> Iterator[str]:
    """The scopes that the own tools of a resource need."""
    from deploy.assembly import plugins_of, with_rules

    if resource.upstream is None and resource.command is None:
        for rule in with_rules(resource, plugins_of(resource)).rules:
            yield from rule.scopes
