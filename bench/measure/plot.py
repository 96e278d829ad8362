"""Bars as SVG: small, without a library, and readable on a light and on a dark page."""

from xml.sax.saxutils import escape

from bench.measure.rounds import Comparison
from bench.measure.target import number

_ROW, _LABEL, _BAR, _END = 26, 250, 330, 140
_CHARACTER = 8
"""Wider than most, so that the longest name fits whatever the font."""

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.bar { fill: #0969da }
.baseline { fill: #8c959f }
.spread { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .bar { fill: #58a6ff } .baseline { fill: #6e7681 } .spread { stroke: #e6edf3 }
}
"""


def bars(comparison: Comparison) -> str:
    """A bar a variant with its median, its ratio to the baseline, and a line from its least to its most."""
    most = max(comparison.value(name).most for name in comparison.rounds) or 1.0
    left = max(_LABEL, _CHARACTER * max(map(len, comparison.rounds)))
    width, height = left + _BAR + _END, 34 + _ROW * len(comparison.rounds) + 8
    title = escape(f"{comparison.title}, {comparison.unit}")
    tops = range(34, height, _ROW)
    rows = [
        _bar(comparison, name, left, top, _BAR / most)
        for name, top in zip(comparison.rounds, tops, strict=False)
    ]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">',
            f"<title>{title}</title>",
            f"<style>{_STYLE}</style>",
            f'<text class="title" x="8" y="20">{title}</text>',
            *rows,
            "</svg>\n",
        )
    )


def _bar(comparison: Comparison, name: str, left: int, top: int, scale: float) -> str:
    value, middle = comparison.value(name), top + _ROW // 2
    is_baseline = name == comparison.baseline
    label = number(value.median) + ("" if is_baseline else f" ({number(comparison.ratio(name).median)} ×)")
    least, end = left + value.least * scale, left + value.most * scale
    return "\n".join(
        (
            f'<text x="{left - 8}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{"baseline" if is_baseline else "bar"}" x="{left}" y="{top + 4}" '
            f'width="{value.median * scale:.1f}" height="{_ROW - 8}" rx="2"/>',
            f'<line class="spread" x1="{least:.1f}" x2="{end:.1f}" y1="{middle}" y2="{middle}"/>',
            f'<text x="{end + 8:.1f}" y="{middle + 4}">{label}</text>',
        )
    )
