"""A laid out graph as SVG text."""

from __future__ import annotations

from funcgrad.nn.drawing.graph import Graph
from funcgrad.nn.drawing.layered import LINE, Layout, Placed

COLORS = {
    "input": ("#e8f5e9", "#43a047"),
    "parameter": ("#f5f5f5", "#9e9e9e"),
    "layer": ("#e3f2fd", "#1e88e5"),
    "operation": ("#ffffff", "#616161"),
    "output": ("#fff3e0", "#fb8c00"),
}
STYLE = "font-family:monospace;font-size:11px;text-anchor:middle"
ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0,0L8,4L0,8z" fill="#616161"/></marker></defs>'
)


def escaped(text: str) -> str:
    """Text as SVG and HTML write it. Not by `html.escape`, which loads a table of 2000 entities."""
    return (
        text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    )


def svg_text(graph: Graph, layout: Layout) -> str:
    """The drawing."""
    size = f"{layout.width:.0f} {layout.height:.0f}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{layout.width:.0f}" '
        f'height="{layout.height:.0f}" style="{STYLE}">',
        ARROW,
        *(
            _edge([layout.places[i] for i in route], graph.edges[ends])
            for ends, route in layout.routes.items()
        ),
        *(
            _box(place, graph.nodes[place.node].lines, graph.nodes[place.node].kind)
            for place in layout.places
            if place.node is not None
        ),
        "</svg>",
    ]
    return "\n".join(parts)


def _box(place: Placed, lines: list[str], kind: str) -> str:
    fill, stroke = COLORS[kind]
    x, y = place.x - place.width / 2, place.y - place.height / 2
    first = place.y - (len(lines) - 1) * LINE / 2 + 4
    texts = []
    for i, line in enumerate(lines):
        weight = ' font-weight="bold"' if i == 0 else ""
        at = f'x="{place.x:.1f}" y="{first + i * LINE:.1f}"'
        texts.append(f"<text {at}{weight}>{escaped(line)}</text>")
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{place.width:.1f}" height="{place.height:.1f}" rx="5" '
        f'fill="{fill}" stroke="{stroke}"/>{"".join(texts)}'
    )


def _edge(route: list[Placed], text: str) -> str:
    """A curve from the lower end of the first place to the upper end of the last, through bends."""
    points = [(p.x, p.y) for p in route]
    points[0] = (route[0].x, route[0].y + route[0].height / 2)
    points[-1] = (route[-1].x, route[-1].y - route[-1].height / 2)
    path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        middle = (y0 + y1) / 2
        path += f"C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y1:.1f}"
    return (
        f'<path d="{path}" fill="none" stroke="#616161" marker-end="url(#arrow)">'
        f"<title>{escaped(text)}</title></path>"
    )
