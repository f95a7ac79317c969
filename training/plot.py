# SPDX-License-Identifier: Apache-2.0
"""The loss over time as an SVG, without a plotting library."""
import math
from typing import List, Sequence, Tuple

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 360, 60, 40, 30
COLOURS = ["#1f6f8b", "#c8553d", "#588157", "#6d597a"]


def ticks(low: float, high: float) -> List[float]:
    """Three to seven round numbers between low and high."""
    raw = max(high - low, 1e-12) / 5
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(low / step)
    return [i * step for i in range(first, int(high / step + 1e-9) + 1)]


def loss_plot(names: Sequence[str], rows: Sequence[Sequence[float]], path: str) -> None:
    """rows: seconds, then a value for each name."""
    if len(rows) < 2:
        return
    x0, x1 = rows[0][0], max(rows[-1][0], rows[0][0] + 1e-9)
    values = sorted(v for row in rows for v in row[1:])
    y0, y1 = values[0] * .95, values[int(.98 * (len(values) - 1))] * 1.05 + 1e-12  # the first steps go over the edge

    def at(x: float, y: float) -> Tuple[float, float]:
        y = min(max(y, y0), y1)
        return (LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - 20), HEIGHT - BOTTOM - (y - y0) / (y1 - y0) *
                (HEIGHT - BOTTOM - TOP))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
           'font-size="12"><rect width="100%" height="100%" fill="white"/>']
    for y in ticks(y0, y1):
        px, py = at(x0, y)
        out.append(f'<path d="M{px:.1f} {py:.1f}H{WIDTH - 20}" stroke="#ddd"/>'
                   f'<text x="{px - 6:.1f}" y="{py + 4:.1f}" text-anchor="end">{y:.4g}</text>')
    for x in ticks(x0, x1):
        px, _ = at(x, y0)
        out.append(f'<text x="{px:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:.4g} s</text>')
    for i, name in enumerate(names):
        points = " ".join("{:.1f},{:.1f}".format(*at(row[0], row[i + 1])) for row in rows)
        colour = COLOURS[i % len(COLOURS)]
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
                   f'<text x="{LEFT + 110 * i}" y="18" fill="{colour}">{name}</text>')
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n</svg>\n")
