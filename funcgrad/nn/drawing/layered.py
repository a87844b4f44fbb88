"""Places for the nodes of a graph: in layers, with few crossings (the method of Sugiyama et al., 1981)."""

from __future__ import annotations

import dataclasses

from funcgrad.nn.drawing.graph import Graph

CHARACTER, LINE, PADDING = 7.0, 15.0, 10.0  # of the text of a node
BETWEEN, ABOVE = 24.0, 34.0  # space beside nodes, and between layers
SWEEPS = 8


@dataclasses.dataclass
class Placed:
    """A node or a bend of an edge, with its centre.

    Attributes:
        node: number of the node; None for a bend.
        x, y: the centre.
        width, height: its size.
    """

    node: int | None
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0


@dataclasses.dataclass
class Layout:
    """Where everything is.

    Attributes:
        places: nodes first, in their order, then bends.
        routes: for each edge of the graph the numbers of the places that it passes.
        width, height: of the whole.
    """

    places: list[Placed]
    routes: dict[tuple[int, int], list[int]]
    width: float
    height: float


def lay_out(graph: Graph) -> Layout:
    """Places for all nodes and edges: sources at the top."""
    ranks = _ranks(graph)
    places = [_sized(number, node.lines) for number, node in enumerate(graph.nodes)]
    layers: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for number, rank in enumerate(ranks):
        layers[rank].append(number)
    routes = {}
    for source, target in graph.edges:
        route = [source]
        for rank in range(ranks[source] + 1, ranks[target]):
            places.append(Placed(None, 4.0, 0.0))
            layers[rank].append(len(places) - 1)
            route.append(len(places) - 1)
        routes[source, target] = [*route, target]
    above, below = _neighbours(routes)
    _order(layers, above, below)
    _set_positions(layers, places, above, below)
    width = max((p.x + p.width / 2 for p in places), default=0.0) + PADDING
    height = max((p.y + p.height / 2 for p in places), default=0.0) + PADDING
    return Layout(places, routes, width, height)


def _sized(number: int, lines: list[str]) -> Placed:
    longest = max(map(len, lines))
    return Placed(number, longest * CHARACTER + 2 * PADDING, len(lines) * LINE + PADDING)


def _ranks(graph: Graph) -> list[int]:
    """The layer of each node: below all nodes that lead to it, and inputs close to where they are used."""
    count = len(graph.nodes)
    targets: list[list[int]] = [[] for _ in range(count)]
    missing = [0] * count
    for source, target in graph.edges:
        targets[source].append(target)
        missing[target] += 1
    ranks = [0] * count
    ready = [number for number in range(count) if not missing[number]]
    order = []
    while ready:
        number = ready.pop()
        order.append(number)
        for target in targets[number]:
            ranks[target] = max(ranks[target], ranks[number] + 1)
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    sources = {source for _, source in graph.edges}
    for number in order:
        if number not in sources and targets[number] and graph.nodes[number].kind == "parameter":
            ranks[number] = min(ranks[t] for t in targets[number]) - 1
    return ranks


def _neighbours(
    routes: dict[tuple[int, int], list[int]],
) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """The places above and below each place that edges lead to."""
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for route in routes.values():
        for upper, lower in zip(route, route[1:], strict=False):
            below.setdefault(upper, []).append(lower)
            above.setdefault(lower, []).append(upper)
    return above, below


def _order(
    layers: list[list[int]], above: dict[int, list[int]], below: dict[int, list[int]]
) -> None:
    """Order each layer by the mean position of the neighbours, downward and upward in turn."""
    position = {place: i for layer in layers for i, place in enumerate(layer)}
    for sweep in range(SWEEPS):
        is_down = sweep % 2 == 0
        neighbours = above if is_down else below
        for layer in layers if is_down else reversed(layers):
            means = {
                place: _mean([position[n] for n in neighbours[place]])
                if place in neighbours
                else float(position[place])
                for place in layer
            }
            layer.sort(key=means.__getitem__)
            position.update((place, i) for i, place in enumerate(layer))


def _set_positions(
    layers: list[list[int]],
    places: list[Placed],
    above: dict[int, list[int]],
    below: dict[int, list[int]],
) -> None:
    """Each place as near to its neighbours as the places beside it allow."""
    y = PADDING
    for layer in layers:
        height = max((places[i].height for i in layer), default=0.0)
        x = PADDING
        for i in layer:
            places[i].x, places[i].y = x + places[i].width / 2, y + height / 2
            x += places[i].width + BETWEEN
        y += height + ABOVE
    for sweep in range(SWEEPS):
        is_down = sweep % 2 == 0
        neighbours = above if is_down else below
        for layer in layers if is_down else reversed(layers):
            wanted = [
                _mean([places[n].x for n in neighbours[i]]) if i in neighbours else places[i].x
                for i in layer
            ]
            for i, x in zip(layer, _spread([places[i].width for i in layer], wanted), strict=True):
                places[i].x = x
    left = min((p.x - p.width / 2 for p in places), default=0.0)
    for place in places:
        place.x += PADDING - left


def _spread(widths: list[float], wanted: list[float]) -> list[float]:
    """Centres in the given order without overlap: the mean of pushing all to the right, and all to the left."""

    def pushed(widths: list[float], centres: list[float]) -> list[float]:
        result: list[float] = []
        for width, centre in zip(widths, centres, strict=True):
            if result:
                least = result[-1] + (widths[len(result) - 1] + width) / 2 + BETWEEN
                centre = max(centre, least)
            result.append(centre)
        return result

    right = pushed(widths, wanted)
    left = [-x for x in pushed(widths[::-1], [-x for x in wanted[::-1]])][::-1]
    return [(a + b) / 2 for a, b in zip(left, right, strict=True)]


def _mean(numbers: list[float] | list[int]) -> float:
    return sum(numbers) / len(numbers)
