"""Dated list prices, for an estimate where the bill cannot be read."""

from __future__ import annotations

from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from tools.bedrock.settings import SettingsError, decoded

if TYPE_CHECKING:  # whoever deploys reads prices too, and has no Pydantic
    from tools.bedrock.usage import Usage

BUNDLED = Path(__file__).with_name("prices.yaml")
PER = Decimal(1_000_000)  # tokens

Dollars = Annotated[str, msgspec.Meta(pattern=r"^\d+(\.\d+)?$")]  # a text: a binary fraction is not what it says


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a million tokens, in US dollars; without a cache price, cache tokens have none."""

    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    cache_write: Dollars | None = None

    def of(self, used: Usage) -> Decimal | None:
        """What the tokens cost; None if there are some that have no price."""
        parts = [(self.input, used.input_tokens), (self.output, used.completion_tokens)]
        parts += [(self.cache_read or "", used.cache_read_tokens), (self.cache_write or "", used.cache_write_tokens)]
        if any(tokens and not price for price, tokens in parts):
            return None
        return sum((Decimal(price) * tokens / PER for price, tokens in parts if price), Decimal(0))


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices by name of model, and the day they are of."""

    as_of: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d$")]
    models: dict[str, Price]

    def of(self, model: str) -> Price | None:
        """The first price whose name fits."""
        return next((price for name, price in self.models.items() if fnmatchcase(model, name)), None)


msgspec.json.Decoder(Prices)  # for the same reason as that of the settings


def load(file: str | None) -> Prices:
    """The bundled prices, behind those of a file of the operator; the day is that of the file if there is one.

    Raises:
        SettingsError: the file cannot be read.
    """
    bundled = _read(BUNDLED)
    if file is None:
        return bundled
    own = _read(Path(file))
    return Prices(
        own.as_of, own.models | {name: bundled.models[name] for name in bundled.models if name not in own.models}
    )


def _read(file: Path) -> Prices:
    prices = decoded(file, Prices)
    if prices is None:
        raise SettingsError(f"{file}: is empty; give it as_of and models, as docs/bedrock.md shows")
    return prices
