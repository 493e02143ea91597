"""What Amazon Bedrock was used for and what that cost, from its invocation log and the bill. See docs/bedrock.md."""

from __future__ import annotations

from tools.registry import Needs, Plugin

plugin = Plugin(
    name="bedrock",
    register="tools.bedrock.server:register",
    needs=[
        Needs("tool", "get_bedrock_usage_report", ("bedrock:read",)),
        Needs("tool", "get_bedrock_spend_report", ("bedrock:spend",)),
        Needs("resource", "ui://bedrock/report.html"),  # a page without data: the figures come with an answer
    ],
)
