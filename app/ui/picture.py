"""The picture on the first page: a regular tree in the Poincaré disk, drawn with true geodesics."""

from __future__ import annotations

import base64
import cmath
import math
from functools import cache


def _translate(z: complex, by: complex) -> complex:
    """Möbius translation of the disk that takes 0 to `by`."""
    return (z + by) / (1 + by.conjugate() * z)


def _geodesic(a: complex, b: complex) -> str:
    """SVG path data of the hyperbolic segment from `a` to `b`: an arc at right angles to the rim."""
    cross = a.real * b.imag - a.imag * b.real
    start, end = f"{a.real:.3f} {a.imag:.3f}", f"{b.real:.3f} {b.imag:.3f}"
    if abs(cross) < 1e-6:  # on a line through the middle
        return f"M{start}L{end}"
    u, v = (1 + abs(a) ** 2) / 2, (1 + abs(b) ** 2) / 2
    centre = complex(u * b.imag - v * a.imag, v * a.real - u * b.real) / cross
    radius = math.sqrt(abs(centre) ** 2 - 1)
    sweep = int(cross < 0)
    return f"M{start}A{radius:.3f} {radius:.3f} 0 0 {sweep} {end}"


@cache
def tree_svg(
    depth: int = 7, *, branches: int = 2, step: float = 1.25, colour: str = "#000", weight: float = 1.0
) -> str:
    """A tree whose every edge has the same hyperbolic length `step`, as an SVG document.

    Equal steps look shorter and shorter towards the rim: the room that a tree needs is what this space has.
    """
    rho = math.tanh(step / 2)
    lines: dict[int, list[str]] = {}
    dots: dict[int, list[str]] = {0: [_dot(0j, weight)]}
    front = [(0j, 2 * math.pi * k / 5 - math.pi / 2, 1) for k in range(5)]
    while front:
        start, angle, level = front.pop()
        end = _translate(rho * cmath.exp(1j * angle), start)
        lines.setdefault(level, []).append(_geodesic(start, end))
        dots.setdefault(level, []).append(_dot(end, weight))
        if level < depth:
            back = cmath.phase(_translate(start, -end))  # the way home; children leave on the other side
            turn = 2 * math.pi / (branches + 1)
            front += [(end, back + turn * (k + 1), level + 1) for k in range(branches)]
    drawn = "".join(
        f'<path d="{"".join(paths)}" stroke-opacity="{0.75 / level**0.6:.2f}"'
        f' stroke-width="{weight * 0.009 / level**0.5:.4f}"/>'
        for level, paths in sorted(lines.items())
    )
    circles = "".join(
        f'<g fill-opacity="{1 / (level + 1) ** 0.2:.2f}">{"".join(places)}</g>'
        for level, places in sorted(dots.items())
    )
    rings = "".join(
        f'<circle r="{math.tanh(k / 2):.3f}" stroke-opacity="0.16" stroke-width="0.003"/>' for k in (1, 2, 3)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1.03 -1.03 2.06 2.06">'
        f'<g fill="none" stroke="{colour}">{rings if depth > 3 else ""}'
        f'<circle r="1" stroke-opacity="0.55" stroke-width="{weight * 0.004:.4f}"/>{drawn}</g>'
        f'<g fill="{colour}">{circles}</g></svg>'
    )


def _dot(z: complex, weight: float) -> str:
    radius = weight * (0.034 * (1 - abs(z) ** 2) + 0.003)
    return f'<circle cx="{z.real:.3f}" cy="{z.imag:.3f}" r="{radius:.4f}"/>'


def tree_mask() -> str:
    """The tree as the mask of an element: it takes the page's text colour, so light and dark need one picture."""
    data = base64.b64encode(tree_svg().encode()).decode()
    image = f"url(data:image/svg+xml;base64,{data})"
    return (
        "<style>.hyperbolic-tree { width: 100%; max-width: 420px; aspect-ratio: 1; margin: auto;"
        f" background: currentColor; -webkit-mask: {image} center / contain no-repeat;"
        f" mask: {image} center / contain no-repeat; }}</style>"
        '<div class="hyperbolic-tree" role="img" aria-label="A tree in the Poincaré disk: one hub in the middle, '
        'ever more genes towards the rim"></div>'
    )
