"""Line charts as SVG: two axes, linear or logarithmic, a line a series. The same numbers give the same octets.

About a hundred lines of our own rather than a library of ten megabytes: docs/decisions/0026 tells why.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

_COLOURS = ("#1f5fa8", "#c8501e", "#2f8a4c", "#8a4fa0", "#8a6d00", "#b0305c", "#3d7f8f", "#555555")
_WIDTH, _HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 32, 76, 52
_LABEL_PX = 6.2


@dataclass(frozen=True)
class Series:
    """A line: its name and its points. `spread`: the least and the most at each point, drawn as bars."""

    name: str
    points: Sequence[tuple[float, float]]
    spread: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Axis:
    """A scale. `ticks` are chosen when empty; from `least` (None: from the numbers; a logarithmic axis has no 0)."""

    title: str
    is_log: bool = False
    ticks: Sequence[tuple[float, str]] = ()
    least: float | None = None


def line_chart(title: str, x: Axis, y: Axis, series: Sequence[Series], note: str = "") -> str:
    """The SVG document. Series without points are left out; ValueError when none is left."""
    shown = [one for one in series if one.points]
    if not shown:
        raise ValueError("a chart needs at least one point")
    xs = [point[0] for one in shown for point in one.points]
    ys = [point[1] for one in shown for point in one.points] + [v for one in shown for pair in one.spread for v in pair]
    x_ticks, y_ticks = x.ticks or _ticks(xs, x), y.ticks or _ticks(ys, y)
    x_at = _scale([*xs, *(at for at, _ in x_ticks)], x, _LEFT, _WIDTH - _RIGHT)
    y_at = _scale([*ys, *(at for at, _ in y_ticks)], y, _HEIGHT - _BOTTOM, _TOP)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    out += _grid(x, y, x_ticks, y_ticks, x_at, y_at)
    for number, one in enumerate(shown):
        out += _drawn(one, _COLOURS[number % len(_COLOURS)], x_at, y_at)
    out += _legend(shown)
    if note:
        out.append(
            f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 8}" text-anchor="end" fill="#777" font-size="11">'
            f"{escape(note)}</text>"
        )
    return "\n".join([*out, "</svg>", ""])


def stacked(charts: Sequence[str]) -> str:
    """Several charts below one another in one document."""
    height = _HEIGHT * len(charts)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">'
    )
    moved = [f'<g transform="translate(0 {_HEIGHT * number})">\n{chart}</g>' for number, chart in enumerate(charts)]
    return "\n".join([head, *moved, "</svg>", ""])


def png(drawn: str) -> bytes:
    """A chart as PNG, two pixels a unit; typst draws it, which is here for paper."""
    import typst

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "chart.svg").write_text(drawn, encoding="utf-8")
        page = Path(folder, "page.typ")
        page.write_text('#set page(width: auto, height: auto, margin: 0pt)\n#image("chart.svg")\n')
        made: bytes = typst.compile(str(page), root=folder, format="png", ppi=144.0)
    return made


def _grid(
    x: Axis, y: Axis, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]],
    x_at: Callable[[float], float], y_at: Callable[[float], float],
) -> list[str]:  # fmt: skip
    bottom = _HEIGHT - _BOTTOM
    out = []
    for at, label in y_ticks:
        out.append(f'<path d="M{_LEFT} {y_at(at):.1f}H{_WIDTH - _RIGHT}" stroke="#e2e2e2"/>')
        out.append(f'<text x="{_LEFT - 8}" y="{y_at(at) + 4:.1f}" text-anchor="end">{escape(label)}</text>')
    for at, label in x_ticks:
        out.append(f'<path d="M{x_at(at):.1f} {_TOP}V{bottom}" stroke="#f0f0f0"/>')
        out.append(f'<text x="{x_at(at):.1f}" y="{bottom + 18}" text-anchor="middle">{escape(label)}</text>')
    out.append(f'<path d="M{_LEFT} {_TOP}V{bottom}H{_WIDTH - _RIGHT}" fill="none" stroke="#888"/>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    out.append(f'<text x="{middle:.0f}" y="{bottom + 36}" text-anchor="middle" fill="#555">{escape(x.title)}</text>')
    up = (_TOP + bottom) / 2
    out.append(
        f'<text x="16" y="{up:.0f}" transform="rotate(-90 16 {up:.0f})" text-anchor="middle" fill="#555">'
        f"{escape(y.title)}</text>"
    )
    return out


def _drawn(one: Series, colour: str, x_at: Callable[[float], float], y_at: Callable[[float], float]) -> list[str]:
    points = [(x_at(px), y_at(py)) for px, py in one.points]
    out = []
    for (at, _), (low, high) in zip(points, one.spread, strict=False):
        out.append(
            f'<path d="M{at:.1f} {y_at(low):.1f}V{y_at(high):.1f}" stroke="{colour}" stroke-opacity="0.45" '
            'stroke-width="3"/>'
        )
    path = "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
    out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    if len(points) <= 40:
        out += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.2" fill="{colour}"/>' for px, py in points]
    return out


def _legend(series: Sequence[Series]) -> list[str]:
    out, at, y = [], float(_LEFT), 36
    for number, one in enumerate(series):
        width = 36 + len(one.name) * _LABEL_PX
        if at + width > _WIDTH and at > _LEFT:  # what does not fit goes into a second line
            at, y = float(_LEFT), y + 18
        colour = _COLOURS[number % len(_COLOURS)]
        out.append(f'<rect x="{at:.0f}" y="{y}" width="14" height="4" fill="{colour}"/>')
        out.append(f'<text x="{at + 19:.0f}" y="{y + 7}">{escape(one.name)}</text>')
        at += width
    return out


def _scale(values: Sequence[float], axis: Axis, low_px: float, high_px: float) -> Callable[[float], float]:
    least, most = (min(values) if axis.least is None else axis.least), max(values)
    if axis.is_log:
        least, most = math.log(max(least, 1e-12)), math.log(max(most, 1e-12))
    span = (most - least) or 1.0

    def at(value: float) -> float:
        placed = math.log(max(value, 1e-12)) if axis.is_log else value
        return low_px + (min(max(placed, least), most) - least) / span * (high_px - low_px)

    return at


def _ticks(values: Sequence[float], axis: Axis) -> list[tuple[float, str]]:
    if axis.is_log:
        low, high = max(min(values), 1e-9), max(values)
        found = [base * 10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
                 for base in (1, 2, 5)]  # fmt: skip
        lowest = max((tick for tick in found if tick <= low), default=low)
        highest = min((tick for tick in found if tick >= high), default=high)
        return [(tick, number_text(tick)) for tick in found if lowest <= tick <= highest]
    low, high = (min(0.0, *values) if axis.least is None else axis.least), max(values)
    step = _nice((high - low) / 6 or 1.0)
    return [(low + step * n, number_text(low + step * n)) for n in range(math.ceil((high - low) / step) + 1)]


def _nice(step: float) -> float:
    power: float = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step)


def number_text(value: float) -> str:
    """As a person writes it: 20,000; 0.5."""
    return f"{value:,.0f}" if value >= 1 and abs(value - round(value)) < 1e-9 else f"{value:g}"
