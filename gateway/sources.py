"""Settings from `bearergate.yaml` and the environment: every problem named at once, each with the key to change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import msgspec

from gateway.consistency import problems_of
from gateway.settings import POOL, Settings

if TYPE_CHECKING:
    import yaml

PREFIX = "BEARERGATE_"
FILE = f"{PREFIX}FILE"  # names the settings file; not a setting itself
OF_TOOLS = (f"{PREFIX}BEDROCK_", f"{PREFIX}PROMPTS_")  # the bundled tools read these themselves
OF_COGNITO = ("COGNITO_USER_POOL_ID", "COGNITO_REGION", "COGNITO_ALLOWED_CLIENT_IDS", "COGNITO_REQUIRED_SCOPES")
DEFAULT_FILE = "bearergate.yaml"
MAX_FILE = 1_000_000  # bytes
INVALID = object()  # stands for a value that could not be read
TYPES = {
    "str": "a text",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "array": "a list",
    "list": "a list",
    "object": "keys and values",
    "dict": "keys and values",
    "null": "nothing",
}


class SettingsError(Exception):
    """The settings cannot be used; `problems` are sentences, each beginning with the key to change."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: str | Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of a file and the environment; the environment wins, key by key.

    Without a path, `BEARERGATE_FILE` or `bearergate.yaml` is read if it is there. `BEARERGATE_<KEY>` is read as YAML,
    so lists and mappings can be given too. The variables `COGNITO_REGION`, `COGNITO_USER_POOL_ID`,
    `COGNITO_ALLOWED_CLIENT_IDS` and `COGNITO_REQUIRED_SCOPES` describe one issuer.

    Raises:
        SettingsError: with every problem there is.
    """
    values, problems = values_of(path, environment or {})
    return parse(values, problems)


def values_of(path: str | Path | None, environment: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The plain values of a file and the environment, for `parse`, and what is wrong with them already."""
    named = path or environment.get(FILE) or ""
    values = read_file(named, required=bool(named))
    problems: list[str] = []
    add_environment(values, environment, problems)
    add_cognito(values, environment, problems)
    if not (named or values.keys() & {"public_url", "issuers"} or Path(DEFAULT_FILE).exists()):
        problems.append(f"{DEFAULT_FILE}: not in this folder; create it, or name another file with --file")
    return values, problems


def parse(values: Mapping[str, Any], problems: list[str] | None = None) -> Settings:
    """Settings from plain values, as YAML or JSON gives them; raises `SettingsError` with every problem."""
    problems = problems if problems is not None else []
    settings = convert(dict(values), Settings, "", problems)
    if isinstance(settings, Settings):  # what could be read is judged too, so that one round shows everything
        problems += problems_of(settings)
        if not problems:
            return settings
    raise SettingsError(problems)


def read_file(path: str | Path, *, required: bool) -> dict[str, Any]:
    """The mapping a YAML file holds; an absent file that nobody named is an empty one."""
    file = Path(path or DEFAULT_FILE)
    try:
        if file.stat().st_size > MAX_FILE:
            raise SettingsError([f"{file}: larger than {MAX_FILE} bytes, so hardly a settings file"])
        text = file.read_text("utf-8")
    except FileNotFoundError:
        if not required:
            return {}
        raise SettingsError([f"{file}: no such file; create it or name another one"]) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise SettingsError([f"{file}: cannot be read ({why}); check its permissions, or name another one"]) from None
    values = read_yaml(text, str(file))
    if not isinstance(values, dict | None):
        raise SettingsError([f"{file}: must hold keys and values, such as `public_url: https://mcp.example.com`"])
    return {str(key): value for key, value in (values or {}).items()}


def read_yaml(text: str, where: str) -> Any:
    """What a YAML text says; `where` names it in the sentence about what is wrong with it."""
    import yaml  # noqa: PLC0415 - settings from the environment alone need no YAML parser

    try:
        return yaml.load(text, yaml_loader())  # noqa: S506 - it is a safe one
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError([f"{where}: not valid YAML{line} ({error.problem})"]) from None
    except RecursionError:
        raise SettingsError([f"{where}: nested too deeply"]) from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:
        # PyYAML raises whatever Python does at a number that is none, or a tag on a value of another kind.
        raise SettingsError([f"{where}: not valid YAML ({' '.join(str(error).split())})"]) from None


@cache
def yaml_loader() -> type[yaml.SafeLoader]:
    """A loader that reads words as YAML 1.2 does: `off`, `no` and dates are texts, only true and false are not."""
    import yaml  # noqa: PLC0415 - see above

    class Loader(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
            """A mapping whose keys are all different (YAML 1.2 §3.2.1.3): of two, one would be lost unseen."""
            node = super().compose_mapping_node(anchor)
            seen: set[str] = set()
            for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
                if key.value in seen:
                    twice = f"{key.value} is there twice; keep one"
                    raise yaml.MarkedYAMLError(problem=twice, problem_mark=key.start_mark)
                seen.add(key.value)
            return node

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":timestamp"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    words = re.compile("(true|True|TRUE|false|False|FALSE)$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", words, list("tTfF"))
    return Loader


def add_environment(values: dict[str, Any], environment: Mapping[str, str], problems: list[str]) -> None:
    """Put every `BEARERGATE_<KEY>` over the file's value; a name that is no key is a problem."""
    keys = {field.upper(): field for field in Settings.__struct_fields__}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == FILE or variable.startswith(OF_TOOLS):
            continue
        name = variable.removeprefix(PREFIX)
        if name not in keys:
            problems.append(f"{variable}: not a setting{suggestion(name, keys, PREFIX)}")
            continue
        try:
            values[keys[name]] = read_yaml(text, variable)
        except SettingsError as error:
            problems += error.problems


def add_cognito(values: dict[str, Any], environment: Mapping[str, str], problems: list[str]) -> None:
    """Put the issuer that `COGNITO_*` variables describe, if any, where no issuer is given otherwise."""
    if "issuers" in values or not any(environment.get(variable) for variable in OF_COGNITO):
        return
    pool = environment.get("COGNITO_USER_POOL_ID", "")
    if POOL.fullmatch(pool) is None:
        problems.append(f"COGNITO_USER_POOL_ID: {pool!r} must be the id of a user pool, such as us-east-1_Ab1Cd2Ef3")
        return
    region = environment.get("COGNITO_REGION") or pool.partition("_")[0]
    scopes = words(environment.get("COGNITO_REQUIRED_SCOPES", ""))
    servers = {scope.rpartition("/")[0] for scope in scopes if "/" in scope}
    issuer: dict[str, Any] = {"issuer": pool_issuer(region, pool)}
    if clients := words(environment.get("COGNITO_ALLOWED_CLIENT_IDS", "")):
        issuer["client_ids"] = clients
    if len(servers) == 1:
        issuer["resource_server"] = servers.pop()
    values["issuers"] = [issuer]
    if scopes and "resources" not in values:
        values["resources"] = [{"scopes": scopes}]


def pool_issuer(region: str, pool: str) -> str:
    """The issuer that a Cognito user pool is."""
    china = ".cn" if region.startswith("cn-") else ""
    return f"https://cognito-idp.{region}.amazonaws.com{china}/{pool}"


def words(text: str) -> list[str]:
    """The words of a list written with commas or blanks, as both are common in environment variables."""
    return text.replace(",", " ").split()


def convert(value: Any, kind: type[msgspec.Struct], where: str, problems: list[str]) -> msgspec.Struct | None:
    """A struct from plain values, each field by itself, so that one problem does not hide the next."""
    if not isinstance(value, dict):
        problems.append(f"{where.rstrip('.') or 'settings'}: must be {mapping(kind)}, not {plain(value)}")
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    problems += [f"{where}{key}: not a setting{suggestion(key, fields)}" for key in value if key not in fields]
    made: dict[str, Any] = {}
    for key, field in fields.items():
        if key in value:
            converted = convert_field(value[key], field.type, f"{where}{key}", problems)
            if converted is not INVALID:
                made[field.name] = converted
        elif field.required:
            problems.append(f"{where}{key}: missing. {description(field.type)}")
    complete = all(field.name in made or not field.required for field in fields.values())
    return kind(**made) if complete else None


def convert_field(value: Any, kind: Any, where: str, problems: list[str]) -> Any:
    """A field's value, or `INVALID`; lists of structs are gone through one by one."""
    bare = get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
    item = get_args(bare)[0] if get_origin(bare) is list else None
    if isinstance(item, type) and issubclass(item, msgspec.Struct):
        if not isinstance(value, list):
            problems.append(f"{where}: must be a list, not {plain(value)}")
            return INVALID
        entries = [convert(entry, item, f"{where}[{i}].", problems) for i, entry in enumerate(value)]
        return INVALID if None in entries else entries
    structs = (kind for kind in get_args(bare) if isinstance(kind, type) and issubclass(kind, msgspec.Struct))
    nested = next(structs, None)  # of `SomeSettings | None` and the like
    if nested is not None and isinstance(value, dict):
        made = convert(value, nested, f"{where}.", problems)
        return INVALID if made is None else made
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problems.append(f"{where}: {in_words(error, bare, value)}. {description(kind)}")
        return INVALID


def in_words(error: msgspec.ValidationError, kind: Any, value: Any) -> str:
    """What is wrong with a value of a kind, without the names of Python's types."""
    options = " or ".join(choices(kind))
    if options and get_origin(kind) is not dict:
        word = isinstance(value, str) and get_origin(kind) is Literal  # elsewhere a text may be a secret
        return f"must be {options}, not {repr(value) if word else plain(value)}"
    text = str(error).replace(" - at ", " at ").replace("`$", "`")
    text = re.sub(r"`([^`]+)`", lambda kinds: " or ".join(TYPES.get(k, k) for k in kinds[1].split(" | ")), text)
    text = text.replace("Expected ", "must be ").replace(", got ", ", not ")
    text = text.replace("Invalid enum value ", f"must be {options}, not ")
    return re.sub(r" at (\[\.\.\.\])+", " under one of its keys", text)


def choices(kind: Any) -> list[str]:
    """What a value may be, where it is one of a few words, or keys and values of its own."""
    if get_origin(kind) is Literal:
        return [word for word in get_args(kind) if word]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [mapping(kind)]
    return [choice for inner in get_args(kind) for choice in choices(inner)]


def mapping(kind: type[msgspec.Struct]) -> str:
    """What is written for a struct, with the first key that it cannot be without."""
    required = (field.encode_name for field in msgspec.structs.fields(kind) if field.required)
    return " such as ".join(["keys and values", *(f"`{key}: …`" for key in list(required)[:1])])


def description(kind: Any) -> str:
    """The sentence a field is declared with."""
    return next((meta.description for meta in getattr(kind, "__metadata__", ()) if meta.description), "")


def suggestion(key: object, known: Mapping[str, Any], prefix: str = "") -> str:
    """What the writer of an unknown key may have meant."""
    import difflib  # noqa: PLC0415 - settings without a mistake do not need it

    near = difflib.get_close_matches(str(key), known, 1)
    return f"; did you mean {prefix}{near[0]}?" if near else "; see docs/settings.md for those there are"


def plain(value: Any) -> str:
    """The kind of a value in the words of YAML."""
    return TYPES.get("null" if value is None else type(value).__name__, "something else")
