"""The tools that read and edit the library, and its templates as resources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field

from tools.prompts.library import Library
from tools.prompts.names import PREFIX, URI_PREFIX
from tools.prompts.refusals import Missing, Refusal, Unusable

TEMPLATE_URI = f"{URI_PREFIX}{{name}}"

MAX_PROBLEMS = 100  # that are told at once

READING = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITING = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
REMOVING = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)
FORM = (
    "A template is front matter between two lines of ---, in YAML: title, description and, if it has any, arguments, a "
    "list whose entries have name, type (string, integer, number, boolean or choice), description, choices and "
    r"default; and below it the text, in which {{name}} stands for the argument of that name and \{{ for two braces."
)

Name = Annotated[str, Field(description="The name of the prompt, with or without the prefix it has in the list.")]
Text = Annotated[str, Field(description=f"The whole template. {FORM}")]
Etag = Annotated[str, Field(description="The etag that read_prompt told, so that no change of others is overwritten.")]
VersionId = Annotated[str, Field(description="A version that list_prompt_versions told; without it, the present one.")]


class Source(BaseModel):
    """A template to read or edit."""

    name: str = Field(description="The name of the prompt in the library.")
    prompt: str = Field(description="Its name in the list of prompts.")
    etag: str = Field(description="What update_prompt and remove_prompt want to know.")
    version: str = Field(description="Its version; empty where the library keeps none.")
    template: str


class SavedPrompt(BaseModel):
    """What was written."""

    name: str = Field(description="The name of the prompt in the library.")
    prompt: str = Field(description="Its name in the list of prompts.")
    etag: str = Field(description="For the next update_prompt or remove_prompt.")
    version: str = Field(description="Its version; empty where the library keeps none.")


class PromptVersion(BaseModel):
    """One version of a prompt."""

    version: str = Field(description="For read_prompt.")
    etag: str
    written: datetime
    size: int = Field(description="In bytes.")
    latest: bool
    removed: bool = Field(description="Whether this is not a text but the removal of the prompt.")


class PromptVersions(BaseModel):
    """The versions of a prompt, the newest first."""

    name: str
    versions: list[PromptVersion]


class Problem(BaseModel):
    """A file that is no prompt."""

    name: str
    problem: str


class Report(BaseModel):
    """What the library holds, and what is wrong with it."""

    prompts: list[str]
    problems: list[Problem]


def put(library: Library, server: MCPServer) -> None:
    """Put the tools and the resource on a server."""
    tools = Tools(library)
    for name, title, hints, function in (
        ("read_prompt", "Read a prompt's template", READING, tools.read),
        ("list_prompt_versions", "List the versions of a prompt", READING, tools.versions),
        ("check_prompt_library", "Check the prompt library", READING, tools.check),
        ("create_prompt", "Create a prompt", WRITING, tools.create),
        ("update_prompt", "Update a prompt", WRITING, tools.update),
        ("remove_prompt", "Remove a prompt", REMOVING, tools.remove),
    ):
        server.tool(name, title=title, annotations=hints)(function)
    server.resource(
        TEMPLATE_URI,
        name="prompt-template",
        title="A prompt's template",
        description="The template of a prompt of the library, with its front matter.",
        mime_type="text/markdown",
    )(tools.resource)


@contextmanager
def refusals_told() -> Iterator[None]:
    """What the library refuses is the error of the tool, in its own sentence."""
    try:
        yield
    except Refusal as refusal:
        raise ToolError(str(refusal)) from None


class Tools:
    """What reads and edits the library."""

    def __init__(self, library: Library) -> None:
        self._library = library

    async def read(self, name: Name, version: VersionId = "") -> Source:
        """The template of a prompt with its front matter, and the etag that a change of it needs."""
        with refusals_told():
            stored = await self._library.source(name, version)
        short = name.removeprefix(PREFIX)
        text = stored.content.decode(errors="replace")
        return Source(name=short, prompt=PREFIX + short, etag=stored.etag, version=stored.version, template=text)

    async def versions(self, name: Name) -> PromptVersions:
        """The versions of a prompt, the newest first, also of one that was removed."""
        with refusals_told():
            found = await self._library.versions(name)
        versions = [
            PromptVersion(
                version=one.id,
                etag=one.etag,
                written=one.written,
                size=one.size,
                latest=one.latest,
                removed=one.removed,
            )
            for one in found
        ]
        return PromptVersions(name=name.removeprefix(PREFIX), versions=versions)

    async def check(self) -> Report:
        """Which prompts the library has, and which files in it are none and why; those are not listed."""
        with refusals_told():
            await self._library.look()
        problems = [Problem(name=name, problem=problem) for name, problem in sorted(self._library.problems.items())]
        if more := len(problems[MAX_PROBLEMS:]):
            rest = Problem(name="*", problem=f"There are {more} more files that are no prompts: see to these first.")
            problems[MAX_PROBLEMS:] = [rest]
        return Report(prompts=[PREFIX + name for name in self._library.templates], problems=problems)

    async def create(self, name: Name, template: Text) -> SavedPrompt:
        """Put a new prompt into the library; one that is there already is never overwritten."""
        with refusals_told():
            saved = await self._library.create(name, template)
        return _saved(name, saved.etag, saved.version)

    async def update(self, name: Name, template: Text, etag: Etag) -> SavedPrompt:
        """Replace the template of a prompt that was read before.

        If somebody else has changed it since, nothing is written, and the answer shows the change.
        """
        with refusals_told():
            saved = await self._library.update(name, template, etag)
        return _saved(name, saved.etag, saved.version)

    async def remove(self, name: Name, etag: Etag) -> str:
        """Remove a prompt that was read before; if somebody else has changed it since, it stays."""
        with refusals_told():
            await self._library.remove(name, etag)
        return f"{name.removeprefix(PREFIX)} is removed. list_prompt_versions tells which of its versions are kept."

    async def resource(self, name: str) -> str:
        """The template of a prompt."""
        try:
            return (await self._library.source(name)).content.decode(errors="replace")
        except (Missing, Unusable) as refusal:
            raise ResourceNotFoundError(str(refusal)) from None
        except Refusal as refusal:
            raise ResourceError(str(refusal)) from None


def _saved(name: str, etag: str, version: str) -> SavedPrompt:
    short = name.removeprefix(PREFIX)
    return SavedPrompt(name=short, prompt=PREFIX + short, etag=etag, version=version)
