"""What a Bedrock report over half a million records costs: `python -m tests.benchmarks.bedrock`.

CPU and memory are this process's own; the AWS that answers runs in another. Idle is a server whose tools are loaded and
that has made no report yet, so that boto3 is part of the first; memory is the highest while a report is made.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mcp import Client
from mcp.server.mcpserver import MCPServer

RECORDS = 500_000
DAYS = 20
TOOL = "get_bedrock_usage_report"
INSIGHTS_SECONDS, INSIGHTS_MIB = 2.0, 60
EVENTS_SECONDS, EVENTS_MIB = 30.0, 60


def main() -> None:
    """Print a table, or serve what it is measured against."""
    if sys.argv[1:] == ["cloud"]:
        serve()
        return
    for name, figure, budget in asyncio.run(measure()):
        print(f"{name:<52}  {figure:>16}  {budget}")


def serve() -> None:
    """An AWS with half a million records, until its input ends; says where it is and how many requests it holds."""
    from tests.tools.bedrock.cloud import LOG_GROUP, Cloud, serving  # noqa: PLC0415 - the other process needs none of it
    from tests.tools.bedrock.records import log_of  # noqa: PLC0415

    cloud = Cloud()
    cloud.logs[LOG_GROUP], expected = log_of(RECORDS, days=DAYS)
    with serving(cloud):
        print(cloud.url, expected.by["total", ""]["total_tokens"], flush=True)
        for line in sys.stdin:
            if line.strip() == "deny":
                cloud.fail("StartQuery", "AccessDeniedException")
            print("done", flush=True)


async def measure() -> list[tuple[str, str, str]]:
    """Rows of the table: what, figure, budget."""
    with other_process() as other:
        assert other.stdin
        assert other.stdout
        url, tokens = other.stdout.readline().split()
        async with client(url) as made:
            by_query = await report(made, int(tokens))
            other.stdin.write("deny\n")
            other.stdin.flush()
            other.stdout.readline()
            by_event = await report(made, int(tokens))
        other.stdin.close()
    return [
        (f"Logs Insights, {RECORDS:,} records: own CPU", f"{by_query[0]:.2f} s", f"must {INSIGHTS_SECONDS} s"),
        (f"Logs Insights, {RECORDS:,} records: above idle", f"{by_query[1]:.0f} MiB", f"must {INSIGHTS_MIB} MiB"),
        (f"FilterLogEvents, {RECORDS:,} records: from end to end", f"{by_event[2]:.1f} s", f"must {EVENTS_SECONDS} s"),
        (f"FilterLogEvents, {RECORDS:,} records: own CPU", f"{by_event[0]:.1f} s", ""),
        (
            f"FilterLogEvents, {RECORDS:,} records: above idle",
            f"{by_event[1]:.0f} MiB",
            f"bounded: must {EVENTS_MIB} MiB",
        ),
    ]


def other_process() -> subprocess.Popen[str]:
    """The AWS that is asked."""
    command = [sys.executable, "-m", "tests.benchmarks.bedrock", "cloud"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Client]:
    """A client of the tools, in front of this AWS."""
    os.environ |= {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    from tests.tools.bedrock.records import NOW  # noqa: PLC0415 - after the environment
    from tools.bedrock import prices  # noqa: PLC0415
    from tools.bedrock.aws import Aws  # noqa: PLC0415
    from tools.bedrock.reports import Reports  # noqa: PLC0415
    from tools.bedrock.server import register_reports  # noqa: PLC0415
    from tools.bedrock.settings import Settings  # noqa: PLC0415

    server = MCPServer("bedrock", log_level="ERROR")
    register_reports(server, Reports(Settings(), prices.load(None), Aws(), now=lambda: NOW))
    async with Client(server) as made:
        yield made


async def report(made: Client, tokens: int) -> tuple[float, float, float]:
    """CPU seconds, MiB above what was there before, and seconds of one report."""
    gc.collect()
    before = resident()
    forget_peak()
    cpu, clock = time.process_time(), time.perf_counter()
    result = await made.call_tool(TOOL, {"days": DAYS})
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    assert result.structured_content, result.content
    assert result.structured_content["totals"]["total_tokens"] == tokens
    return cpu, (peak() - before) / 1024**2, clock


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def forget_peak() -> None:
    """Begin to count the highest memory anew (proc_pid_clear_refs(5))."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """The highest memory since, in bytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
