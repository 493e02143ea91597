"""What a server answered, for a person: text as it is, structures as tables, pictures and sounds as files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    GetPromptResult,
    ImageContent,
    ReadResourceResult,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel

from client.files import save
from client.output import Output
from client.plain import line

MAX_ROWS = 5000  # of a table; longer ones are read as JSON
MAX_CELLS = 50_000


def show_call(result: CallToolResult, tool: str, output: Output) -> None:
    """The result of a tool; that it failed is for the caller to say."""
    if output.as_json:
        output.json(as_json(result))
        return
    if result.structured_content is not None and not _is_told(result.structured_content, result.content):
        show_structure(result.structured_content, output)
        told = [part for part in result.content if not _repeats(part, result.structured_content)]
    else:
        told = list(result.content)
    for part in told:
        show_part(part, tool, output)


def show_prompt(result: GetPromptResult, name: str, output: Output) -> None:
    """The messages of a prompt, each with its role."""
    if output.as_json:
        output.json(as_json(result))
        return
    for message in result.messages:
        output.text(f"[{message.role}]")
        show_part(message.content, name, output)


def show_resource(result: ReadResourceResult, output: Output) -> None:
    """The contents of a resource."""
    if output.as_json:
        output.json(as_json(result))
        return
    for contents in result.contents:
        _show_contents(contents, output)


def show_part(part: object, origin: str, output: Output) -> None:
    """One piece of content; what cannot be read on a terminal is saved, and its file named."""
    if isinstance(part, TextContent):
        output.text(part.text)
    elif isinstance(part, (ImageContent, AudioContent)):
        output.text(f"{part.type.capitalize()} saved: {save(part.data, part.mime_type, origin)}")
    elif isinstance(part, EmbeddedResource):
        _show_contents(part.resource, output)
    elif isinstance(part, ResourceLink):
        output.text(f"Resource: {part.uri} {part.description or part.name}")
    elif isinstance(part, BaseModel):
        output.text(json.dumps(as_json(part), indent=2, ensure_ascii=False))


def show_structure(value: Any, output: Output) -> None:
    """A structure as a table: records in rows, else names and values; other things as JSON."""
    if isinstance(value, dict) and len(value) == 1:
        (name, only), *_ = value.items()
        if _are_records(only):
            show_records(only, output, name)
            return
    if _are_records(value):
        show_records(value, output)
    elif isinstance(value, dict) and value and len(value) <= MAX_ROWS:
        show_members(value, output)
    else:
        output.text(json.dumps(value, indent=2, ensure_ascii=False))


def show_members(value: dict[str, Any], output: Output) -> None:
    """Names and values; where somebody looks, what has members of its own is shown in tables of its own."""
    apart = {name: each for name, each in value.items() if output.is_seen and (_are_records(each) or _is_flat(each))}
    if rest := {name: each for name, each in value.items() if name not in apart}:
        output.table(("name", "value"), rest.items())
    for name, each in apart.items():
        if isinstance(each, dict):
            output.table(("name", "value"), each.items(), name)
        else:
            show_records(each, output, name)


def show_records(records: Sequence[dict[str, Any]], output: Output, title: str = "") -> None:
    """Records under the names of their members."""
    columns = list(dict.fromkeys(name for record in records for name in record))
    if len(columns) * len(records) > MAX_CELLS:  # records that have little in common
        output.text(json.dumps(records, indent=2, ensure_ascii=False))
        return
    output.table(columns, [[record.get(name) for name in columns] for record in records], title)


def as_json(model: BaseModel) -> Any:
    """A message as it was on the wire."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def _show_contents(contents: object, output: Output) -> None:
    if isinstance(contents, TextResourceContents):
        output.text(contents.text)
    elif isinstance(contents, BlobResourceContents):
        kind = contents.mime_type or "application/octet-stream"
        output.text(f"{line(str(contents.uri))} saved: {save(contents.blob, kind, str(contents.uri))}")


def _are_records(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= MAX_ROWS
        and all(isinstance(each, dict) and each for each in value)
    )


def _is_flat(value: Any) -> bool:
    """Whether a value is an object whose members have none themselves."""
    return isinstance(value, dict) and bool(value) and not any(isinstance(x, (dict, list)) for x in value.values())


def _is_told(structure: Any, content: Sequence[object]) -> bool:
    """Whether the structure is only a wrapping of the text, as SDKs make for tools that return a string."""
    texts = [part.text for part in content if isinstance(part, TextContent)]
    return isinstance(structure, dict) and list(structure) == ["result"] and texts == [structure["result"]]


def _repeats(part: object, structure: Any) -> bool:
    """Whether a piece of content is the structure again, as JSON in text (MCP, Structured Content)."""
    if not isinstance(part, TextContent):
        return False
    try:
        return bool(json.loads(part.text) == structure or [json.loads(part.text)] == list(structure.values()))
    except (ValueError, RecursionError, AttributeError):
        return False
