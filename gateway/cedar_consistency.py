"""What the settings of Cedar policies and of forward-auth must mean together; every problem names its key."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from gateway.settings import CedarSettings, ResourceSettings


def cedar_problems(where: str, resource: ResourceSettings) -> Iterator[str]:
    """What is wrong with the policies of a resource, and with asking a proxy's questions about them."""
    if resource.cedar is not None:
        yield from _policies(f"{where}cedar", resource.cedar)
    if resource.forward_auth == "head" and (resource.rules or resource.cedar):
        yield (
            f"{where}forward_auth: with `head` nobody sees what a request calls, which rules and cedar ask; use `body` "
            "and a proxy that sends it, or leave rules and cedar out"
        )


def _policies(where: str, cedar: CedarSettings) -> Iterator[str]:
    if bool(cedar.file) == bool(cedar.policies):
        yield f"{where}: give file or policies, one of the two"
        return
    kinds: dict[str, str] = {}
    for name, kind in chain.from_iterable(declared.items() for declared in cedar.arguments.values()):
        if kinds.setdefault(name, kind) != kind:
            yield f"{where}.arguments: {name} is {kinds[name]} and {kind}; a name has one type in all policies"
    try:
        from gateway.cedar_policies import problems_of  # noqa: PLC0415 - a gate without policies does not load Cedar
    except ImportError:
        yield f"{where}: needs cedarpy, which is not installed: pip install 'bearergate[policies]'"
        return
    yield from (f"{where}: {problem}" for problem in problems_of(cedar))
