"""A line chart as SVG, with no library.

Rules of this file:

- It can be read in light and in dark, and by a screen reader: every point has its value as text.
"""

from collections.abc import Mapping, Sequence

__all__ = ["draw_lines"]

_WIDTH, _HEIGHT = 640, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 150, 40, 50
_COLOURS = ("#2a7de1", "#e1592a", "#2aa86b", "#8a5ad1")
_STYLE = "text{font:13px sans-serif;fill:#777}.axis{stroke:#999}.mark{font-weight:bold}"


def draw_lines(title: str, across: str, up: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """The chart of some lines.

    Args:
        title: Above it, and its label.
        across: What the axis below tells.
        up: What the axis at the left tells.
        lines: The points of each, by its name.
    """
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    widest = max(x for points in lines.values() for x, _ in points)
    highest = max(y for points in lines.values() for _, y in points)

    def place(x: float, y: float) -> tuple[float, float]:
        return round(_LEFT + width * x / widest, 1), round(_TOP + height * (1 - y / highest), 1)

    bottom = _TOP + height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{title}</title><style>{_STYLE}</style>",
        f'<text x="{_LEFT}" y="20">{title}</text>',
        f'<path class="axis" fill="none" d="M{_LEFT} {_TOP}V{bottom}H{_LEFT + width}"/>',
        f'<text x="{_LEFT + width / 2}" y="{_HEIGHT - 10}" text-anchor="middle">{across}</text>',
        f'<text transform="translate(16 {_TOP + height / 2}) rotate(-90)" text-anchor="middle">{up}</text>',
    ]
    parts.extend(
        f'<text x="{place(x, 0)[0]}" y="{bottom + 18}" text-anchor="middle">{x:g}</text>'
        for x in sorted({x for points in lines.values() for x, _ in points})
    )
    for number, ((name, points), colour) in enumerate(zip(lines.items(), _COLOURS, strict=False)):
        beside = -6 if number % 2 else 17
        places = [place(x, y) for x, y in points]
        path = "L".join(f"{x} {y}" for x, y in places)
        parts.append(f'<path fill="none" stroke="{colour}" stroke-width="2" d="M{path}"/>')
        for (x, y), (_, value) in zip(places, points, strict=True):
            parts.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>')
            parts.append(f'<text x="{x + 6}" y="{y + beside}" style="fill:{colour}">{value:,.0f}</text>')
        x, y = places[-1]
        parts.append(
            f'<text class="mark" x="{x + 8}" y="{y + 11 - beside}" style="fill:{colour}">{name}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])
