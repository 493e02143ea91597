"""Reads WWW-Authenticate by the grammar of RFC 9110 §11.6.1, strictly, and says what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t\x20-\x7e\x80-\xff])*"'
_PARAM = re.compile(rf"({_WORD})[ \t]*=[ \t]*({_WORD}|{_QUOTED})[ \t]*(?=,|$)")
_SCHEME = re.compile(rf"({_WORD})(?:[ \t]+|(?=[ \t]*(?:,|$)))")
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*[ \t]*(?=,|$)")
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")  # RFC 6749 §3.3
TEXT = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*")  # RFC 6750 §3


@dataclass
class Challenge:
    """One challenge: a scheme and its parameters, whose names are in lower case and may be there twice."""

    scheme: str
    parameters: list[tuple[str, str]] = field(default_factory=list)
    quoted: set[str] = field(default_factory=set)  # the names of parameters that stood in quotes

    def get(self, name: str) -> str | None:
        """The first value of a parameter."""
        return next((value for key, value in self.parameters if key == name), None)

    @property
    def scopes(self) -> list[str]:
        """The scopes it names."""
        return (self.get("scope") or "").split()


def parse(fields: Iterable[str]) -> tuple[list[Challenge], list[str]]:
    """The challenges of all fields, and a sentence for everything that is not of the grammar."""
    found: list[Challenge] = []
    problems: list[str] = []
    for text in fields:
        rest, current = text.strip(), None
        while rest:
            rest = rest.lstrip(", \t")
            current, rest, problem = _next(current, rest)
            if current is not None and (not found or found[-1] is not current):
                found.append(current)
            if problem:
                problems.append(problem)
                break
    return found, problems


def _next(current: Challenge | None, rest: str) -> tuple[Challenge | None, str, str]:
    """Read one parameter, or the start of a challenge."""
    if not rest:
        return current, "", ""
    if current is not None and (match := _PARAM.match(rest)):
        name, value = match[1].lower(), match[2]
        if value.startswith('"'):
            current.quoted.add(name)
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        current.parameters.append((name, value))
        return current, rest[match.end() :], ""
    if (match := _SCHEME.match(rest)) is None:
        return current, "", f"{rest[:60]!r} is neither a parameter nor a scheme"
    after = rest[match.end() :]
    started = Challenge(match[1])
    if after and not after.startswith(",") and not _PARAM.match(after):
        if (token68 := _TOKEN68.match(after)) is None:
            return current, "", f"{after[:60]!r} is not name=value, nor is it in quotes where it has to be"
        after = after[token68.end() :]
    return started, after, ""


def bearer(fields: Iterable[str]) -> Challenge | None:
    """The first Bearer challenge of the fields."""
    return next((each for each in parse(fields)[0] if each.scheme.lower() == "bearer"), None)


def lint(fields: Iterable[str]) -> list[str]:
    """What is wrong with the challenges by RFC 9110 §11.6.1 and RFC 6750 §3, a sentence each."""
    found, problems = parse(fields)
    for each in found:
        names = [name for name, _ in each.parameters]
        problems += [f"{name} is there twice in one challenge" for name in sorted(set(names)) if names.count(name) > 1]
        if each.scheme.lower() == "bearer":
            problems += _lint_bearer(each)
    return problems


def _lint_bearer(each: Challenge) -> list[str]:
    problems = []
    if (scope := each.get("scope")) is not None and not SCOPE.fullmatch(scope):
        problems.append(f"scope {scope!r} is not words of the permitted characters with one blank between them")
    return problems + [
        f"{name} {text!r} holds a quote, a backslash or something that is not printable ASCII"
        for name in ("error", "error_description")
        if (text := each.get(name)) is not None and not TEXT.fullmatch(text)
    ]
