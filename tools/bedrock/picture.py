"""A stacked bar chart of days and models as a PNG image, for hosts that cannot draw one themselves."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ImageContent

from tools.bedrock.usage import OTHERS

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

WIDTH, HEIGHT = 1200, 640
LEFT, RIGHT, TOP, BOTTOM = 96, 330, 72, 64  # margins of the plot; the legend is on the right
APART = 8  # models with a colour of their own
# Okabe and Ito's colours, which people tell apart who see few; then grey for all others.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a900", "#5e4fa2", "#8a8f98")
INK, FAINT, PAPER = "#1c2330", "#d9dde3", "#ffffff"
STEPS = (1, 2, 2.5, 5, 10)  # between lines of the grid, times a power of ten
LINES = 5  # at most
SMALLEST = 1e-9  # that is not as good as nothing
LETTERS = 36  # of a name in the legend


@dataclass(frozen=True)
class Chart:
    """What to draw: a figure for each day and model."""

    title: str
    unit: str
    figures: Mapping[tuple[str, str], float]  # by day, as 2026-11-21, and model

    def days(self) -> list[str]:
        """Every day from the first to the last, also those without calls."""
        present = sorted({day for day, _ in self.figures})
        if not present:
            return []
        first, last = date.fromisoformat(present[0]), date.fromisoformat(present[-1])
        return [(first + timedelta(days=more)).isoformat() for more in range((last - first).days + 1)]

    def ranked(self) -> list[str]:
        """The models, largest first; all others last, however large."""
        sums: dict[str, float] = {}
        for (_, model), figure in self.figures.items():
            sums[model] = sums.get(model, 0) + figure
        return sorted(sums, key=lambda model: (model == OTHERS, -sums[model], model))

    def folded(self) -> Chart:
        """The same with few enough models to tell apart."""
        apart = set(self.ranked()[:APART])
        figures: dict[tuple[str, str], float] = {}
        for (day, model), figure in self.figures.items():
            name = model if model in apart else OTHERS
            figures[day, name] = figures.get((day, name), 0) + max(figure, 0)
        return Chart(self.title, self.unit, figures)


def drawn(chart: Chart) -> ImageContent:
    """The chart as image content.

    Raises:
        ToolError: Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - only who asks for a picture needs it
    except ImportError:
        raise ToolError("This server lacks Pillow for charts: install it with pip install 'bearergate[aws]'.") from None
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    _Drawing(ImageDraw.Draw(image), ImageFont.load_default(22), ImageFont.load_default(15), chart.folded()).all()
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return ImageContent(data=base64.b64encode(written.getvalue()).decode(), mime_type="image/png")


def scale_of(largest: float) -> tuple[int, float]:
    """How many lines the grid has above its base, and the step from one to the next."""
    if largest < SMALLEST:
        return 1, 1
    power = 10.0 ** math.floor(math.log10(largest / LINES))
    step = next(step * power for step in STEPS if step * power * LINES >= largest)
    return math.ceil(largest / step), step


def short(figure: float) -> str:
    """A figure for an axis: 1.5M, 20k, 0.25."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if figure >= size:
            return f"{figure / size:.4g}{letter}"
    return f"{figure:.3g}"


@dataclass(frozen=True)
class _Drawing:
    draw: ImageDraw
    large: FreeTypeFont | ImageFont
    small: FreeTypeFont | ImageFont
    chart: Chart

    def all(self) -> None:
        self.draw.text((LEFT, 24), self.chart.title, INK, self.large)
        days, models = self.chart.days(), self.chart.ranked()
        if not days:
            self.draw.text((WIDTH / 2, HEIGHT / 2), "No calls in this time.", INK, self.large, anchor="mm")
            return
        sums = [sum(self.chart.figures.get((day, model), 0) for model in models) for day in days]
        top = self.grid(max(sums))
        colours = {
            model: COLOURS[-1] if model == OTHERS else COLOURS[rank % APART] for rank, model in enumerate(models)
        }
        for left, right, day in self.places(days):
            self.bar(left, right, top, [(self.chart.figures.get((day, model), 0), colours[model]) for model in models])
        self.dates(days)
        self.legend(colours)

    def grid(self, largest: float) -> float:
        lines, step = scale_of(largest)
        top = lines * step
        for line in range(lines + 1):
            height = self.height(line * step, top)
            self.draw.line((LEFT, height, WIDTH - RIGHT, height), FAINT if line else INK)
            self.draw.text((LEFT - 10, height), short(line * step), INK, self.small, anchor="rm")
        self.draw.text((LEFT - 10, TOP - 22), self.chart.unit, INK, self.small, anchor="rm")
        return top

    def height(self, figure: float, top: float) -> float:
        return HEIGHT - BOTTOM - figure / top * (HEIGHT - TOP - BOTTOM)

    def places(self, days: list[str]) -> Iterator[tuple[float, float, str]]:
        """Where the bar of each day begins and ends."""
        each = (WIDTH - LEFT - RIGHT) / len(days)
        for number, day in enumerate(days):
            middle = LEFT + (number + 0.5) * each
            half = min(each * 0.38, 40)
            yield middle - half, middle + half, day

    def bar(self, left: float, right: float, top: float, parts: list[tuple[float, str]]) -> None:
        below = 0.0
        for figure, colour in parts:
            if figure > 0:
                box = (left, self.height(below + figure, top), max(right, left + 1), self.height(below, top))
                self.draw.rectangle(box, colour)
            below += figure

    def dates(self, days: list[str]) -> None:
        """As many dates as have room."""
        every = -(-len(days) // 10)
        for number, (left, right, day) in enumerate(self.places(days)):
            if number % every == 0:
                self.draw.text(((left + right) / 2, HEIGHT - BOTTOM + 12), day[5:], INK, self.small, anchor="mt")
        self.draw.text((LEFT, HEIGHT - 14), f"{days[0]} to {days[-1]}, days in UTC", INK, self.small, anchor="lb")

    def legend(self, colours: Mapping[str, str]) -> None:
        for number, (model, colour) in enumerate(colours.items()):
            top, left = TOP + number * 28, WIDTH - RIGHT + 24
            self.draw.rectangle((left, top, left + 14, top + 14), colour)
            name = model if len(model) <= LETTERS else f"{model[: LETTERS - 1]}…"
            self.draw.text((left + 22, top + 7), name, INK, self.small, anchor="lm")
