"""Tasks side by side: they wait for what they need, and for nothing else that could be avoided."""

from itertools import pairwise

from hypothesis import given, settings, strategies as st

from funcgrad.compiler.cuda.launches import Task
from funcgrad.compiler.cuda.runtime.branches import BEGIN, Mark, Run, Wait, dependencies, schedule

ARENA, X, OUT = ("arena", 0), ("input", 0), ("output", 0)


def task(reads, writes):
    return Task(1, frozenset(reads), frozenset(writes))


def test_tasks_need_those_whose_memory_they_share():
    tasks = [
        task([(X, 0, 64)], [(ARENA, 0, 64)]),
        task([(X, 0, 64)], [(ARENA, 64, 128)]),  # reads the same: fine
        task([(ARENA, 32, 64)], [(ARENA, 128, 160)]),  # reads what 0 wrote
        task([(ARENA, 128, 160)], [(ARENA, 64, 96)]),  # writes over 1, reads from 2
        task([], [(ARENA, 40, 48)]),  # writes over what 2 reads
        task([], [(ARENA, 200, 200)]),  # nothing
    ]
    assert dependencies(tasks, {}) == [set(), set(), {0}, {1, 2}, {0, 2}, set()]


def test_outputs_in_the_place_of_inputs_are_the_same_memory():
    tasks = [task([(X, 0, 64)], [(ARENA, 0, 64)]), task([], [(OUT, 0, 64)])]
    assert dependencies(tasks, {}) == [set(), set()]
    assert dependencies(tasks, {OUT: X}) == [set(), {0}]


def test_a_chain_stays_on_one_stream():
    assert schedule([set(), {0}, {1}, {2}]) == [Run(0, 0), Run(0, 1), Run(0, 2), Run(0, 3)]


def test_a_branch_leaves_and_comes_back():
    """1 and 2 need 0, 3 needs both."""
    order = schedule([set(), {0}, {0}, {1, 2}])
    assert [step.stream for step in order if isinstance(step, Run)] == [0, 0, 1, 0]
    assert order[-3:] == [Mark(1, 2), Wait(0, 2), Run(0, 3)]
    assert order.index(Wait(1, 0)) < order.index(Run(1, 2))


graphs = st.lists(st.sets(st.integers(1, 6)), max_size=20).map(
    lambda found: [{i - back for back in backs if back <= i} for i, backs in enumerate(found)]
)


@settings(deadline=None)
@given(graphs, st.integers(1, 4))
def test_every_order_that_waits_allow_is_right(needs, streams):
    order = schedule(needs, streams)
    assert [step.task for step in order if isinstance(step, Run)] == list(range(len(needs)))
    sure = [{BEGIN}, *[set() for _ in range(1, streams)]]  # what is done when a stream goes on
    marks = {}
    for step in order:
        if isinstance(step, Mark):
            marks[step.task] = set(sure[step.stream])
        elif isinstance(step, Wait):
            sure[step.stream] |= marks[step.task]
        else:
            assert BEGIN in sure[step.stream]
            assert needs[step.task] <= sure[step.stream]
            sure[step.stream].add(step.task)
    assert set(range(len(needs))) <= sure[0]


def test_independent_tasks_use_all_streams():
    order = schedule([set()] * 6, 3)
    streams = [step.stream for step in order if isinstance(step, Run)]
    assert streams == [0, 1, 2, 0, 1, 2]
    assert all(a != b for a, b in pairwise(streams))
