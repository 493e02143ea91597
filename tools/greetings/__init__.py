"""The first tools: greetings, once or several times over. What they need stands here, what they do in `server`."""

from __future__ import annotations

from tools.registry import Needs, Plugin

READ = ("greetings:read",)

plugin = Plugin(
    name="greetings",
    register="tools.greetings.server:register",
    needs=[
        Needs("tool", "greet", READ),
        Needs("tool", "multi-greet", ("greetings:many",)),
        Needs("prompt", "greeting-template", READ),
        Needs("resource", "greeting://resource", READ),
    ],
)
