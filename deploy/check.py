"""What settings would publish and demand, in words: `bearergate check`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from deploy.assembly import assemble
from deploy.output import check_destination
from discovery.metadata import NAME
from discovery.resource import well_known_url
from gateway.documents import resource_metadata
from gateway.errors import MissingToken
from gateway.facade.quirks import quirks_of
from gateway.refuse import Answers
from gateway.seal import seal_keys
from gateway.settings import FacadeSettings, IssuerSettings, ResourceSettings, Rule, Settings, json_schema
from tools.server import check as check_plugins

if TYPE_CHECKING:
    from tools.registry import Plugin


def print_schema() -> None:
    """Print the JSON Schema of the settings file."""
    print(json.dumps(json_schema(), indent=2))


def print_report(settings: Settings) -> None:
    """Print what the gate would publish with these settings, and what it would ask of whom.

    Raises:
        PluginError: a tool plugin cannot be used, or does not say what one of its tools needs.
        CannotWrite: the audit log would have no folder.
    """
    check_destination(settings.audit_log)
    assembly = assemble(settings)
    for plugins in assembly.plugins.values():
        check_plugins(plugins)
    for issuer in assembly.settings.issuers:
        print("\n".join(issuer_lines(issuer)), end="\n\n")
    if not isinstance(assembly.settings.facade, str):
        print("\n".join(facade_lines(assembly.settings, assembly.settings.facade)), end="\n\n")
    for resource in assembly.settings.resources:
        lines = resource_lines(assembly.settings, resource)
        print("\n".join([*lines, *absent(resource, assembly.plugins[resource.path])]), end="\n\n")
    print("These settings are good to serve.")


def issuer_lines(issuer: IssuerSettings) -> Iterator[str]:
    """An issuer, and how its tokens are known to be meant for this gate."""
    yield f"Issuer {issuer.issuer}"
    yield f"  keys        {issuer.jwks_uri or 'found through its metadata'}"
    yield f"  algorithms  {', '.join(issuer.algorithms)}"
    if issuer.client_ids:
        yield f"  audience    `aud` is the resource; without it, clients {', '.join(issuer.client_ids)}"
    else:
        yield "  audience    `aud` is the resource"


def facade_lines(settings: Settings, facade: FacadeSettings) -> Iterator[str]:
    """The facade: what to register at the issuer, and how clients may become known."""
    from gateway.facade.front import CALLBACK

    ways = ["registration"] * facade.registration + ["metadata documents"] * facade.client_documents
    ways += [client.client_id for client in facade.clients]
    yield f"Facade {settings.public_url} before {settings.facade_issuer}"
    yield f"  client      {facade.client_id}, {'confidential' if has_secret(facade) else 'public'}"
    yield f"  callback    {settings.public_url}{CALLBACK}"
    yield f"  kind        {quirks_of(settings.facade_issuer, facade.kind).kind}"
    yield f"  clients     {', '.join(ways) or 'none: allow registration or metadata documents, or name some'}"
    yield f"  seal keys   {len(seal_keys(settings))}; the first seals"
    for host in facade.insecure_client_document_hosts:
        yield f"  INSECURE    documents of clients may be at {host}"


def has_secret(facade: FacadeSettings) -> bool:
    """Whether the gate's own client has a secret at the issuer."""
    return bool(facade.client_secret or facade.client_secret_file)


def resource_lines(settings: Settings, resource: ResourceSettings) -> Iterator[str]:
    """A resource: its metadata document, its challenge, and what its tools need."""
    url = settings.url_of(resource)
    yield f"Resource {url}"
    yield f"  metadata    {well_known_url(url, NAME)}"
    document = json.loads(resource_metadata(settings, resource).encode())
    yield from (f"    {line}" for line in json.dumps(document, indent=2).splitlines())
    yield "  challenge"
    yield f"    WWW-Authenticate: {Answers(settings, resource).challenge(MissingToken()).decode()}"
    yield f"  every request needs  {words(resource.scopes) or 'a valid token'}"
    yield from (rule_line(rule) for rule in resource.rules)
    if resource.cedar is not None:
        yield f"  Cedar decides{', on trial: nothing is refused yet' if resource.cedar.dry_run else ''}"
    if resource.forward_auth != "off":
        yield f"  proxies ask {settings.public_url}/authz{resource.path}"
    yield f"  behind it   {behind(resource)}"


def behind(resource: ResourceSettings) -> str:
    """What a request that passed reaches."""
    if resource.upstream is not None:
        return resource.upstream.url
    if resource.command is not None:
        return f"the command {resource.command.run[0]}, {'shared' if resource.command.shared else 'one each'}"
    return "the gate's own tools"


def rule_line(rule: Rule) -> str:
    """What a rule is about, and what it asks."""
    about = [
        f"{kind} {', '.join(names)}"
        for kind, names in (("tool", rule.tools), ("prompt", rule.prompts), ("resource", rule.resources))
        if names
    ]
    asks = [
        *rule.scopes,
        *([f"a group of {', '.join(rule.groups)}"] if rule.groups else []),
        *(f"claim {name} = {value}" for name, value in rule.claims.items()),
    ]
    return f"  {'; '.join(about)} needs  {words(asks)}"


def absent(resource: ResourceSettings, plugins: Iterable[Plugin]) -> Iterator[str]:
    """The tools and prompts in rules that no plugin here has, as a misspelt name protects nothing."""
    if resource.upstream is not None or resource.command is not None:
        return  # nobody knows what these have
    stated = [(needs.kind, needs.name) for plugin in plugins for needs in plugin.needs]  # everything has a statement
    named = [("tool", name) for rule in resource.rules for name in rule.tools]
    named += [("prompt", name) for rule in resource.rules for name in rule.prompts]
    for kind, name in named:
        if not any(kind == of and (fnmatchcase(has, name) or fnmatchcase(name, has)) for of, has in stated):
            yield f"  CAUTION     a rule is about {kind} {name}, which is not here: correct it or install its plugin"


def words(parts: list[str]) -> str:
    """A list as a sentence has it."""
    return " and ".join(parts)
