"""The picture on the first page: a regular tree in the Poincaré disk, drawn with true geodesics."""

from __future__ import annotations

import cmath
import math
from functools import cache


def _translate(z: complex, by: complex) -> complex:
    """Möbius translation of the disk that takes 0 to `by`."""
    return (z + by) / (1 + by.conjugate() * z)


def _geodesic(a: complex, b: complex) -> str:
    """SVG path data of the hyperbolic segment from `a` to `b` (unit disk)."""
    towards = _translate(b, -a)
    points = [
        _translate(towards * math.tanh(t / 8 * math.atanh(abs(towards))) / abs(towards), a) for t in range(9)
    ]
    return "M" + " L".join(f"{p.real:.4f} {p.imag:.4f}" for p in points)


@cache
def tree_svg(branches: int = 3, depth: int = 6, step: float = 1.0) -> str:
    """A tree whose every edge has the same hyperbolic length `step`; it uses the text colour of the page.

    Equal steps look shorter and shorter towards the rim: the room that a tree needs is what this space has.
    """
    rho = math.tanh(step / 2)
    edges: list[tuple[int, complex, complex]] = []
    nodes: list[tuple[int, complex]] = [(0, 0j)]
    front = [(0j, 2 * math.pi * k / (branches + 2) + 0.35, 1) for k in range(branches + 2)]
    while front:
        start, angle, level = front.pop()
        end = _translate(rho * cmath.exp(1j * angle), start)
        edges.append((level, start, end))
        nodes.append((level, end))
        if level < depth:
            back = cmath.phase(_translate(start, -end))  # the way home; children leave on the other side
            spread = 2 * math.pi / (branches + 0.4)
            front += [
                (end, back + math.pi + spread * (k - (branches - 1) / 2), level + 1) for k in range(branches)
            ]
    lines = "".join(
        f'<path d="{_geodesic(a, b)}" stroke-opacity="{0.62 / level**0.75:.3f}"'
        f' stroke-width="{0.0085 / level**0.45:.4f}"/>'
        for level, a, b in edges
    )
    dots = "".join(
        f'<circle cx="{z.real:.4f}" cy="{z.imag:.4f}" r="{0.03 * (1 - abs(z) ** 2) + 0.0035:.4f}"'
        f' fill-opacity="{0.95 if level == 0 else 0.8 / level**0.35:.3f}"/>'
        for level, z in nodes
    )
    rings = "".join(
        f'<circle r="{math.tanh(k / 2):.4f}" stroke-opacity="0.14" stroke-width="0.003"/>' for k in (1, 2, 3)
    )
    return (
        '<svg viewBox="-1.01 -1.01 2.02 2.02" role="img" aria-label="A tree in the Poincaré disk: one hub in the '
        'middle, ever more genes towards the rim" style="width:100%;max-width:430px;display:block;margin:auto">'
        f'<g fill="none" stroke="currentColor">{rings}<circle r="1" stroke-opacity="0.5" stroke-width="0.004"/>'
        f"{lines}</g>"
        f'<g fill="currentColor">{dots}</g></svg>'
    )
