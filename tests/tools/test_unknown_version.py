"""A header that names no revision is a 400 whatever the verb (TRN-VER-01), and ends nothing."""

from __future__ import annotations

import pytest

from tests.tools.front import MODERN, fronted, open_session, request
from tools.server import app


@pytest.mark.parametrize("version", ["1999-01-01", "abc", "", "2025-11-25, 2025-11-25"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_version_that_no_revision_has_is_a_400(method: str, version: str) -> None:
    async with fronted(app([])) as http:
        session = await open_session(http, "2025-11-25")
        assert (await session.send(method, mcp_protocol_version=version)).status_code == 400
        assert (await session.post(request("ping"))).status_code == 200


@pytest.mark.parametrize(("method", "version"), [("GET", MODERN), ("DELETE", MODERN), ("PUT", MODERN), ("PUT", "abc")])
async def test_verb_that_a_revision_does_not_have_is_a_405(method: str, version: str) -> None:
    async with fronted(app([])) as http:
        session = await open_session(http, "2025-11-25")
        refused = await session.send(method, mcp_protocol_version=version)
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
