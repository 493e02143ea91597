"""Breaks one check of the gate at a time, in a copy, and reports whether the attacks notice. Run by hand:

    python -m tests.attacks.mutations --count 30 --seed 7

The tree it is started in is only read. A mutation that survives is a check that nothing here guards.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("gateway", "discovery", "conformance", "deploy", "tools", "tests", "pyproject.toml")
PATIENCE = 180  # seconds for one run; a gate that hangs is noticed, too


class Mutation(NamedTuple):
    """One passage of one file, and what it becomes."""

    file: str
    old: str
    new: str


VERIFIER, KEYS, APP = "gateway/verifier.py", "gateway/keys.py", "gateway/app.py"
AUTHENTICATE, OPERATION, POLICY = "gateway/authenticate.py", "gateway/operation.py", "gateway/policy.py"
ORIGIN, REFUSE, HTTP1 = "gateway/origin.py", "gateway/refuse.py", "deploy/http1.py"
SIGNATURE, BODY, REMEMBERED = "gateway/signature.py", "gateway/body.py", "gateway/verified_tokens.py"

MUTATIONS = [
    Mutation(VERIFIER, "if not key.signed(signing_input, decode_base64url(signature)):", "if False:"),
    Mutation(VERIFIER, "        check_token_use(claims, issuer)\n", ""),
    Mutation(VERIFIER, "        check_times(claims, self.now(), self.leeway)\n", ""),
    Mutation(VERIFIER, "        check_audience(claims, self.audiences, issuer)\n", ""),
    Mutation(VERIFIER, "        check_unbound(claims)\n", ""),
    Mutation(VERIFIER, "        check_kind(header, issuer)\n", ""),
    Mutation(REMEMBERED, "if now < entry[0]:", "if True:"),
    Mutation(REMEMBERED, "min(principal.expires_at, now + self.seconds)", "now + self.seconds"),
    Mutation(REMEMBERED, "if len(self._young) >= self.half:", "if False:"),
    Mutation(VERIFIER, "if len(token) > MAX_TOKEN:", "if False:"),
    Mutation(VERIFIER, 'maketrans(b"-_+/=", b"+/!!!")', 'maketrans(b"-_+/", b"+/!!")'),
    Mutation(VERIFIER, 'maketrans(b"-_+/=", b"+/!!!")', 'maketrans(b"-_=", b"+/!")'),
    Mutation(VERIFIER, "strict_mode=True)", "strict_mode=False)"),
    Mutation(VERIFIER, "if len(segment) % 4 and binascii", "if False and binascii"),
    Mutation(VERIFIER, "        json.loads(document.decode(), object_pairs_hook=_no_duplicates)\n", ""),
    Mutation(VERIFIER, "if not (header.crit is header.b64 is header.zip is msgspec.UNSET):", "if header.crit:"),
    Mutation(VERIFIER, "if header.kid is not None and len(header.kid) > MAX_NAME:", "if False:"),
    Mutation(VERIFIER, "object_pairs_hook=_no_duplicates, parse_constant=_no_constant", "parse_constant=_no_constant"),
    Mutation(VERIFIER, "kind in PLAIN_TYPES and not issuer.at_jwt", "kind in PLAIN_TYPES"),
    Mutation(
        VERIFIER, "if header.alg not in issuer.keys.algorithms:", "if header.alg.upper() not in issuer.keys.algorithms:"
    ),
    Mutation(VERIFIER, 'None if issuer.cognito else "access"', '"access"'),
    Mutation(VERIFIER, "if expires + leeway <= now:", "if expires + leeway < now:"),
    Mutation(VERIFIER, "if expires + leeway <= now:", "if expires + 2 * leeway <= now:"),
    Mutation(VERIFIER, 'for claim in ("nbf", "iat"):', 'for claim in ("nbf",):'),
    Mutation(VERIFIER, "type(value) not in (int, float)", "not isinstance(value, (int, float))"),
    Mutation(VERIFIER, "0 <= value < END_OF_TIME", "value < END_OF_TIME"),
    Mutation(VERIFIER, "0 <= value < END_OF_TIME", "0 <= value"),
    Mutation(VERIFIER, "if audiences.isdisjoint(values):", "if audiences.isdisjoint(v.rstrip('/') for v in values):"),
    Mutation(
        VERIFIER, "if audiences.isdisjoint(values):", "if not any(v.startswith(a) for v in values for a in audiences):"
    ),
    Mutation(VERIFIER, "if not issuer.client_ids:", "if False:"),
    Mutation(VERIFIER, "client not in issuer.client_ids", "client == ''"),
    Mutation(VERIFIER, "return server + slash == prefix and", "return scope.startswith(prefix) and"),
    Mutation(VERIFIER, 'and own != ""', ""),
    Mutation(VERIFIER, "or not value.isprintable()", ""),
    Mutation(VERIFIER, "or len(value) > MAX_NAME or", "or"),
    Mutation(VERIFIER, 'granted.split(" ")', "granted.split()"),
    Mutation(KEYS, '"d" not in entry', "True"),
    Mutation(KEYS, 'entry.get("use", "sig") == "sig"', "True"),
    Mutation(KEYS, 'entry.get("alg", algorithm) == algorithm', "True"),
    Mutation(SIGNATURE, "key.key_size < MIN_RSA_BITS", "False"),
    Mutation(SIGNATURE, "if len(signature) != 2 * length:", "if False:"),
    Mutation(SIGNATURE, 'rstrip(b"=") != encoded:', 'rstrip(b"=") == b"":'),
    Mutation(KEYS, "if len(fitting) == 1:", "if True:"),
    Mutation(KEYS, "self._flight is None and self._now() - self._asked >= COOLDOWN", "self._flight is None"),
    Mutation(KEYS, "await asyncio.shield(self._flight)", "await self._flight"),
    Mutation(KEYS, "if age >= STALE or", "if"),
    Mutation(KEYS, "(age >= FRESH and not self._failure)", "False"),
    Mutation(KEYS, "if self._failure or not self.usable:", "if False:"),
    Mutation(
        KEYS,
        "keys.setdefault((kid, algorithm), key)",
        "keys.setdefault((kid, algorithm), key); keys[None, algorithm] = key",
    ),
    Mutation(KEYS, 'entry.get("crv", curve) == curve', "True"),
    Mutation(KEYS, "if isinstance(kid, str):", "if True:"),
    Mutation(KEYS, "self._fetched, self._failure = keys, self._now(), ", "self._fetched, self._failure = keys, 0.0, "),
    Mutation(AUTHENTICATE, "if len(headers) != len(fields):", "if False:"),
    Mutation(AUTHENTICATE, "if count > 1:", "if count > 2:"),
    Mutation(AUTHENTICATE, "        check_query(query)\n", "        pass\n"),
    Mutation(AUTHENTICATE, 'if scheme != b"Bearer" and scheme.lower() != b"bearer":', "if not scheme:"),
    Mutation(AUTHENTICATE, 'raise MalformedRequest("a form body', 'print("a form body'),
    Mutation(OPERATION, "if not 0 < len(messages) <= MAX_BATCH:", "if not 0 < len(messages):"),
    Mutation(
        OPERATION,
        "[_operation(bytes(message)) for message in messages]",
        "[_operation(bytes(message)) for message in messages[:1]]",
    ),
    Mutation(OPERATION, 'if headers.get(b"mcp-method") != operation.method.encode():', "if False:"),
    Mutation(OPERATION, "if name != operation.targets[0].name:", "if name and name != operation.targets[0].name:"),
    Mutation(OPERATION, "if base64.b64encode(decoded) == encoded else None", ""),
    Mutation(BODY, "        if names.count(name) > 1:\n", "        if names.count(name) > 2:\n"),
    Mutation(OPERATION, "if reference.uri is not None or not named:", "if not named:"),
    Mutation(BODY, "if int(length) > limit:", "if int(length) > 2 * limit:"),
    Mutation(BODY, "        if size > limit:\n", "        if False:\n"),
    Mutation(
        POLICY,
        "if not self.implied(principal.scopes) >= needed:",
        "if self.implied(principal.scopes).isdisjoint(needed):",
    ),
    Mutation(POLICY, "                    _check_conditions(principal, rule, target)\n", "                    pass\n"),
    Mutation(POLICY, "pattern.fullmatch(name) for", "pattern.fullmatch(name.lower()) for"),
    Mutation(
        ORIGIN,
        "if host in self.hosts or (host and host.lower() in self.hosts):",
        "if host is None or host.split(b',')[0] in self.hosts:",
    ),
    Mutation(
        ORIGIN,
        "if origin in self.origins or origin.lower() in self.origins:",
        "if origin.startswith(tuple(self.origins)):",
    ),
    Mutation(ORIGIN, "if name in REQUEST_HEADERS or PARAMETER_HEADER.fullmatch(name)", "if name"),
    Mutation(APP, "app.router.redirect_slashes = False", "app.router.redirect_slashes = True"),
    Mutation(APP, "        self.admit(scope, principal)\n", '        scope["state"] = {"principal": principal}\n'),
    Mutation(
        APP,
        '            return method == "POST" or has_body(headers)\n',
        '            return method == "POST"\n',
    ),
    Mutation(APP, 'self.policy.check(principal, asked, scope["method"], revision)  # 403', "None"),
    Mutation(APP, '            self.origins.check_host(headers.get(b"host"))  # 421\n', ""),
    Mutation(APP, "                    check_mirrored(headers, asked)  # 400\n", ""),
    Mutation(REFUSE, '(b"cache-control", b"no-store")', '(b"cache-control", b"no-cache")'),
    Mutation(REFUSE, "if refusal.error is not None or isinstance(refusal, MissingToken):", "if True:"),
    Mutation(HTTP1, "        self._fields = None\n", ""),
    Mutation(HTTP1, "if self._unfinished > HEAD_BYTES:", "if False:"),
    Mutation(HTTP1, "self._head_bytes(fields) > HEAD_BYTES", "False"),
    Mutation(APP, 'value.strip(b" \\t")', "value"),
    Mutation(HTTP1, "if begins or self._progress or self._part is Part.BODY:", "if True:"),
    Mutation(HTTP1, "len(fields) > HEAD_FIELDS", "False"),
    Mutation(HTTP1, "        else:\n            self.transport.abort()\n", ""),
    Mutation(HTTP1, "if len(self._waiting) >= PIPELINED:", "if False:"),
    Mutation(HTTP1, "        if self.paused:\n            self._since", "        if False:\n            self._since"),
    Mutation(HTTP1, " and not parser.should_upgrade()", ""),
]


def main() -> None:
    """Run some of the mutations, chosen by the seed, and print what became of them."""
    parser = argparse.ArgumentParser("python -m tests.attacks.mutations", description=__doc__)
    parser.add_argument("--count", type=int, default=len(MUTATIONS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="just those whose old text has this in it")
    parser.add_argument("tests", nargs="*", default=["tests/attacks"])
    given = parser.parse_args()
    mutations = [mutation for mutation in MUTATIONS if given.only in mutation.old]
    chosen = random.Random(given.seed).sample(mutations, min(given.count, len(mutations)))
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = Path(folder)
        copy_tree(copy)
        say("unchanged", "passed" if attacks_pass(copy, given.tests) else "FAILED: nothing below means anything")
        survived = [mutation for mutation in chosen if not killed(copy, mutation, given.tests)]
    say("total", f"{len(chosen) - len(survived)} of {len(chosen)} killed")


def copy_tree(copy: Path) -> None:
    """What the tests need, without what they leave behind."""
    assert ROOT not in copy.parents, "the copy must not be inside the tree"
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)


def killed(copy: Path, mutation: Mutation, tests: list[str]) -> bool:
    """Whether the attacks notice the mutation; the copy is afterwards as it was."""
    path = copy / mutation.file
    original = path.read_text("utf-8")
    if original.count(mutation.old) != 1:
        say("STALE", f"{mutation.file}: {mutation.old.strip()!r} is there {original.count(mutation.old)} times")
        return False
    path.write_text(original.replace(mutation.old, mutation.new), "utf-8")
    try:
        passed = attacks_pass(copy, tests)
    finally:
        path.write_text(original, "utf-8")
    say(
        "SURVIVED" if passed else "killed",
        f"{mutation.file}: {mutation.old.strip()} -> {mutation.new.strip() or 'nothing'}",
    )
    return not passed


def attacks_pass(copy: Path, tests: list[str]) -> bool:
    """Whether all attacks are withstood by the gate of the copy."""
    command = [sys.executable, "-B", "-m", "pytest", *tests, "-x", "-q", "-p", "no:cacheprovider"]
    try:
        return subprocess.run(command, cwd=copy, capture_output=True, timeout=PATIENCE, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def say(*columns: str) -> None:
    """One line of the table, at once."""
    sys.stdout.write("\t".join(columns) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
