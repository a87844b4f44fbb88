"""Convolutions: every order of axes, padding by name, groups, empty arrays, and what errors say."""

import numpy as np
import pytest
from scipy.signal import convolve2d, correlate2d

import funcgrad as fg
from funcgrad import lax
from funcgrad.ops.sliding import Sliding
from funcgrad.test_util import check_grads

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape)


def test_two_dimensions_are_scipys_correlation():
    x, w = normal(7, 6), normal(3, 2)
    out = lax.conv(x[None, None], w[None, None], (1, 1), "VALID")[0, 0]
    np.testing.assert_allclose(out, correlate2d(x, w, "valid"))
    full = lax.conv(x[None, None], w[None, None, ::-1, ::-1], (1, 1), [(2, 2), (1, 1)])[0, 0]
    np.testing.assert_allclose(full, convolve2d(x, w, "full"))


@pytest.mark.parametrize(
    "numbers",
    [("NHWC", "HWIO", "NHWC"), ("CHWN", "IHWO", "NCWH"), ("HNWC", "WIHO", "WHCN")],
)
def test_axes_in_any_order(numbers):
    x, w = normal(2, 3, 6, 5), normal(4, 3, 3, 2)
    plain = lax.conv_general_dilated(x, w, (2, 1), [(1, 0), (0, 2)], rhs_dilation=(1, 2))
    turn = lambda array, names, order: array.transpose([names.index(a) for a in order])
    # The arguments per axis are in the order of the window's axes.
    order = [a for a in numbers[1] if a in "HW"]
    per_axis = lambda *values: [values["HW".index(a)] for a in order]
    out = lax.conv_general_dilated(
        turn(x, "NCHW", numbers[0]),
        turn(w, "OIHW", numbers[1]),
        per_axis(2, 1),
        per_axis((1, 0), (0, 2)),
        rhs_dilation=per_axis(1, 2),
        dimension_numbers=numbers,
    )
    np.testing.assert_allclose(out, turn(plain, "NCHW", numbers[2]))


def test_dimension_numbers_as_positions():
    numbers = lax.conv_dimension_numbers((1, 2, 3), (4, 2, 3), ("NWC", "WIO", "NWC"))
    assert numbers == ((0, 2, 1), (2, 1, 0), (0, 2, 1))
    x, w = normal(2, 5, 3), normal(2, 3, 4)
    by_names = lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))
    by_places = lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=numbers)
    np.testing.assert_array_equal(by_names, by_places)


@pytest.mark.parametrize("length", range(1, 8))
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_keeps_the_length(length, size, stride):
    x, w = normal(1, 1, length), normal(1, 1, size)
    out = lax.conv(x, w, (stride,), "SAME")
    assert out.shape == (1, 1, -(-length // stride))
    if size >= stride:  # then the windows reach both ends
        turned = lax.conv(x[..., ::-1], w[..., ::-1], (stride,), "SAME_LOWER")
        np.testing.assert_allclose(turned[..., ::-1], out)


def test_groups_are_separate_convolutions():
    x, w = normal(4, 6, 5), normal(4, 3, 2)
    parts = [lax.conv(x[:, i : i + 3], w[j : j + 2], (1,), "VALID") for i, j in ((0, 0), (3, 2))]
    out = lax.conv_general_dilated(x, w, (1,), "VALID", feature_group_count=2)
    np.testing.assert_allclose(out, np.concatenate(parts, 1))
    x = x[:, :3]
    parts = [lax.conv(x[i : i + 2], w[i : i + 2], (1,), "VALID") for i in (0, 2)]
    out = lax.conv_general_dilated(x, w, (1,), "VALID", batch_group_count=2)
    np.testing.assert_allclose(out, np.concatenate(parts, 1))


@pytest.mark.parametrize("padding", ["SAME", "VALID", [(2, 1), (0, 0)]])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_conv_transpose_is_the_transpose_of_conv(padding, strides):
    w = normal(3, 2, 4, 5)
    x = normal(2, 4, 3, 5)
    out = lax.conv_transpose(x, w, strides, padding, transpose_kernel=True)
    forward = lambda y: lax.conv_general_dilated(
        y, w, strides, pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    # The padding of the forward convolution follows from the lengths of its input.
    lengths = out.shape[1:3]
    if padding == "SAME":
        assert lengths == tuple(n * s for n, s in zip(x.shape[1:3], strides, strict=True))
        pads = "SAME"
    elif padding == "VALID":
        pads = "VALID"
    else:
        pads = [(n - 1 - lo, n - 1 - hi) for n, (lo, hi) in zip(w.shape, padding, strict=False)]
    transposed = fg.linear_transpose(forward, np.zeros((2, *lengths, 4)))
    np.testing.assert_allclose(out, transposed(x)[0])


def test_empty_arrays():
    for shape_x, shape_w in [
        ((0, 2, 5), (3, 2, 2)),
        ((2, 0, 5), (3, 0, 2)),
        ((2, 2, 1), (3, 2, 2)),
    ]:
        x, w = np.ones(shape_x), np.ones(shape_w)
        out, pull = fg.vjp(lambda x, w: lax.conv(x, w, (1,), "VALID"), x, w)
        assert out.shape == (shape_x[0], 3, shape_x[2] - 1)
        assert not out.any()
        pulled = pull(np.ones_like(out))
        assert [p.shape for p in pulled] == [shape_x, shape_w]
        assert not any(p.any() for p in pulled)


def test_half_precision_is_added_up_in_single():
    x, w = np.ones((1, 4096, 1), np.float16), np.ones((1, 4096, 1), np.float16)
    assert lax.conv(x, w, (1,), "VALID").item() == 4096


def test_operands_are_promoted():
    x, w = np.ones((1, 1, 3), np.float32), np.ones((1, 1, 2), np.int32)
    assert lax.conv(x, w, (1,), "VALID").dtype == np.float64
    assert lax.conv(x, w.astype(np.int16), (1,), "VALID").dtype == np.float32


def test_third_order():
    x, w = normal(1, 2, 5, 4), normal(2, 2, 2, 3)
    function = lambda x, w: np.sin(lax.conv(x, w, (2, 1), [(1, 0), (1, -1)]))
    check_grads(function, (x, w), order=3, atol=1e-4, rtol=1e-4)


def test_per_example_gradients():
    x, w = normal(4, 2, 5, 5), normal(3, 2, 3, 3)
    loss = lambda w, x: np.sum(lax.conv(x[None], w, (1, 1), "SAME") ** 2)
    batched = fg.vmap(fg.grad(loss), in_axes=(None, 0))(w, x)
    np.testing.assert_allclose(batched, [fg.grad(loss)(w, each) for each in x])
    both = fg.vmap(fg.grad(loss))(np.stack([w] * 4), x)
    np.testing.assert_allclose(both, batched)


def test_derivatives_are_convolutions_and_need_no_transposes():
    x, w = normal(2, 3, 6, 6), normal(4, 3, 3, 3)
    loss = lambda x, w: np.sum(lax.conv(x, w, (1, 1), "SAME") ** 2)
    program = str(fg.make_jaxpr(fg.grad(loss, (0, 1)))(x, w))
    assert program.count("convolve") == 3
    assert "transpose" not in program


@pytest.mark.parametrize("sliding", [Sliding(3, 2, 1, -1, 2, 3), Sliding(2, 3, -2, 4), Sliding(1)])
@pytest.mark.parametrize("length", range(6))
def test_windows_of_derivatives_fit(sliding, length):
    places = sliding.places(length)
    assert sliding.over_results(length).places(places) == length
    assert sliding.of_results(length).places(length) == sliding.size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lhs": np.ones((3, 5))}, r"the same number of axes.*x\[None\]"),
        ({"lhs": np.ones((1, 4, 5))}, "4 channels come in, but the weights take 3"),
        ({"rhs": np.ones((2, 3, 0))}, "needs at least 1 element"),
        ({"padding": "SAMEISH"}, '"SAME", "SAME_LOWER", "VALID"'),
        ({"padding": [(1, 1), (1, 1)]}, "1 axes need 1 pairs"),
        ({"padding": 1}, "pairs"),
        ({"window_strides": (0,)}, "at least 1"),
        ({"window_strides": (1, 1)}, "1 axes need 1 ints"),
        ({"padding": "SAME", "lhs_dilation": (2,)}, "conv_transpose"),
        ({"feature_group_count": 2, "batch_group_count": 2}, "one of them must be 1"),
        ({"lhs": np.ones((1, 6, 5)), "feature_group_count": 2, "rhs": np.ones((3, 3, 2))}, "split"),
        ({"batch_group_count": 2}, "1 examples cannot be split"),
        ({"dimension_numbers": ("NWC", "WIO", "NCX")}, "'NCX' does not name 3 axes"),
        ({"dimension_numbers": ("NWC", "WIO")}, "three operands"),
    ],
)
def test_errors_name_shapes_and_the_way_out(arguments, message):
    given = {"lhs": np.ones((1, 3, 5)), "rhs": np.ones((2, 3, 2)), "window_strides": (1,)}
    given |= {"padding": "VALID"} | arguments
    with pytest.raises(ValueError, match=message):
        lax.conv_general_dilated(**given)


@pytest.mark.parametrize("most", [1, 7, 100])
def test_windows_are_copied_in_pieces(most, monkeypatch):
    x, w = normal(3, 4, 9, 6), normal(6, 2, 3, 2)
    call = lambda x, w: lax.conv_general_dilated(x, w, (1, 2), "SAME", feature_group_count=2)
    expected, pull = fg.vjp(call, x, w)
    gradients = pull(expected)
    monkeypatch.setattr("funcgrad.ops.convolution.MOST_ELEMENTS", most)
    out, pull = fg.vjp(call, x, w)
    np.testing.assert_allclose(out, expected)
    for got, want in zip(pull(out), gradients, strict=True):
        np.testing.assert_allclose(got, want)
