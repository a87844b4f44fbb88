"""R22-R26: arrays without elements, broadcasting, batch axes, unusual memory layouts."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
from tests.regress.everywhere import check_gradient, check_gradients, check_value, values

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")


@pytest.mark.parametrize(
    ("fun", "expected"),
    [
        (np.sum, 0.0),
        (np.prod, 1.0),
        (lambda x: np.sum(np.sort(x)), 0.0),
        (lambda x: np.sum(np.cumsum(x)), 0.0),
        (lambda x: np.sum(np.concatenate([x, x])), 0.0),
        (lambda x: np.sum(np.exp(x)), 0.0),
        (lambda x: np.linalg.norm(x), 0.0),
    ],
)
def test_R22_no_elements(fun, expected):
    check_value(fun, np.zeros(0), expected=expected)
    check_gradient(fun, np.zeros(0), np.zeros(0))


def test_R22_mean_of_nothing_is_nan_with_numpys_warning():
    for fun in (np.mean, fg.jit(np.mean)):
        with pytest.warns(RuntimeWarning):
            assert np.isnan(fun(np.zeros(0)))
    with pytest.warns(RuntimeWarning):
        assert fg.grad(np.mean)(np.zeros(0)).shape == (0,)


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, fg.grad, fg.vmap])
def test_R22_maximum_of_nothing_is_an_error(wrap):
    x = np.zeros((2, 0)) if wrap is fg.vmap else np.zeros(0)
    with pytest.raises(ValueError, match="zero-size array"):
        wrap(np.max)(x)


def test_R22_matrix_product_over_an_empty_axis():
    x, y = np.zeros((2, 0)), np.zeros((0, 3))
    check_value(np.matmul, x, y, expected=np.zeros((2, 3)))
    check_gradients(lambda x, y: np.sum(x @ y), x, y, expected=(x, y))


def test_R23_broadcasting_over_size_zero_and_one():
    row, none = np.array([[1.0, 2.0, 3.0]]), np.ones((0, 3))
    check_gradient(lambda x: np.sum(x * none), row, [[0.0, 0.0, 0.0]])
    y = np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])
    check_gradients(lambda x, y: np.sum(x * y), row, y, expected=([[3.0, 5.0, 7.0]], [row[0]] * 2))


def test_R23_one_element_against_none():
    for road, found in values(lambda x, y: x + y, np.ones(1), np.ones(0)):
        assert found.shape == (0,), road
    total = lambda x, y: np.sum(x + y)
    check_gradients(total, np.ones(1), np.ones(0), expected=(np.zeros(1), np.zeros(0)))


def test_R23_a_scalar_stays_a_scalar():
    check_gradients(lambda x, y: np.sum(x * y), 2.0, np.ones(3), expected=(3.0, [2.0, 2.0, 2.0]))


def test_R24_vmap_over_no_examples():
    for fun in (np.sin, lambda x: np.sin(x).astype(np.float32)):
        out = fg.vmap(fun)(np.zeros((0, 3)))
        assert out.shape == (0, 3)
        assert out.dtype == fun(np.zeros((1, 3))).dtype
    assert fg.vmap(fg.grad(lambda x: np.sum(x**2)))(np.zeros((0, 3))).shape == (0, 3)


def test_R24_scan_over_nothing():
    body = lambda carry, x: (carry * x, carry)
    carry, ys = fg.lax.scan(body, 1.0, np.zeros(0))
    assert float(carry) == 1.0 and ys.shape == (0,)
    loop = lambda start: fg.lax.scan(body, start, np.zeros(0))[0]
    check_gradient(loop, 1.0, 1.0)


def test_R25_mismatched_batch_sizes_list_every_argument():
    fun = lambda x, tree: x + tree["w"]["b"]
    with pytest.raises(ValueError) as caught:
        fg.vmap(fun)(np.zeros((2, 3)), {"w": {"b": np.zeros((4, 3))}})
    message = str(caught.value)
    assert "'x'" in message and "length 2" in message
    assert "w.b" in message and "length 4" in message


def test_R25_negative_axes_and_trees_of_axes():
    x = np.arange(6.0).reshape(2, 3)
    assert fg.vmap(lambda x: x * 2, in_axes=-1)(x).shape == (3, 2)
    assert fg.vmap(lambda x: x * 2, in_axes=-1, out_axes=-1)(x).shape == (2, 3)
    tree = {"a": x, "b": np.ones(2)}
    out = fg.vmap(lambda t: t["a"] + t["b"], in_axes=({"a": 1, "b": None},))(tree)
    np.testing.assert_array_equal(out, x.T + 1.0)


def test_R25_scalars_and_missing_arrays_are_refused():
    with pytest.raises(ValueError, match=r"in_axes = 0, but argument 'x' has shape \(\)"):
        fg.vmap(lambda x: x)(1.0)
    with pytest.raises(ValueError, match="at least one batched array"):
        fg.vmap(lambda: 1.0)()
    with pytest.raises(ValueError, match="in_axes has 1 entries"):
        fg.vmap(lambda x, y: x, in_axes=(0,))(np.ones(2), np.ones(2))


def unaligned(x):
    buffer = np.zeros(x.nbytes + 1, np.uint8)
    view = buffer[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=0)[::2],
    "reversed": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "unaligned": unaligned,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "read-only": read_only,
    "repeated": lambda x: np.broadcast_to(x[0], x.shape),
}
FUNCTIONS = {
    "elementwise": lambda x: np.exp(x) * x + 1.0,
    "reduction": lambda x: np.sum(x * x, axis=0),
    "matmul": lambda x: x @ x.T,
    "sort": lambda x: np.sort(x, axis=1),
    "index": lambda x: x[[1, 0, 1]],
    "reshape": lambda x: x.reshape(-1),
    "scatter": lambda x: x.at[0].add(1.0) if hasattr(x, "at") else fg_at(x),
    "cumulative": lambda x: np.cumsum(x, axis=1),
    "where": lambda x: np.where(x > 1.0, x, 0.0),
    "linalg": lambda x: np.linalg.solve(x @ x.T + 10 * np.eye(2), x),
}


def fg_at(x):
    out = x.copy()
    out[0] += 1.0
    return out


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_R26_memory_layouts_change_nothing(layout, function):
    fun = FUNCTIONS[function]
    plain = np.array([[1.0, 2.0, 0.5], [0.25, 3.0, 1.5]])
    unusual = LAYOUTS[layout](plain)
    plain = np.array(unusual, dtype=np.float64, order="C")
    expected = fun(plain)
    slope = fg.grad(lambda x: np.sum(fun(x)))
    for road, found in values(fun, plain):
        np.testing.assert_allclose(found, expected, rtol=1e-14, err_msg=road)
    for found in (fun(unusual), fg.jit(fun)(unusual), fg.vmap(fun)(unusual[None])[0]):
        np.testing.assert_allclose(found, expected, rtol=1e-14)
    for gradient in (slope(unusual), fg.jit(slope)(unusual)):
        np.testing.assert_allclose(gradient, slope(plain), rtol=1e-14)
        assert gradient.dtype == np.float64 and gradient.dtype.isnative
        assert gradient.flags.c_contiguous and gradient.flags.writeable


TRANSFORMED = {
    "jit": fg.jit(lambda x: np.sum(x)),
    "grad": fg.grad(lambda x: np.sum(x)),
    "vmap": fg.vmap(lambda x: x * 2.0),
    "jvp": lambda x: fg.jvp(np.sin, (x,), (x,)),
}


@pytest.mark.parametrize("name", TRANSFORMED)
@pytest.mark.parametrize(
    "make",
    [
        lambda: np.ma.masked_array([1.0, 2.0], [False, True]),
        lambda: np.array([1.0, None], dtype=object),
        lambda: np.array(["a", "b"]),
        lambda: np.array(["2020-01-01"], "datetime64[D]"),
    ],
    ids=["masked", "object", "str", "datetime"],
)
def test_R26_other_arrays_are_refused_at_the_boundary(name, make):
    with pytest.raises(TypeError, match="argument"):
        TRANSFORMED[name](make())


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("name", TRANSFORMED)
def test_R26_matrices_are_refused_at_the_boundary(name):
    with pytest.raises(TypeError, match="matrix"):
        TRANSFORMED[name](np.matrix([[1.0, 2.0]]))


def test_R26_plain_subclasses_are_taken_as_arrays():
    class Named(np.ndarray):
        pass

    x = np.arange(3.0).view(Named)
    assert type(fg.jit(lambda x: x * 2)(x)) is np.ndarray
    assert type(fg.grad(lambda x: np.sum(x * x))(x)) is np.ndarray


def test_R26_the_message_names_argument_and_path():
    tree = {"layers": [np.ones(2), np.array([None])]}
    with pytest.raises(TypeError, match=r"'params' of loss at layers\.1 .* dtype object"):

        def loss(params):
            return np.sum(params["layers"][0])

        fg.grad(loss)(tree)
