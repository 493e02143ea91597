"""The PNG: looked at by its pixels."""

from __future__ import annotations

import base64
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from tests.official.node import ROOT
from tools.bedrock.picture import COLOURS, HEIGHT, LINES, WIDTH, Chart, drawn, scale_of, short
from tools.bedrock.usage import OTHERS

SCREENSHOTS = ROOT / "screenshots"


def image(chart: Chart) -> Image.Image:
    found = drawn(chart)
    assert found.mime_type == "image/png"
    return Image.open(io.BytesIO(base64.b64decode(found.data)))


def areas(picture: Image.Image) -> dict[str, int]:
    """Pixels of each colour of the bars."""
    counts = {colour: count for count, colour in picture.getcolors(1 << 20) or ()}
    return {name: counts.get(ImageColor.getrgb(name), 0) for name in COLOURS}


def test_areas_are_in_proportion() -> None:
    picture = image(
        Chart("t", "tokens", {("2026-11-01", "a"): 300.0, ("2026-11-03", "b"): 100.0, ("2026-11-03", "a"): 300.0})
    )
    SCREENSHOTS.mkdir(exist_ok=True)
    picture.save(SCREENSHOTS / "bedrock-chart.png")
    assert picture.size == (WIDTH, HEIGHT)
    found = areas(picture)
    assert found[COLOURS[0]] / found[COLOURS[1]] == pytest.approx(6, rel=0.05)


def test_many_models_have_few_colours() -> None:
    chart = Chart("t", "tokens", {("2026-11-01", f"m{number}"): 10.0 + number for number in range(30)})
    folded = chart.folded()
    assert folded.ranked() == [*(f"m{number}" for number in range(29, 21, -1)), OTHERS]
    assert folded.folded() == folded, "a report that counts some together already loses no further model"
    assert sum(folded.figures.values()) == sum(chart.figures.values())
    assert areas(image(chart))[COLOURS[-1]] > 0


def test_nothing_to_draw_is_said() -> None:
    assert sum(areas(image(Chart("t", "tokens", {}))).values()) == 0


def test_days_without_calls_keep_their_place() -> None:
    assert Chart("t", "u", {("2026-02-27", "a"): 1, ("2026-03-02", "a"): 1}).days() == [
        "2026-02-27",
        "2026-02-28",
        "2026-03-01",
        "2026-03-02",
    ]


def test_credits_and_zeros_are_no_bars() -> None:
    assert sum(areas(image(Chart("t", "USD", {("2026-11-01", "a"): -5.0, ("2026-11-02", "b"): 0.0}))).values()) < 1_000


def test_year_and_long_names_fit() -> None:
    figures = {(f"2026-{1 + number // 28:02}-{1 + number % 28:02}", "x" * 200): float(number) for number in range(330)}
    picture = image(Chart("t" * 300, "tokens", figures))
    assert picture.size == (WIDTH, HEIGHT)


@given(st.floats(0, 1e15, allow_nan=False))
def test_scale_holds_the_largest_and_is_not_mostly_empty(largest: float) -> None:
    lines, step = scale_of(largest)
    assert 1 <= lines <= LINES
    assert largest <= lines * step * (1 + 1e-9)
    assert largest < 1e-9 or largest >= (lines - 1) * step * (1 - 1e-9)


@pytest.mark.parametrize(("figure", "said"), [(0, "0"), (0.25, "0.25"), (20_000, "20k"), (1.5e6, "1.5M"), (2e9, "2G")])
def test_axis_is_short(figure: float, said: str) -> None:
    assert short(figure) == said
