"""From numbers to something to look at: Markdown tables and one bar chart as SVG.

Rules of this file:

- Text in, text out: no files, no clock.
- The chart needs no library, and is readable on a light and on a dark page.
"""

import statistics
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from bench.measure import MIB, Cost, Transfer

_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#57606a}.ours{fill:#d4663a}.peer{fill:#8c959f}"
    ".name{text-anchor:end}.value{font-weight:600}@media(prefers-color-scheme:dark){text{fill:#c9d1d9}}"
)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of numbers; its first column is text, and one of skipped duties."""
    marks = ["---" if name in (header[0], "skips") else "---:" for name in header]
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, marks, *rows]) + "\n"


def requests_table(
    costs: Mapping[str, Cost], reference: str, skipped: Mapping[str, list[str] | None] | None = None
) -> str:
    """CPU per request and its ratio to the reference of the same run; with `skipped`, duties left out."""
    base = costs[reference].median if costs.get(reference) and costs[reference].cpu else None
    rows = [[name, *_cells(cost, base)] for name, cost in costs.items()]
    header = ["server", "CPU us / request", f"x {reference}", "requests / s", "p99 ms", "MiB", "errors"]
    if skipped is not None:
        header.append("skips")
        for row in rows:
            row.append(_name_duties(skipped.get(row[0])))
    return markdown(header, rows)


def _name_duties(skipped: list[str] | None) -> str:
    return "-" if skipped is None else ", ".join(skipped) or "nothing"


def _cells(cost: Cost, base: float | None) -> list[str]:
    if not cost.cpu:
        return ["-", "-", "-", "-", "-", str(cost.errors)]
    return [
        f"{cost.median * 1e6:.2f}",
        f"{cost.median / base:.2f}" if base else "-",
        f"{statistics.median(cost.rate):.0f}",
        f"{statistics.median(cost.p99) * 1e3:.2f}" if cost.p99 else "-",
        f"{cost.rss / MIB:.0f}",
        str(cost.errors),
    ]


def transfers_table(found: Mapping[str, Transfer], reference: str) -> str:
    """CPU per GiB, its ratio to the reference, growth of memory."""
    base = found[reference].median if reference in found and found[reference].cpu else None
    rows = [
        [
            name,
            f"{transfer.median:.3f}",
            f"{transfer.median / base:.2f}" if base else "-",
            f"{transfer.growth / MIB:.2f}",
        ]
        if transfer.cpu
        else [name, "-", "-", "-"]
        for name, transfer in found.items()
    ]
    return markdown(["server", "CPU s / GiB", f"x {reference}", "memory growth MiB"], rows)


def chart(title: str, bars: Mapping[str, float], unit: str, ours: str = "vivace") -> str:
    """A horizontal bar chart as an SVG document; names that start with `ours` stand out."""
    left, width, row, top = 190, 460, 28, 44
    scale = width / (max(bars.values(), default=0) or 1)
    height = top + row * len(bars) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 90} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text x="12" y="24" class="value">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(bars.items()):
        y = top + number * row
        kind = "ours" if name.startswith(ours) else "peer"
        parts.append(
            f'<text class="name" x="{left - 10}" y="{y + 15}">{escape(name)}</text>'
            f'<rect class="{kind}" x="{left}" y="{y}" width="{value * scale:.1f}" height="{row - 8}" rx="2"/>'
            f'<text class="value" x="{left + value * scale + 8:.1f}" y="{y + 15}">'
            f"{value:.1f} {escape(unit)}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def replace_section(page: str, name: str, text: str) -> str:
    """`page` with what stands between ``<!-- NAME -->`` and ``<!-- /NAME -->`` replaced.

    Raises:
        ValueError: The page has no such pair of marks.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    head, mark, rest = page.partition(begin)
    _, closing, tail = rest.partition(end)
    if not mark or not closing:
        raise ValueError(f"no {begin} ... {end} in the page")
    return f"{head}{begin}\n{text}{end}{tail}"
