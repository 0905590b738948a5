"""Plots as SVG, drawn on the server: no script, no style attribute (the content security policy forbids them).

Each is decoration for who sees; the template puts the same figures into a table beside it, so all are hidden from readers of
screens.
"""

from collections.abc import Sequence

from markupsafe import Markup, escape

WIDTH = 640


def bars(values: Sequence[tuple[str, int]], height: int = 150) -> Markup:
    """A bar for each value, with the first, the last and the greatest named.

    Args:
        values: what stands under a bar, and how high it is.
    """
    most = max((value for _, value in values), default=0) or 1
    step = WIDTH / max(len(values), 1)
    parts = [f'<line class="axis" x1="0" y1="{height}" x2="{WIDTH}" y2="{height}"/>']
    for i, (_, value) in enumerate(values):
        tall = (height - 22) * value / most
        parts.append(f'<rect x="{i * step + 1:.1f}" y="{height - tall:.1f}" width="{max(step - 2, 1):.1f}" height="{tall:.1f}"/>')
    if values:
        peak = max(range(len(values)), key=lambda i: values[i][1])
        middle, end = (peak + 0.5) * step, "start" if peak < len(values) / 10 else "end" if peak > len(values) * 0.9 else "middle"
        tall = (height - 22) * values[peak][1] / most
        parts.append(f'<text x="{middle:.1f}" y="{height - tall - 6:.1f}" text-anchor="{end}">{values[peak][1]}</text>')
        parts.append(f'<text x="0" y="{height + 18}">{escape(values[0][0])}</text>')
        parts.append(f'<text x="{WIDTH}" y="{height + 18}" text-anchor="end">{escape(values[-1][0])}</text>')
    return _svg("bars", WIDTH, height + 24, parts)


def interval(low: float, middle: float, high: float, least: float = -0.2) -> Markup:
    """One value with its interval on a line from ``least`` to 1; marks at 0 and at 2/3, below which Krippendorff advises
    against drawing conclusions."""

    def place(value: float) -> float:
        return round((max(min(value, 1.0), least) - least) / (1 - least) * 200 + 5, 1)

    return _svg(
        "interval",
        210,
        20,
        [
            *(f'<line class="mark" x1="{place(at)}" y1="2" x2="{place(at)}" y2="18"/>' for at in (0.0, 2 / 3)),
            f'<line class="axis" x1="{place(least)}" y1="10" x2="{place(1.0)}" y2="10"/>',
            f'<line class="span" x1="{place(low)}" y1="10" x2="{place(high)}" y2="10"/>',
            f'<circle cx="{place(middle)}" cy="10" r="4.5"/>',
        ],
    )


def line(values: Sequence[float | None]) -> Markup:
    """A small line through values from 0 to 1; a gap where there is none."""
    step = 190 / max(len(values) - 1, 1)
    points = [(5 + i * step, 35 - 30 * value) for i, value in enumerate(values) if value is not None]
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in points]
    return _svg(
        "line", 200, 40, ['<line class="axis" x1="0" y1="35" x2="200" y2="35"/>', f'<polyline points="{joined}"/>', *dots]
    )


def shade(count: int, most: int) -> int:
    """How dark a cell is, from 0 (nothing) to 4."""
    return 0 if count <= 0 else min(4, 1 + int(3.999 * count / max(most, 1)))


def _svg(kind: str, width: int, height: int, parts: Sequence[str]) -> Markup:
    inside = "".join(parts)
    # Every part is made of numbers and escaped words above.
    return Markup(f'<svg class="plot {kind}" viewBox="0 0 {width} {height}" aria-hidden="true">{inside}</svg>')  # noqa: S704
