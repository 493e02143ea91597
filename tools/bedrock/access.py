"""Who asks, and about which account: the settings name the accounts, the caller's groups decide among them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver.exceptions import ToolError

from tools.bedrock.settings import EVERYBODY, Account, Settings

SESSION_NAME = 64  # characters at most (STS AssumeRole, RoleSessionName)
_FOREIGN = re.compile(r"[^A-Za-z0-9_+=,.@-]")


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    name: str
    groups: frozenset[str]

    @property
    def session_name(self) -> str:
        """The name under which CloudTrail of another account shows the caller; no two callers share one."""
        plain = _FOREIGN.sub("-", self.name)
        if plain == self.name and 2 <= len(plain) <= SESSION_NAME:
            return plain
        mark = hashlib.sha256(self.name.encode()).hexdigest()[:12]
        return f"{plain[: SESSION_NAME - len(mark) - 1]}-{mark}"


def caller() -> Caller:
    """Who makes the present request; nobody in particular, without groups, where there is no gate in front."""
    token = get_access_token()
    if token is None:
        return Caller("nobody", frozenset())
    groups = (token.claims or {}).get("groups", ())
    return Caller(token.subject or token.client_id, frozenset(groups))


def account_for(settings: Settings, asked: str | None, caller: Caller) -> Account | None:
    """The account to ask AWS about; None is that of the server's credentials, which no setting is about.

    Raises:
        ToolError: the caller may not ask about it. It reads the same whether or not there is such an account.
    """
    allowed = [account for account in settings.accounts if _may_ask(caller, account)]
    if not asked:
        own = next((account for account in settings.accounts if account.role is None), None)
        if own is None or own in allowed:
            return own
        raise ToolError(f"Your groups do not let you ask about the account of this server: {_choice(allowed)}.")
    if not re.fullmatch("[0-9]{12}", asked):
        raise ToolError(f"An AWS account id has 12 digits, and {asked[:40]!r} has not: {_choice(allowed)}.")
    for account in allowed:
        if account.id == asked:
            return account
    raise ToolError(f"The account {asked} is not among those that you may ask about: {_choice(allowed)}.")


def _may_ask(caller: Caller, account: Account) -> bool:
    return EVERYBODY in account.groups or not caller.groups.isdisjoint(account.groups)


def _choice(allowed: list[Account]) -> str:
    if not allowed:
        return "leave aws_account_id out, or ask the operator to add one of your groups to the account"
    return f"choose {' or '.join(account.id for account in allowed)}"
