"""What stays when a stack is removed, in so many words, and the removal of a user pool where that was asked for."""

from __future__ import annotations

from typing import Any

from deploy.aws_access import refused


def kept_in_words(pool: str, *, delete: bool) -> str:
    """What happens to the user pool; packages stay in any case."""
    packages = "Packages in the bucket and images in ECR stay."
    if not pool:
        return f"{packages} No user pool was made here; one that existed before is not touched."
    if delete:
        return f"{packages} The user pool {pool} IS DELETED, with everybody in it; that cannot be undone."
    return (
        f"{packages} The user pool {pool} stays, with everybody in it and its domain; add --delete-user-pools to "
        f"delete it too. A later deployment uses it again with --kept-pool {pool}."
    )


def remove_pool(client: Any, pool: str) -> None:
    """Delete a pool, its domains first, as Cognito demands."""
    with refused():
        found = client.describe_user_pool(UserPoolId=pool)["UserPool"]
        for domain in filter(None, (found.get("Domain"), found.get("CustomDomain"))):
            client.delete_user_pool_domain(UserPoolId=pool, Domain=domain)
        client.delete_user_pool(UserPoolId=pool)
