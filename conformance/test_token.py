"""JWT: what an access token has to be (RFC 9068 §4, RFC 8725, RFC 7515, RFC 7519)."""

from __future__ import annotations

import secrets
import time

import pytest

from . import battery
from .battery import Made
from .control import ABSENT, FIRST, Control
from .plugin import Judge
from .requirements import requirement
from .target import Target
from .verdicts import needs_success, refused
from .wire import Answer

PINNED = "Take the algorithms from the settings, and use a key only for the algorithm it is published for."


def sent(target: Target, revision: str, control: Control, made: Made) -> Answer:
    """The answer to a token of the battery, after a good one was seen to work."""
    needs_success(target, revision)
    return target.caller(revision, made(control)).start()


@requirement("JWT-FMT-02")
def test_first_of_two_members_does_not_count(target: Target, judge: Judge, revision: str, control: Control) -> None:
    answer = sent(target, revision, control, battery.twice(wrong_first=False))
    refused(
        judge,
        answer,
        "A token with aud twice, first right and last wrong,",
        "Refuse tokens in which a name is there twice, or take the last.",
    )


@requirement("JWT-ALG-01")
@pytest.mark.parametrize("how", battery.NONE)
def test_unsigned_token_is_refused(target: Target, judge: Judge, revision: str, control: Control, how: str) -> None:
    refused(judge, sent(target, revision, control, battery.NONE[how]), f"A token of the algorithm {how}", PINNED)


@requirement("JWT-ALG-02")
@pytest.mark.parametrize("how", battery.MACS)
def test_public_key_is_no_secret(target: Target, judge: Judge, revision: str, control: Control, how: str) -> None:
    refused(
        judge,
        sent(target, revision, control, battery.MACS[how]),
        f"A token with an {how} of the issuer's public key as secret",
        PINNED,
    )


@requirement("JWT-ALG-03")
@pytest.mark.parametrize("how", battery.WRONG_ALGORITHM)
def test_key_serves_the_algorithm_it_is_published_for(
    target: Target, judge: Judge, revision: str, control: Control, how: str
) -> None:
    refused(judge, sent(target, revision, control, battery.WRONG_ALGORITHM[how]), f"A token of {how}", PINNED)


@requirement("JWT-ALG-04")
@pytest.mark.parametrize("how", battery.DEGENERATE)
def test_degenerate_signature_is_refused(
    target: Target, judge: Judge, revision: str, control: Control, how: str
) -> None:
    refused(
        judge,
        sent(target, revision, control, battery.DEGENERATE[how]),
        f"A token of {how}",
        "Let a library verify signatures, and check their length.",
    )


@requirement("JWT-ALG-05")
@pytest.mark.parametrize("how", battery.UNTRUSTED)
def test_signature_of_nobody_trusted_is_refused(
    target: Target, judge: Judge, revision: str, control: Control, how: str
) -> None:
    refused(
        judge,
        sent(target, revision, control, battery.UNTRUSTED[how]),
        f"A token with {how}",
        "Verify the signature with the issuer's published key of that kid.",
    )


@requirement("JWT-HDR-01")
@pytest.mark.parametrize("name", ["jwk", "x5c"])
def test_key_inside_the_token_is_not_trusted(
    target: Target, judge: Judge, revision: str, control: Control, name: str
) -> None:
    refused(
        judge,
        sent(target, revision, control, battery.embedded(name)),
        f"A token that brings its key along as {name}",
        "Never take keys from the token: only from the issuer's key set.",
    )


@requirement("JWT-HDR-01")
@pytest.mark.parametrize("name", ["jku", "x5u"])
def test_place_for_keys_inside_the_token_is_not_visited(
    target: Target, judge: Judge, control: Control, name: str
) -> None:
    path = f"/conformance-{name}-{secrets.token_hex(4)}"

    def made(control: Control) -> str:
        header = {name: control.issuer.url + path, "kid": f"at-{name}"}
        return control.token(header=header, key=battery.stranger_key())

    fix = "Ignore jku and x5u: keys come from the issuer's own key set."
    answer = sent(target, target.usual, control, made)
    refused(judge, answer, f"A token that names a place for its key as {name}", fix)
    judge.expect(path not in control.visits, f"The target fetched what {name} names.", answer, fix=fix)


@requirement("JWT-HDR-02")
@pytest.mark.parametrize("how", battery.CRITICAL)
def test_critical_header_that_is_not_understood_is_refused(
    target: Target, judge: Judge, revision: str, control: Control, how: str
) -> None:
    if how in ("an empty list", "null"):
        judge.soften("warned")  # RFC 7515 §4.1.11 forbids it to who makes tokens, and is silent about who reads them
    refused(
        judge,
        sent(target, revision, control, battery.CRITICAL[how]),
        f"A token whose crit is {how}",
        "Refuse every token with a crit header, unless its extension is implemented.",
    )


@requirement("JWT-TYP-01")
@pytest.mark.parametrize("how", battery.PLAIN_TYPES)
def test_token_of_a_profile_issuer_says_its_type(
    target: Target, judge: Judge, revision: str, control: Control, how: str
) -> None:
    judge.soften("warned")  # RFC 9068 binds resource servers that follow it, and MCP does not ask it of them
    answer = sent(target, revision, control, battery.PLAIN_TYPES[how])
    refused(
        judge,
        answer,
        f"A token with {how} as typ, of an issuer that follows RFC 9068,",
        "For issuers of the JWT access token profile take at+jwt and application/at+jwt alone.",
    )


@requirement("JWT-TYP-01")
@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_type_is_read_in_any_case_and_either_length(
    target: Target, judge: Judge, revision: str, control: Control, typ: str
) -> None:
    answer = target.caller(revision, control.token(header={"typ": typ})).start()
    judge.expect(
        answer.ok,
        f"A good token with typ {typ} is answered {answer.said()}.",
        answer,
        fix="Compare typ without regard to case, and with or without application/ (RFC 7515 §4.1.9).",
    )


@requirement("JWT-TYP-02")
@pytest.mark.parametrize("typ", battery.TYPES)
def test_token_of_another_kind_is_no_access_token(
    target: Target, judge: Judge, revision: str, control: Control, typ: str
) -> None:
    refused(
        judge,
        sent(target, revision, control, battery.header(typ=typ)),
        f"A token of the kind {typ}",
        "Refuse tokens whose typ names another kind of JWT, whatever the issuer.",
    )


@requirement("JWT-ISS-01")
@pytest.mark.parametrize("how", battery.ISSUERS)
def test_issuer_is_compared_to_the_letter(
    target: Target, judge: Judge, revision: str, control: Control, how: str
) -> None:
    refused(
        judge,
        sent(target, revision, control, battery.ISSUERS[how]),
        f"A token whose iss is {how}",
        "Compare iss as a string with the issuers that are configured.",
    )


@requirement("JWT-AUD-01")
@pytest.mark.parametrize("how", battery.AUDIENCES)
def test_token_for_another_resource_is_refused(
    target: Target, judge: Judge, revision: str, control: Control, how: str
) -> None:
    refused(
        judge,
        sent(target, revision, control, battery.AUDIENCES[how]),
        f"A token whose audience is {how}",
        "Require that aud holds this resource's identifier.",
    )


@requirement("JWT-AUD-02")
@pytest.mark.parametrize("how", battery.AUDIENCE_TYPES)
def test_audience_of_another_type_is_refused(
    target: Target, judge: Judge, revision: str, control: Control, how: str
) -> None:
    refused(
        judge,
        sent(target, revision, control, battery.AUDIENCE_TYPES[how]),
        f"A token whose aud is {how}",
        "Take aud as a string or a list of strings, and refuse everything else.",
    )


@requirement("JWT-AUD-02")
def test_audience_may_be_a_list_with_the_resource_in_it(
    target: Target, judge: Judge, revision: str, control: Control
) -> None:
    answer = target.caller(
        revision, control.token(claims={"aud": ["https://elsewhere.test", control.audience]})
    ).start()
    judge.expect(
        answer.ok,
        f"A token whose aud is a list with the resource in it is answered {answer.said()}.",
        answer,
        fix="Read aud as a string or as a list (RFC 7519 §4.1.3).",
    )


@requirement("JWT-AUD-03")
@pytest.mark.parametrize("how", battery.NEAR_AUDIENCES)
def test_audience_is_compared_as_a_whole(
    target: Target, judge: Judge, revision: str, control: Control, how: str
) -> None:
    refused(
        judge,
        sent(target, revision, control, battery.NEAR_AUDIENCES[how]),
        f"A token whose audience is the resource's, {how},",
        "Compare audiences for equality, never by prefix or substring.",
    )


@requirement("JWT-AUD-03")
def test_origin_is_no_audience_of_a_resource_with_a_path(
    target: Target, judge: Judge, revision: str, control: Control
) -> None:
    if target.origin == control.audience.rstrip("/"):
        pytest.skip("The resource is its origin.")
    answer = sent(target, revision, control, battery.claims(aud=target.origin))
    refused(
        judge,
        answer,
        "A token for the origin of the resource",
        "Compare audiences for equality: the origin may hold other resources.",
    )


@requirement("JWT-AUD-04")
def test_token_without_audience_is_refused(target: Target, judge: Judge, revision: str, control: Control) -> None:
    refused(
        judge,
        sent(target, revision, control, battery.claims(aud=ABSENT)),
        "A token without aud",
        "Refuse tokens that do not say for whom they are.",
    )


@requirement("JWT-AUD-06")
def test_token_of_another_resource_of_the_gateway_is_refused(target: Target, judge: Judge, control: Control) -> None:
    other = target.options.other_url
    if not other:
        pytest.skip("It needs a second resource of the same gateway: give --other-url.")
    answer = sent(target, target.usual, control, battery.claims(aud=other))
    refused(
        judge,
        answer,
        f"A token for {other}",
        "Give every public URL its own resource identifier, and compare aud with that of the URL called.",
    )
    judge.expect(
        target.found.metadata().get("resource") != other,
        "Both resources have the same identifier.",
        answer,
        fix="Publish metadata for each URL.",
    )


@requirement("JWT-AUD-07")
def test_metadata_and_challenge_spell_the_resource_alike(target: Target, judge: Judge, control: Control) -> None:
    said = {
        str(answer.json().get("resource"))
        for answer in target.found.documents.values()
        if answer.status == 200 and isinstance(answer.json(), dict)
    }
    judge.expect(
        len(said) <= 1,
        f"The resource is spelled in several ways: {', '.join(sorted(said))}.",
        next(iter(target.found.documents.values())),
        fix="Publish one spelling everywhere.",
    )
    judge.expect(
        not any(each.endswith("/") and each.rstrip("/") != target.origin for each in said),
        "The resource ends with a slash.",
        next(iter(target.found.documents.values())),
        fix="Leave the slash out (MCP Authorization, Canonical Server URI).",
    )


@requirement("JWT-USE-01")
@pytest.mark.parametrize("how", battery.PURPOSES)
def test_token_of_another_purpose_is_refused(
    target: Target, judge: Judge, revision: str, control: Control, how: str
) -> None:
    refused(
        judge,
        sent(target, revision, control, battery.PURPOSES[how]),
        f"{how[0].upper()}{how[1:]} sent as access token",
        "Check typ, aud and the use of a token, so that only access tokens pass.",
    )


@requirement("JWT-EXP-01")
@pytest.mark.parametrize("how", battery.EXPIRIES)
def test_token_without_a_sane_future_expiry_is_refused(
    target: Target, judge: Judge, revision: str, control: Control, how: str
) -> None:
    refused(
        judge,
        sent(target, revision, control, battery.EXPIRIES[how]),
        f"A token whose exp is {how}",
        "Require exp to be a number in the future, within a small leeway.",
    )


@requirement("JWT-EXP-01")
def test_expiry_with_a_fraction_is_accepted(target: Target, judge: Judge, control: Control) -> None:
    answer = target.caller(target.usual, control.token(claims={"exp": time.time() + 600.5})).start()
    judge.advise(
        answer.ok,
        f"A token whose exp has a fraction is answered {answer.said()}.",
        answer,
        fix="Read exp as a number (RFC 7519 §2, NumericDate).",
    )


@requirement("JWT-EXP-02")
@pytest.mark.parametrize(("name", "seconds"), [("exp", -600), ("nbf", 600)])
def test_leeway_is_small(
    target: Target, judge: Judge, *, revision: str, control: Control, name: str, seconds: int
) -> None:
    answer = sent(
        target,
        revision,
        control,
        lambda made: made.token(claims={name: int(time.time()) + seconds, "iat": int(time.time()) - 1200}),
    )
    refused(
        judge,
        answer,
        f"A token with {name} {abs(seconds)} s {'ago' if seconds < 0 else 'ahead'}",
        "Allow for a minute of clock difference at most, in exp, nbf and iat alike.",
    )


@requirement("JWT-EXP-02")
def test_token_from_the_future_is_refused(target: Target, judge: Judge, control: Control) -> None:
    now = int(time.time())
    answer = sent(target, target.usual, control, battery.claims(iat=now + 3600, exp=now + 7200))
    judge.advise(
        answer.status == 401,
        f"A token issued an hour from now is answered {answer.said()}.",
        answer,
        fix="Refuse tokens with iat in the future.",
    )


@requirement("JWT-SUB-01")
def test_token_without_a_subject_opens_nothing_of_a_person(target: Target, judge: Judge, control: Control) -> None:
    answer = sent(target, target.usual, control, battery.claims(sub=ABSENT))
    judge.inform(
        answer.status == 401,
        f"A token without sub is answered {answer.said()}: see that it is taken for its client, not for a person.",
        answer,
        fix="Refuse it, or key the principal by iss and client_id.",
    )
    judge.expect(
        0 < answer.status < 500,
        f"A token without sub is answered {answer.said()}.",
        answer,
        fix="Check that sub is there.",
    )


@requirement("JWT-CACHE-01")
def test_remembered_token_is_the_whole_token(target: Target, judge: Judge, control: Control) -> None:
    token = control.token()
    if not target.caller(target.usual, token).start().ok:
        pytest.skip("A good token is not accepted.")
    for changed in (
        token[:-8] + ("AAAAAAAA" if token[-8:] != "AAAAAAAA" else "BBBBBBBB"),
        token.rpartition(".")[0] + ".AAAA",
    ):
        answer = target.caller(target.usual, changed).start()
        refused(
            judge,
            answer,
            "A token that was just accepted, with another signature,",
            "Key the cache by the whole token, or by a digest of it.",
        )


def leeway(target: Target, control: Control) -> int:
    """The seconds after its expiry for which a token is accepted, to the second."""
    low, high = 0, 301
    while high - low > 1:
        middle = (low + high) // 2
        now = int(time.time())
        if target.caller(target.usual, control.token(claims={"exp": now - middle, "iat": now - 900})).start().ok:
            low = middle
        else:
            high = middle
    return low


def short_token(target: Target, control: Control, seconds: int, user: str = FIRST) -> str:
    """A token that the target accepts for so many seconds from now."""
    slack = leeway(target, control)
    if slack >= 299:
        pytest.skip("The target accepts tokens minutes after they have expired: JWT-EXP-02 judges that.")
    now = int(time.time())
    return control.token(user, claims={"exp": now - slack + seconds, "iat": now - 900})


@requirement("JWT-CACHE-01")
def test_remembered_token_dies_with_its_expiry(target: Target, judge: Judge, control: Control) -> None:
    caller = target.caller(target.usual, short_token(target, control, 3))
    if not caller.start().ok:
        pytest.skip("A token that is about to expire is not accepted.")
    ends = time.monotonic() + 5.5
    while time.monotonic() < ends and (answer := caller.start()).ok:
        time.sleep(0.2)
    refused(
        judge,
        answer,
        "A token in steady use, seconds after its expiry,",
        "Let what is remembered of a token end no later than its exp.",
    )
