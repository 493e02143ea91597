"""The verbs about AWS: `deploy`, `status`, `logs` and `destroy`. Each ends bad input in one sentence."""

from __future__ import annotations

import contextlib
import sys
import time
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from deploy.aws_options import deploy_options, name_option
from deploy.ending import Add, leave, missing

if TYPE_CHECKING:
    from deploy.stack import Stack


def add(command: Add) -> None:
    """Put the verbs on a command line."""
    deploy_options(command(deploy))
    shown, told, removed = command(status), command(logs), command(destroy)
    for each in (shown, told, removed):
        name_option(each)
    told.add_argument("--minutes", type=minutes, default=10, metavar="N", help="how far back (10)")
    told.add_argument("--follow", action="store_true", help="go on with what comes")
    removed.add_argument("--yes", action="store_true", help="do not ask")
    removed.add_argument("--delete-user-pools", action="store_true", help="delete the pool made here, and all in it")


def deploy(said: Namespace) -> None:
    """Deploy the gate to AWS Lambda, after showing what would change"""
    with ended():
        from deploy.aws_access import Aws
        from deploy.aws_options import parameters
        from deploy.deployment import Deployment

        chosen = parameters(said)
        Deployment(Aws(said.region, said.profile), said, chosen, agreed(said)).run()


def status(said: Namespace) -> None:
    """Say what is deployed on AWS, and where"""
    with ended():
        from deploy.summary import clients, server_url

        stack = stack_of(said)
        found = existing(stack)
        print(f"{stack.name}: {found['StackStatus']}")
        outputs = stack.outputs()
        for key, value in sorted(outputs.items()):
            print(f"  {key:14} {value}")
        if outputs.get("Origin"):
            print("\n".join(clients(stack.name, server_url(outputs))))


def logs(said: Namespace) -> None:
    """Show what the function on AWS wrote, and its authorizer"""
    with ended():
        from deploy.aws_access import Aws
        from deploy.log_events import LogEvents

        stack = stack_of(said)
        existing(stack)
        outputs = stack.outputs()
        groups = [outputs[name] for name in ("LogGroupName", "AuthorizerLogGroupName") if name in outputs]
        if not groups:
            leave(f"The stack {stack.name} has no log: its deployment did not succeed; see bearergate status")
        since = int((time.time() - 60 * said.minutes) * 1000)
        events = LogEvents(Aws(said.region, said.profile).client("logs"), groups, since)
        while True:
            for message in events.fresh():
                print(message, flush=True)
            if not said.follow:
                return
            time.sleep(2)


def destroy(said: Namespace) -> None:
    """Remove what was deployed to AWS; user pools stay unless told otherwise"""
    with ended():
        from deploy.aws_access import Aws, AwsRefused
        from deploy.removal import kept_in_words, remove_pool

        stack = stack_of(said)
        state = existing(stack)["StackStatus"]
        if state.endswith("_IN_PROGRESS") and state != "REVIEW_IN_PROGRESS":
            leave(f"Somebody is changing the stack {stack.name} ({state}): try again when that is over")
        pool = stack.outputs().get("UserPoolId", "")
        print(f"The stack {stack.name} would be removed, with its function, front door, role, log and secrets.")
        print(kept_in_words(pool, delete=said.delete_user_pools))
        if not agreed(said)(f"Remove {stack.name}?"):
            leave("Nothing was removed.")
        for event in stack.delete():
            print(f"  {event.status.lower():20} {event.resource} {event.reason}".rstrip())
        if pool and said.delete_user_pools:
            try:
                remove_pool(Aws(said.region, said.profile).client("cognito-idp"), pool)
            except AwsRefused as error:
                stays = f"the user pool {pool} is still there: delete it in the console"
                leave(f"{error}\n{stack.name} is removed, and {stays}")
            print(f"The user pool {pool} is deleted.")
        print(f"{stack.name} is removed.")


def minutes(text: str) -> int:
    """A number of minutes."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text} is no number of minutes: give 1 or more")
    return int(text)


def stack_of(said: Namespace) -> Stack:
    """The stack that options name; credentials are judged first."""
    from deploy.aws_access import Aws
    from deploy.aws_options import BadOption, name_problems
    from deploy.stack import Stack

    if problems := list(name_problems(said.function_name)):
        raise BadOption(problems[0])
    aws = Aws(said.region, said.profile)
    aws.account()
    return Stack(aws.client("cloudformation"), said.function_name)


def existing(stack: Stack) -> dict[str, Any]:
    """What AWS knows of a stack, which must be there."""
    found = stack.description()
    if not found:
        leave(f"There is no stack {stack.name} in this region: check --function-name and --region, or deploy it")
    return found


def agreed(said: Namespace) -> Callable[[str], bool]:
    """What asks before something changes."""

    def ask(question: str) -> bool:
        if said.yes:
            return True
        if not sys.stdin.isatty():
            leave("There is nobody to ask: add --yes if it is to be done")
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")

    return ask


@contextlib.contextmanager
def ended() -> Iterator[None]:
    """Ends the command with one sentence where the cause is no fault of ours."""
    from deploy.aws_access import AwsRefused
    from deploy.aws_options import BadOption
    from deploy.package import CannotPackage
    from gateway.sources import SettingsError

    try:
        yield
    except (AwsRefused, BadOption, CannotPackage, SettingsError) as error:
        leave(str(error))
    except ImportError as error:
        missing(error, "lambda")
    except KeyboardInterrupt:
        leave("Stopped; what AWS has begun goes on: see bearergate status")
