"""What a deployment ends with: where everything is, and lines to paste into clients."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping


def summary(parameters: Mapping[str, str], outputs: Mapping[str, str], api_key: str) -> Iterator[str]:
    """What was deployed, and how clients reach it."""
    bucket, key = parameters.get("CodeBucket", ""), parameters.get("CodeKey", "")
    yield "Deployment summary"
    yield f"  Image    {parameters['ImageUri']}" if parameters.get("ImageUri") else f"  Package  s3://{bucket}/{key}"
    yield f"  Role     {outputs.get('RoleArn', '')}"
    yield f"  Function {outputs.get('FunctionName', '')}"
    yield f"  API URL  {outputs.get('ApiUrl') or outputs.get('Origin', '')}"
    if api_key:
        yield f"  API key  {api_key}"
    if "DomainTarget" in outputs:
        yield f"  DNS      {parameters.get('DomainName', '')} is to be an alias of {outputs['DomainTarget']}"
    if "UserPoolId" in outputs:
        yield f"  Pool     {outputs['UserPoolId']}; add people there: nobody can sign up alone"
    yield ""
    yield from clients(parameters.get("FunctionName", "bearergate"), server_url(outputs))
    yield ""
    yield f"See from outside whether clients can log in:  bearergate doctor {server_url(outputs)}"


def server_url(outputs: Mapping[str, str]) -> str:
    """The URL that clients are given."""
    return f"{outputs.get('Origin', '').rstrip('/')}/{outputs.get('ResourcePath', 'mcp')}"


def clients(name: str, url: str) -> Iterator[str]:
    """Lines to paste, one client each."""
    code = json.dumps({"name": name, "type": "http", "url": url})
    yield "Paste into"
    yield f"  Claude Code  claude mcp add --transport http {name} {url}"
    yield f"  Claude       Settings, Connectors, Add custom connector: {url}"
    yield f"  VS Code      code --add-mcp '{code}'"
    yield f"  Cursor       {json.dumps({'mcpServers': {name: {'url': url}}})}"
    yield f"  Inspector    npx @modelcontextprotocol/inspector --transport http --server-url {url}"
    yield f"  our shell    bearergate shell {url}"
