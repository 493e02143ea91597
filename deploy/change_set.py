"""A change of a stack in words, for the person who is asked whether it may be applied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploy.stack import ChangeSet

VERBS = {"Add": "make", "Modify": "change", "Remove": "remove", "Import": "take over", "Dynamic": "perhaps change"}
PRECIOUS = ("AWS::Cognito::UserPool",)  # what people lose when it is replaced or removed


def in_words(change_set: ChangeSet) -> Iterator[str]:
    """A line for each resource, replacements last: they are what interrupts."""
    changes = [change["ResourceChange"] for change in change_set.changes if "ResourceChange" in change]
    for change in sorted(changes, key=lambda change: (interrupts(change), change["LogicalResourceId"])):
        yield line(change)


def interrupts(change: dict[str, Any]) -> bool:
    """Whether a resource goes, or is made anew."""
    return change["Action"] == "Remove" or change.get("Replacement") in ("True", "Conditional")


def line(change: dict[str, Any]) -> str:
    """One change: what, of which kind, and what that means."""
    what = f"  {VERBS.get(change['Action'], change['Action']):13} {change['LogicalResourceId']}"
    said = f"{what} ({change['ResourceType'].removeprefix('AWS::').replace('::', ' ')})"
    stays = "Retain" in change.get("PolicyAction", "")
    if change.get("Replacement") == "True":
        said += ": is made anew" if stays else ": is made anew, and the old one removed"
    elif change.get("Replacement") == "Conditional":
        said += ": may be made anew"
    elif change["Action"] == "Modify" and change.get("Scope"):
        said += f": its {', '.join(scope.lower() for scope in change['Scope'])}"
    if stays:
        said += " - what was there stays, and is no longer part of this stack"
    elif change["ResourceType"] in PRECIOUS and interrupts(change):
        said += " - THE PEOPLE IN IT WOULD BE LOST"
    return said
