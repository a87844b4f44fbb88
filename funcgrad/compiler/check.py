"""The rules that graphs, partitions and plans must keep, as code."""

from __future__ import annotations

from funcgrad.compiler.fusion import Partition
from funcgrad.compiler.graph import Graph
from funcgrad.compiler.plan import Plan


def check_graph(graph: Graph) -> None:
    """Placeholder."""


def check_partition(partition: Partition) -> None:
    """Placeholder."""


def check_plan(plan: Plan) -> None:
    """Placeholder."""
