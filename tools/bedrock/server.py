"""The Bedrock tools on an MCP server, and the page that draws their answers in hosts with MCP Apps."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import anyio.to_thread
from mcp.server.apps import APP_MIME_TYPE
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resources import TextResource
from mcp.types import CallToolResult, ContentBlock, TextContent, ToolAnnotations
from pydantic import BaseModel, Field

from tools.bedrock import prices, settings, spend, usage
from tools.bedrock.access import caller
from tools.bedrock.aws import Aws, Services
from tools.bedrock.picture import Chart, drawn
from tools.bedrock.reports import MAX_DAYS, Asked, Reports
from tools.bedrock.sample import Sample
from tools.bedrock.spend import SpendReport
from tools.bedrock.usage import UsageReport

PAGE = Path(__file__).with_name("report.html")
PAGE_URI = "ui://bedrock/report.html"
REGION = "us-east-1"
LOG_GROUP = "/aws/bedrock/modelinvocations"
READS = ToolAnnotations(read_only_hint=True, open_world_hint=True)

# The bounds are said to the client, and kept by the report, whose refusal is one sentence.
Days = Annotated[
    int,
    Field(description="How many days back.", json_schema_extra={"minimum": 1, "maximum": MAX_DAYS}),
]
Region = Annotated[str, Field(description="The AWS region whose log is read.")]
LogGroup = Annotated[str, Field(description="The log group that Bedrock's model invocation logging writes to.")]
AccountId = Annotated[str | None, Field(description="Another AWS account, of those that the caller may ask about.")]
WithChart = Annotated[bool, Field(description="Add a chart as a PNG image.")]


def register(server: MCPServer) -> None:
    """Put the tools on a server, with the settings of the environment.

    Raises:
        SettingsError: the settings cannot be used.
    """
    chosen = settings.load(os.environ)
    services: Services = Sample() if chosen.sample else Aws()
    register_reports(server, Reports(chosen, prices.load(chosen.prices), services))


def register_reports(server: MCPServer, reports: Reports) -> None:
    """Put the tools on a server that make these reports."""

    async def get_bedrock_usage_report(  # noqa: PLR0917 - a client gives them by name
        ctx: Context,
        region: Region = REGION,
        log_group_name: LogGroup = LOG_GROUP,
        days: Days = 1,
        aws_account_id: AccountId = None,
        chart: WithChart = False,
    ) -> Annotated[CallToolResult, UsageReport]:
        """Requests and tokens of Amazon Bedrock by day, region, model and user, from its invocation log."""
        asked = Asked(region, log_group_name, days, aws_account_id, caller())
        report = await reports.usage(asked, Steps(ctx).say)
        return await _result(report, usage.text(report), usage.notes(report), chart=chart)

    async def get_bedrock_spend_report(  # noqa: PLR0917 - a client gives them by name
        ctx: Context,
        days: Days = 30,
        aws_account_id: AccountId = None,
        region: Region = REGION,
        log_group_name: LogGroup = LOG_GROUP,
        chart: WithChart = False,
    ) -> Annotated[CallToolResult, SpendReport]:
        """What Amazon Bedrock cost by day and model: the bill, or an estimate from the invocation log of a region."""
        asked = Asked(region, log_group_name, days, aws_account_id, caller())
        report = await reports.spend(asked, Steps(ctx).say)
        return await _result(report, spend.text(report), spend.notes(report), chart=chart)

    _add_tool(server, get_bedrock_usage_report, "Bedrock usage")
    _add_tool(server, get_bedrock_spend_report, "Bedrock spend")
    _add_page(server)


def _add_tool(server: MCPServer, function: Callable[..., Any], title: str) -> None:
    server.add_tool(function, title=title, annotations=READS, meta={"ui": {"resourceUri": PAGE_URI}})


def _add_page(server: MCPServer) -> None:
    server.add_resource(
        TextResource(
            uri=PAGE_URI,
            name="bedrock-report",
            title="Bedrock report",
            description="Draws a Bedrock usage or spend report as a chart.",
            mime_type=APP_MIME_TYPE,
            meta={"ui": {"csp": {}, "prefersBorder": True}},  # no domain at all: the page needs no network
            text=PAGE.read_text("utf-8"),
        )
    )


class Steps:
    """Progress of one call: each step is told to the client that asked to be."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._step = 0

    async def say(self, message: str) -> None:
        """Tell one step; how many there will be, nobody knows."""
        self._step += 1
        await self._ctx.report_progress(self._step, message=message)


async def _result(report: UsageReport | SpendReport, text: str, notes: str, *, chart: bool) -> CallToolResult:
    content: list[ContentBlock] = [TextContent(text=text), TextContent(text=notes)]
    if chart:
        content.append(await anyio.to_thread.run_sync(drawn, _chart(report)))
    return CallToolResult(content=content, structured_content=_plain(report))


def _plain(report: BaseModel) -> dict[str, Any]:
    return report.model_dump(mode="json")


def _chart(report: UsageReport | SpendReport) -> Chart:
    label = "SAMPLE DATA - " if report.sample else ""
    if isinstance(report, UsageReport):
        parts = {(part.date, part.model): float(part.total_tokens) for part in report.daily_models}
        title = f"{label}Bedrock tokens by day and model, {report.region}, past {report.days} days"
        return Chart(title, "tokens", parts)
    estimated = "estimated " if report.estimated else ""
    costs = {(part.date, part.model): part.amount for part in report.daily_models}
    title = f"{label}Bedrock {estimated}spend by day and model, past {report.days} days"
    return Chart(title, report.currency, costs)
