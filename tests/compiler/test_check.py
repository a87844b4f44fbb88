"""The rules of graphs, partitions and plans: kept by what the compiler makes, and broken ones are found."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import tree
from funcgrad.compiler import stages
from funcgrad.compiler.lowering.check import check_graph, check_partition, check_plan
from funcgrad.compiler.lowering.graph import Map, View
from funcgrad.compiler.lowering.kernels import Kernel
from funcgrad.compiler.stages import run_stages
from funcgrad.ir.builder import trace_flat
from funcgrad.ir.tracer import type_of

pytest.importorskip("llvmlite")


def made(fun, *args) -> dict:
    """What the stages make of a function."""
    program, _ = trace_flat(lambda *xs: tree.leaves(fun(*xs)), [type_of(x) for x in args])
    return run_stages(program)


def block(x, w, scale):
    h = np.tanh(x @ w)
    mean = h.mean(-1, keepdims=True)
    e = np.exp(h - mean)
    return ((e / e.sum(-1, keepdims=True)) * scale).sum(0), h.T @ x


X, W, S = (np.ones(shape, "float32") for shape in [(32, 16), (16, 24), (24,)])


@pytest.fixture
def compiled():
    loss = fg.value_and_grad(
        lambda *a: sum((part**2).sum() for part in block(*a)), argnums=(0, 1, 2)
    )
    return made(loss, X, W, S)


def test_every_stage_is_checked_and_readable(compiled):
    assert list(compiled) == [stage.name for stage in stages.STAGES]
    for stage in stages.STAGES:
        stage.check(compiled[stage.name])
        assert str(compiled[stage.name])


def test_nodes_come_after_their_operands(compiled):
    graph = compiled["lower"]
    graph.nodes.reverse()
    with pytest.raises(AssertionError, match="has the number"):
        check_graph(graph)
    for number, node in enumerate(graph.nodes):
        node.number = number
    with pytest.raises(AssertionError, match="before its operands"):
        check_graph(graph)


@pytest.mark.parametrize("kind", [Map, View])
def test_shapes_follow_from_operands(compiled, kind):
    graph = compiled["lower"]
    node = next(n for n in graph.nodes if isinstance(n, kind) and len(n.shape) == 2)
    node.type = node.type.update(shape=(*node.shape[:-1], 7))
    with pytest.raises(AssertionError, match="does not follow"):
        check_graph(graph)


def test_what_must_be_in_memory_is_written(compiled):
    partition = compiled["fuse"]
    partition.units.pop()
    with pytest.raises(AssertionError, match="nothing writes"):
        check_partition(partition)


def test_members_fit_their_loops(compiled):
    partition = compiled["fuse"]
    kernel = next(u for u in partition.units if isinstance(u, Kernel) and len(u.domain) > 1)
    kernel.domain[0] += 1
    with pytest.raises(AssertionError, match=r"do not fit|is reduced over"):
        check_partition(partition)


def test_nothing_is_read_before_it_is_written(compiled):
    plan = compiled["plan"]
    plan.units.reverse()
    with pytest.raises(AssertionError, match="before it is written"):
        check_plan(plan)


def test_arrays_in_use_lie_apart(compiled):
    plan = compiled["plan"]
    places = [place for place in plan.places.values() if place.kind == "arena"]
    assert len(places) > 1
    for place in places:
        place.number = 0
    with pytest.raises(AssertionError, match="share bytes"):
        check_plan(plan)


def test_the_arena_is_large_enough(compiled):
    plan = compiled["plan"]
    plan.arena -= 64
    with pytest.raises(AssertionError, match="leaves the arena"):
        check_plan(plan)


def test_results_are_where_they_belong(compiled):
    plan = compiled["plan"]
    plan.places[plan.graph.outputs[0]].number = 1
    with pytest.raises(AssertionError, match="not where it belongs"):
        check_plan(plan)


def test_programs_inside_are_checked():
    def summed(xs):
        return fg.lax.scan(lambda c, x: (np.tanh(c + x), (c * x).sum()), np.zeros(40, "f4"), xs)

    plan = made(summed, np.ones((5, 40), "float32"))["plan"]
    check_plan(plan)
    (inner,) = next(found for found in plan.inner.values() if found)
    inner.units.clear()
    with pytest.raises(AssertionError, match="never written"):
        check_plan(plan)
