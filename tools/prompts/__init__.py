"""A library of prompts that people share: templates in S3 or a folder, as MCP prompts. See docs/prompts.md."""

from __future__ import annotations

from tools.prompts.names import PREFIX, URI_PREFIX
from tools.registry import Needs, Plugin

READ = ("prompts:read",)
WRITE = ("prompts:read", "prompts:write")  # who edits is shown what others wrote

plugin = Plugin(
    name="prompts",
    register="tools.prompts.server:register",
    needs=[
        Needs("prompt", f"{PREFIX}*", READ, dynamic=True),
        Needs("resource", f"{URI_PREFIX}*", READ),
        Needs("tool", "read_prompt", READ),
        Needs("tool", "list_prompt_versions", READ),
        Needs("tool", "check_prompt_library", READ),
        Needs("tool", "create_prompt", WRITE),
        Needs("tool", "update_prompt", WRITE),
        Needs("tool", "remove_prompt", WRITE),
    ],
)
