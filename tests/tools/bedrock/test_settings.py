"""Settings of the Bedrock tools: a file, and two variables; what cannot be meant is said at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.bedrock import prices
from tools.bedrock.settings import Account, Settings, SettingsError, load

ROLE = "arn:aws:iam::444455556666:role/Reader"
OWN = "accounts:\n- {id: '111122223333', groups: [platform]}\n"
OTHER = f"accounts:\n- {{id: '444455556666', groups: [finance], role: '{ROLE}', external_id: an-id}}\n"


def test_nothing_set_is_the_own_account_for_all(tmp_path: Path) -> None:
    assert load({}, tmp_path) == Settings()


def test_file_beside_is_read(tmp_path: Path) -> None:
    (tmp_path / "bedrock.yaml").write_text(OTHER)
    assert load({}, tmp_path).accounts == (Account("444455556666", ("finance",), ROLE, "an-id"),)


def test_file_that_the_environment_names_is_read_and_names_of_files_are_beside_it(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "own.yaml").write_text("prices: prices.yaml\n")
    found = load({"BEARERGATE_BEDROCK_SETTINGS": "x/own.yaml"}, tmp_path)
    assert found.prices == str(tmp_path / "x" / "prices.yaml")


def test_empty_file_sets_nothing(tmp_path: Path) -> None:
    (tmp_path / "bedrock.yaml").write_text("# later\n")
    assert load({}, tmp_path) == Settings()


@pytest.mark.parametrize(("text", "sample"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_sample_is_a_switch(tmp_path: Path, text: str, sample: bool) -> None:
    (tmp_path / "bedrock.yaml").write_text("sample: true\n")
    assert load({"BEARERGATE_BEDROCK_SAMPLE": text}, tmp_path).sample is sample
    assert load({}, tmp_path).sample


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("acounts: []", "unknown field `acounts`", id="misspelt"),
        pytest.param("accounts: [", "bedrock.yaml", id="no YAML"),
        pytest.param("accounts: [{id: 444455556666, groups: [a]}]", "put it in quotes", id="a number for an id"),
        pytest.param("sample: 2026-99-99", "month must be in 1..12", id="a day that is none"),
        pytest.param("sample: !!timestamp x", "has no attribute", id="a tag that does not fit"),
        pytest.param("accounts: [{id: '12', groups: [a]}]", "matching regex", id="an id of two digits"),
        pytest.param("accounts: [{id: '111122223333'}]", "missing required field `groups`", id="no groups"),
        pytest.param("accounts: [{id: '111122223333', groups: []}]", "length >= 1", id="groups of nobody"),
        pytest.param(OTHER.replace(", external_id: an-id", ""), "needs both role and external_id", id="no external id"),
        pytest.param(OTHER.replace(f", role: '{ROLE}'", ""), "needs both role and external_id", id="no role"),
        pytest.param(OTHER.replace("::444455556666:", "::1:"), "matching regex", id="a role that is none"),
        pytest.param(OTHER.replace("::444455556666:", "::111122223333:"), "role of another account", id="strange role"),
        pytest.param(OWN + OWN.removeprefix("accounts:\n"), "is there twice", id="twice"),
        pytest.param(
            OWN + OWN.removeprefix("accounts:\n").replace("1111", "2222"), "two accounts have no role", id="two own"
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bedrock.yaml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        load({}, tmp_path)
    assert said in str(refused.value)
    assert "bedrock.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load({"BEARERGATE_BEDROCK_SETTINGS": "nowhere.yaml"}, tmp_path)


def test_role_that_the_environment_names_adds_its_account(tmp_path: Path) -> None:
    named = {"BEARERGATE_BEDROCK_ROLE": ROLE, "BEARERGATE_BEDROCK_EXTERNAL_ID": "an-id"}
    added = Account("444455556666", ("*",), ROLE, "an-id")
    assert load(named, tmp_path).accounts == (added,)
    (tmp_path / "bedrock.yaml").write_text(OWN)
    assert load(named, tmp_path).accounts == (Account("111122223333", ("platform",)), added)
    assert load({"BEARERGATE_BEDROCK_ROLE": ""}, tmp_path).accounts == (Account("111122223333", ("platform",)),)


@pytest.mark.parametrize(
    ("role", "external_id", "said"),
    [
        pytest.param("reader", "an-id", "must be arn:aws:iam::ACCOUNT:role/NAME", id="no role"),
        pytest.param(ROLE, "", "with BEARERGATE_BEDROCK_EXTERNAL_ID beside it", id="no external id"),
        pytest.param(ROLE, "an-id", "account 444455556666 is there twice; leave one", id="named in the file too"),
    ],
)
def test_role_of_the_environment_that_cannot_be_meant_is_refused(
    tmp_path: Path, role: str, external_id: str, said: str
) -> None:
    (tmp_path / "bedrock.yaml").write_text(OTHER)
    with pytest.raises(SettingsError, match="BEARERGATE_BEDROCK_ROLE: ") as refused:
        load({"BEARERGATE_BEDROCK_ROLE": role, "BEARERGATE_BEDROCK_EXTERNAL_ID": external_id}, tmp_path)
    assert said in str(refused.value)


def test_switch_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="must be 1 or 0, not 'maybe'"):
        load({"BEARERGATE_BEDROCK_SAMPLE": "maybe"}, tmp_path)


class TestPrices:
    def test_bundled_ones_are_dated(self) -> None:
        assert prices.load(None).as_of == "2025-12-01"

    def test_more_specific_names_come_first(self) -> None:
        names = list(prices.load(None).models)
        for number, name in enumerate(names):
            earlier = names[:number]
            assert prices.load(None).of(name.replace("*", "x")) is not None
            assert not any(name.startswith(one.rstrip("*")) for one in earlier), f"{name} would never be reached"

    @pytest.mark.parametrize(
        "model", ["claude-opus-4-6-v1", "claude-sonnet-4-6", "claude-sonnet-5", "nova-2-lite-v1:0"]
    )
    def test_model_that_came_later_has_no_price_of_an_earlier_one(self, model: str) -> None:
        assert prices.load(None).of(model) is None

    def test_own_ones_stand_before_the_bundled_ones_whose_order_stays(self, tmp_path: Path) -> None:
        (tmp_path / "p.yaml").write_text('as_of: "2026-01-01"\nmodels: {own: {input: "1", output: "1"}}\n')
        assert list(prices.load(str(tmp_path / "p.yaml")).models) == ["own", *prices.load(None).models]

    def test_file_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="cannot be read"):
            prices.load(str(tmp_path / "nowhere.yaml"))

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            pytest.param(
                'as_of: "2026-01-01"\nmodels: {a: {input: "-1", output: "1"}}', "matching regex", id="negative"
            ),
            pytest.param('as_of: "2026-01-01"\nmodels: {a: {input: "1"}}', "required field `output`", id="a half"),
            pytest.param('as_of: "2026-01-01"\nmodels: {a: {input: 1, output: 1}}', "in quotes", id="a number"),
            pytest.param('as_of: "2026-01-01"\nmodels: {a: x}', "Expected `object`", id="a text"),
            pytest.param("as_of: 2026-01-01\nmodels: {}", "put it in quotes", id="a date"),
            pytest.param("# later", "is empty; give it as_of and models", id="empty"),
        ],
    )
    def test_price_that_is_none_is_refused(self, tmp_path: Path, text: str, said: str) -> None:
        (tmp_path / "p.yaml").write_text(text)
        with pytest.raises(SettingsError, match=r"p\.yaml") as refused:
            prices.load(str(tmp_path / "p.yaml"))
        assert said in str(refused.value)
