"""docs/growth.md: its charts and the table between its marks, from what bench/growth.json holds."""

from __future__ import annotations

import re
import statistics
from pathlib import Path
from typing import Any

from bdmta.traffic.chart import Axis, Series, line_chart, number_text

PAGE = Path(__file__).parents[1] / "docs" / "growth.md"
_MARKS = re.compile(r"(?s)<!-- growth: (\w+) -->.*?<!-- end -->")


def draw(kept: dict[str, Any], folder: Path) -> None:
    """Each part as `growth-PART.svg`."""
    from bench.growth import PARTS

    for name, found in kept.items():
        points = found["points"]
        names = list(dict.fromkeys(what for values in points.values() for what in values))
        series = [_series(points, what) for what in names]
        ticks = [(int(size), number_text(int(size))) for size in points]
        chart = line_chart(
            PARTS[name].title, Axis(PARTS[name].axis, is_log=True, ticks=ticks), Axis("", is_log=True), series,
            found["machine"].split(",")[0],
        )  # fmt: skip
        (folder / f"growth-{name}.svg").write_text(chart)


def write_page(kept: dict[str, Any]) -> None:
    """Put each part's table into the page where `<!-- growth: PART -->` stands."""
    PAGE.write_text(_MARKS.sub(lambda mark: section(mark[1], kept), PAGE.read_text()))


def _series(points: dict[str, dict[str, list[float]]], what: str) -> Series:
    rows = [(int(size), values[what]) for size, values in points.items() if what in values]
    return Series(
        what,
        [(size, max(0.001, statistics.median(values))) for size, values in rows],
        [(max(0.001, min(values)), max(0.001, max(values))) for _, values in rows],
    )


def section(name: str, kept: dict[str, Any]) -> str:
    from bench.growth import PARTS, times_a_decade

    """The chart and the table."""
    if name not in kept:
        return f"<!-- growth: {name} -->\nNot measured yet.\n<!-- end -->"
    points = kept[name]["points"]
    sizes = list(points)
    names = list(dict.fromkeys(what for values in points.values() for what in values))
    lines = [
        f"<!-- growth: {name} -->", f"![{PARTS[name].title}](growth-{name}.svg)", "",
        f"| {PARTS[name].axis} | " + " | ".join(number_text(int(size)) for size in sizes) + " | ten times as many |",
        "|---|" + "---|" * (len(sizes) + 1),
    ]  # fmt: skip
    for what in names:
        cells = [_cell(points[size].get(what)) for size in sizes]
        lines.append(f"| {what} | " + " | ".join(cells) + f" | x {times_a_decade(points, what):.2f} |")
    return "\n".join([*lines, "", f"_{kept[name]['machine']}; medians (least to most)._", "<!-- end -->"])


def _cell(values: list[float] | None) -> str:
    if not values:
        return ""
    middle = statistics.median(values)
    digits = 0 if middle >= 100 else 1 if middle >= 10 else 2
    spread = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{middle:.{digits}f}{spread}"
