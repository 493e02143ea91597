"""Clients of AWS: boto3, imported when first needed, each call in a thread and each error one sentence.

boto3 ships no types, so what it returns is Any here and gets its type where it is read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import anyio.to_thread
from mcp.server.mcpserver.exceptions import ToolError

from tools.bedrock.access import Caller
from tools.bedrock.refusals import RENEWABLE, of_aws, of_botocore
from tools.bedrock.settings import Account

if TYPE_CHECKING:
    from boto3.session import Session

ATTEMPTS = 5  # at one call, the first included; botocore waits up to 1, 2, 4 and 8 seconds in between
CONNECT_SECONDS = 5
READ_SECONDS = 60
ROLE_SECONDS = 3600  # that an assumed role lasts; as long as a query may take

Answer = dict[str, Any]


class Service(Protocol):
    """One service of AWS in one region, as one account."""

    async def call(self, operation: str, **arguments: Any) -> Answer:
        """What the operation answers; its name and arguments are boto3's. Raises `Refused`."""
        ...


class Services(Protocol):
    """Where services come from: AWS, or the bundled sample."""

    sample: bool

    async def regions(self) -> Sequence[str]:
        """Every region that there is."""
        ...

    async def service(self, name: str, region: str, account: Account | None, caller: Caller) -> Service:
        """A service as an account, whose role is assumed if it has one. Raises `Refused`."""
        ...


class BotoService:
    """A service of AWS by boto3."""

    def __init__(self, client: Any, region: str, forget: Callable[[], None]) -> None:
        self._client = client
        self._region = region
        self._forget = forget

    async def call(self, operation: str, **arguments: Any) -> Answer:
        """What the operation answers. Raises `Refused`."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - with boto3, when first needed

        names = self._client.meta.method_to_api_mapping
        action = f"{self._client.meta.service_model.signing_name}:{names[operation]}"
        try:
            answer: Answer = await anyio.to_thread.run_sync(partial(getattr(self._client, operation), **arguments))
        except ClientError as error:
            detail = error.response.get("Error", {})
            refused = of_aws(detail.get("Code", "an error"), detail.get("Message", ""), action, self._region)
        except BotoCoreError as error:
            refused = of_botocore(type(error).__name__, action, self._region)
        else:
            return answer
        if refused.code in RENEWABLE:
            await anyio.to_thread.run_sync(self._forget)
        raise refused


class Aws:
    """AWS itself; `session` makes the boto3 session, whose credentials are the server's own."""

    sample = False

    def __init__(self, session: Callable[[], Session] | None = None, attempts: int = ATTEMPTS) -> None:
        self._make = session
        self._attempts = attempts
        self._session: Session | None = None
        self._clients: dict[tuple[str, str], Any] = {}  # with the server's own credentials
        self._lock = threading.Lock()  # a session is not to be used by two threads at once

    async def regions(self) -> Sequence[str]:
        """Every region of every partition that botocore knows."""
        return await anyio.to_thread.run_sync(self._regions)

    async def service(self, name: str, region: str, account: Account | None, caller: Caller) -> Service:
        """A service with the server's own credentials, or with those of the account's role."""
        credentials = {}
        if account is not None and account.role is not None:
            credentials = await self._assume(account, region, caller)
        client = await anyio.to_thread.run_sync(self._client, name, region, credentials)
        return BotoService(client, region, self._forget)

    async def _assume(self, account: Account, region: str, caller: Caller) -> dict[str, str]:
        sts = await self.service("sts", region, None, caller)
        answer = await sts.call(
            "assume_role",
            RoleArn=account.role,
            RoleSessionName=caller.session_name,
            ExternalId=account.external_id,
            DurationSeconds=ROLE_SECONDS,
        )
        given = answer["Credentials"]
        return {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    def _forget(self) -> None:
        """Look for credentials anew at the next call: a session keeps those that it has found."""
        with self._lock:
            self._session = None
            self._clients.clear()

    def _client(self, name: str, region: str, credentials: dict[str, str]) -> Any:
        with self._lock:
            if credentials:
                return self._new_client(name, region, credentials)
            if (name, region) not in self._clients:
                self._clients[name, region] = self._new_client(name, region, {})
            return self._clients[name, region]

    def _new_client(self, name: str, region: str, credentials: dict[str, str]) -> Any:
        session = self._opened()
        from botocore.config import Config  # noqa: PLC0415 - with boto3, when first needed
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": self._attempts},
        )
        try:
            return session.client(name, region_name=region, config=config, **credentials)
        except (BotoCoreError, ValueError) as error:  # the latter for an endpoint of the environment that is none
            raise of_botocore(type(error).__name__, name, region) from None

    def _regions(self) -> Sequence[str]:
        with self._lock:
            session = self._opened()
            partitions = session.get_available_partitions()
            return [region for name in partitions for region in session.get_available_regions("logs", name)]

    def _opened(self) -> Session:
        """The session; made within the lock, so that there is one."""
        if self._session is None:
            try:
                import boto3  # noqa: PLC0415 - a tenth of a second that only a call needs
            except ImportError:
                raise ToolError("This server lacks boto3: install it with pip install 'bearergate[aws]'.") from None
            from botocore.exceptions import BotoCoreError  # noqa: PLC0415

            try:
                self._session = (self._make or boto3.session.Session)()
            except BotoCoreError as error:
                raise of_botocore(type(error).__name__, "any service", "any region") from None
        return self._session
