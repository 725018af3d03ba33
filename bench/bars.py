"""Bars side by side as SVG, each with its number and its spread; what is compared lies in one group."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_COLOURS = ("#1f5fa8", "#c8501e", "#8a8a8a", "#2f8a4c")
_WIDTH, _LEFT, _RIGHT = 760, 190, 170
_BAR, _GAP = 15, 14

Bar = tuple[str, float, Sequence[float]]
"""What is written beside it, how long it is, and the values whose least and most are marked."""


def bar_chart(title: str, groups: Sequence[str], series: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """Each group has a scale of its own (its longest bar is full), since 5 MiB and 4 KiB share no axis."""
    height = 66 + len(groups) * (len(series) * _BAR + _GAP)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f"<title>{escape(title)}</title>", f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="12" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]  # fmt: skip
    at = 12
    for number, (name, _) in enumerate(series):
        out.append(f'<rect x="{at}" y="36" width="14" height="8" fill="{_COLOURS[number % len(_COLOURS)]}"/>')
        out.append(f'<text x="{at + 20}" y="44">{escape(name)}</text>')
        at += 44 + 7 * len(name)
    y = 62
    for place, group in enumerate(groups):
        longest = max(max(bars[place][2]) for _, bars in series) or 1.0
        middle = y + len(series) * _BAR / 2 + 4
        out.append(f'<text x="{_LEFT - 10}" y="{middle:.0f}" text-anchor="end">{escape(group)}</text>')
        for number, (_, bars) in enumerate(series):
            label, value, values = bars[place]
            scale = (_WIDTH - _LEFT - _RIGHT) / longest
            colour = _COLOURS[number % len(_COLOURS)]
            out.append(f'<rect x="{_LEFT}" y="{y}" width="{value * scale:.1f}" height="{_BAR - 3}" fill="{colour}"/>')
            low, high = _LEFT + min(values) * scale, _LEFT + max(values) * scale
            out.append(f'<path d="M{low:.1f} {y + 6}H{high:.1f}" stroke="#222" stroke-width="1.5"/>')
            out.append(f'<text x="{high + 8:.1f}" y="{y + 10}" font-size="11">{escape(label)}</text>')
            y += _BAR
        y += _GAP
    return "\n".join([*out, "</svg>", ""])
