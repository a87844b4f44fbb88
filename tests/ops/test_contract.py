"""What every primitive promises, for every row of the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funcgrad.ir.builder import trace_flat
from funcgrad.ir.tracer import type_of
from funcgrad.ir.types import is_inexact
from funcgrad.transforms.forward import jvp
from funcgrad.transforms.grad import vjp
from funcgrad.transforms.jit import jit
from funcgrad.transforms.vmap import vmap
from tests.ops.case import Case
from tests.ops.cases import CASES
from tests.ops.derivatives import as_list, check_derivatives, random_like

# Each row compiles its own function through the same lambda of this file.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

NAMES = [str(case) for case in CASES]
PAIRS = [(case, dtype) for case in CASES for dtype in case.dtypes]
SMOOTH = [
    (case, dtype) for case in CASES if case.argnums != () and case.inputs for dtype in case.smooth
]
INEXACT = [
    (case, dtype)
    for case, dtype in PAIRS
    if case.argnums != () and case.inputs and is_inexact(np.dtype(dtype))
]
BATCHED = [case for case in CASES if case.batched]

every_case = pytest.mark.parametrize("case", CASES, ids=NAMES)
every_dtype = pytest.mark.parametrize(
    ("case", "dtype"), PAIRS, ids=[f"{case}-{np.dtype(dtype)}" for case, dtype in PAIRS]
)
every_smooth = pytest.mark.parametrize(
    ("case", "dtype"), SMOOTH, ids=[f"{case}-{dtype}" for case, dtype in SMOOTH]
)
every_batched = pytest.mark.parametrize("case", BATCHED, ids=map(str, BATCHED))


def resolution(array: np.ndarray) -> float:
    """The distance between neighbouring numbers of its dtype at 1; 0 for exact dtypes."""
    dtype = array.real.dtype
    if not is_inexact(dtype):
        return 0.0
    one = np.ones((), dtype)
    return float(np.nextafter(one, one + one) - one)


def assert_same(found: Any, expected: Any, tolerance: float = 4.0) -> None:
    """Equal shape and dtype, and values within `tolerance` units of resolution."""
    for out, want in zip(as_list(found), as_list(expected), strict=True):
        assert type_of(out) == type_of(want)
        out, want = np.asarray(out), np.asarray(want)
        if is_inexact(out.dtype):
            wide = np.complex128 if out.dtype.kind == "c" else np.float64
            error = tolerance * resolution(want)
            np.testing.assert_allclose(out.astype(wide), want.astype(wide), rtol=error, atol=error)
        else:
            np.testing.assert_array_equal(out, want)


def assert_fresh(outs: Any, inputs: list[Any]) -> None:
    """No output shares memory with another, or with an input; all can be written to."""
    outs = [out for out in as_list(outs) if isinstance(out, np.ndarray)]
    for index, out in enumerate(outs):
        assert out.flags.writeable and out.flags.c_contiguous
        others = [x for x in (*outs[:index], *inputs) if isinstance(x, np.ndarray)]
        assert not any(np.shares_memory(out, other) for other in others)


def moving(case: Case, args: list[Any]) -> tuple[Any, list[int]]:
    """The case as a function of its differentiable arguments only, and their positions."""
    argnums = case.argnums
    if argnums is None:
        argnums = tuple(i for i, x in enumerate(args) if is_inexact(x.dtype))

    def function(*chosen: Any) -> list[Any]:
        given = list(args)
        for index, x in zip(argnums, chosen, strict=True):
            given[index] = x
        return [out for out in as_list(case.call(*given)) if is_inexact(type_of(out).dtype)]

    return function, list(argnums)


# --- values and types ---


@every_dtype
def test_value_is_that_of_numpy(case, dtype):
    args = case.arguments(dtype)
    out = case.call(*args)
    if case.reference is not None:
        assert_same(out, case.reference(*args, **case.params), case.tolerance)


@every_dtype
def test_type_rule_says_what_comes_out(case, dtype):
    args = case.arguments(dtype)
    outs = as_list(case.call(*args))
    program, _ = trace_flat(lambda *xs: as_list(case.call(*xs)), [type_of(x) for x in args])
    assert program.output_types == [type_of(out) for out in outs]
    names = {equation.primitive.name for equation in program.equations}
    quiet = {"quiet"} if any(name.startswith("quiet_") for name in names) else set()
    if case.recorded is None or dtype in case.recorded:
        assert case.primitive in names | quiet


@every_dtype
def test_jit_changes_nothing(case, dtype):
    args = case.arguments(dtype)
    compiled = jit(lambda *xs: case.call(*xs))
    expected = case.call(*args)
    for _ in range(2):
        outs = compiled(*args)
        assert_same(outs, expected, case.tolerance)
    assert_fresh(outs, args)


# --- derivatives ---


@every_smooth
def test_derivatives(case, dtype):
    args = case.arguments(dtype)
    function, argnums = moving(case, args)
    check_derivatives(function, *[args[i] for i in argnums], tolerance=case.slack)


@every_smooth
def test_jit_of_the_gradient(case, dtype):
    args = case.arguments(dtype)
    function, argnums = moving(case, args)
    chosen = [args[i] for i in argnums]
    cotangents = [random_like(out, np.random.default_rng(1)) for out in function(*chosen)]
    pull = lambda *xs: vjp(function, *xs)[1](cotangents)
    pulled = pull(*chosen)
    assert_same(jit(pull)(*chosen), pulled, 64.0)
    assert_fresh(pulled, [*args, *cotangents])


@pytest.mark.parametrize(
    ("case", "dtype"), INEXACT, ids=[f"{case}-{np.dtype(dtype)}" for case, dtype in INEXACT]
)
def test_derivatives_keep_the_dtype(case, dtype):
    """R35: a rule with constants does not widen float32, nor half precision."""
    args = case.arguments(dtype)
    function, argnums = moving(case, args)
    chosen = [args[i] for i in argnums]
    outs, tangents = jvp(lambda *xs: function(*xs), tuple(chosen), tuple(chosen))
    assert list(map(type_of, tangents)) == list(map(type_of, outs))
    pulled = vjp(function, *chosen)[1]([np.ones_like(out) for out in outs])
    assert list(map(type_of, pulled)) == list(map(type_of, chosen))


# --- batching ---


def axis_patterns(count: int) -> list[tuple[int | None, ...]]:
    """All arguments batched along the first or last axis, and each one alone."""
    alone = [tuple(0 if j == i else None for j in range(count)) for i in range(count)]
    return [(0,) * count, (-1,) * count, *(alone if count > 1 else [])]


@every_batched
def test_vmap_is_a_loop(case):
    dtype = next(d for d in (*case.smooth, *case.dtypes) if d in case.dtypes)
    examples = [case.arguments(dtype, seed) for seed in range(3)]
    for axes in axis_patterns(len(case.inputs)):
        args = [
            examples[0][i] if axis is None else np.stack([e[i] for e in examples], axis)
            for i, axis in enumerate(axes)
        ]
        each = [
            as_list(case.call(*[(examples[0] if a is None else e)[i] for i, a in enumerate(axes)]))
            for e in examples
        ]
        expected = [np.stack(parts) for parts in zip(*each, strict=True)]
        assert_same(vmap(case.call, in_axes=axes)(*args), expected, 16 * case.tolerance)
        out = vmap(case.call, in_axes=axes, out_axes=-1)(*args)
        assert_same([np.moveaxis(o, -1, 0) for o in as_list(out)], expected, 16 * case.tolerance)


# --- odd inputs ---


def strided(x: np.ndarray) -> np.ndarray:
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def big_endian(x: np.ndarray) -> np.ndarray:
    return x.astype(x.dtype.newbyteorder(">")) if x.dtype.kind in "iufc" else x


def unaligned(x: np.ndarray) -> np.ndarray:
    room = np.zeros(x.nbytes + 1, np.uint8)
    shifted = room[1:].view(x.dtype).reshape(x.shape)
    shifted[...] = x
    return shifted


LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": strided,
    "negative stride": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
    "read-only": read_only,
    "big-endian": big_endian,
    "unaligned": unaligned,
}


def reset(case: Case, x: np.ndarray, layout: str) -> np.ndarray:
    return LAYOUTS[layout](x) if x.ndim else x


@every_case
@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layout_does_not_matter(case, layout):
    dtype = np.dtype(case.dtypes[-1] if "float64" not in case.dtypes else "float64")
    args = case.arguments(dtype)
    expected = case.call(*args)
    odd = [reset(case, x, layout) for x in args]
    assert_same(case.call(*odd), expected)
    outs = jit(lambda *xs: case.call(*xs))(*odd)
    assert_same(outs, expected, case.tolerance)
    assert_fresh(outs, odd)


@every_smooth
def test_gradient_of_odd_arrays(case, dtype):
    args = case.arguments(dtype)
    function, argnums = moving(case, args)
    chosen = [args[i] for i in argnums]
    cotangents = [random_like(out, np.random.default_rng(1)) for out in function(*chosen)]
    expected = vjp(function, *chosen)[1](cotangents)
    for layout in ("negative stride", "read-only", "big-endian"):
        odd = [reset(case, x, layout) for x in chosen]
        assert_same(vjp(function, *odd)[1](cotangents), expected, 16.0)


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1, 1)])
@pytest.mark.parametrize("case", [c for c in CASES if c.elementwise], ids=str)
def test_any_shape(case, shape):
    dtype = np.dtype("float64" if "float64" in case.dtypes else case.dtypes[0])
    args = [np.resize(x.ravel(), shape) for x in case.arguments(dtype)]
    out = case.call(*args)
    for value in as_list(out):
        assert value.shape == shape
    if case.reference is not None:
        assert_same(out, case.reference(*args, **case.params), case.tolerance)
    assert_same(jit(lambda *xs: case.call(*xs))(*args), out, case.tolerance)
    if case.argnums != () and dtype.name in case.smooth:
        function, argnums = moving(case, args)
        chosen = [args[i] for i in argnums]
        pulled = vjp(function, *chosen)[1]([np.ones_like(out) for out in function(*chosen)])
        assert [np.shape(ct) for ct in pulled] == [shape] * len(chosen)
