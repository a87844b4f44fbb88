"""R52, and what reaches a traced value: Python's control flow, NumPy, SciPy and the math module.

Every row that cannot work raises an error of ours, which names the user's line and what to write instead.
"""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import scipy.linalg
import scipy.special
import scipy.stats

import funcgrad as fg
from tests.regress.everywhere import check_gradient

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

X = np.array([1.0, 2.0, 3.0])


def batched(fun):
    return lambda x: fg.vmap(fun)(np.stack([x, x]))


def branch(x):
    if x[0] > 0:
        return np.sum(x)
    return -np.sum(x)


def loop(x):
    while np.sum(x) < 10:
        x = x * 2
    return np.sum(x)


def logic(x):
    return np.sum(x) if x[0] > 0 and not x[1] < 0 else 0.0


def asserted(x):
    assert x[0] > 0
    return np.sum(x)


def membership(x):
    return np.sum(x) if x[0] in [x[1], x[2]] else 0.0


def ordered(x):
    return sorted([x[0], x[1]])[1]


def chosen(x):
    return max(x[0], x[1])


BOOLEANS = [branch, loop, logic, asserted, membership, ordered, chosen]


@pytest.mark.parametrize("fun", BOOLEANS)
def test_R52_python_decides_on_values_under_grad_and_jvp(fun):
    found = fg.grad(fun)(X)
    assert found.shape == X.shape and np.isfinite(found).all()
    assert np.isfinite(fg.jvp(fun, (X,), (np.ones(3),))[1])


LINES = {
    branch: ("if x[0] > 0:", "lax.cond"),
    loop: ("while np.sum(x) < 10:", "lax.while_loop"),
    logic: ("return np.sum(x) if x[0] > 0 and not x[1] < 0 else 0.0", "np.where"),
    asserted: ("assert x[0] > 0", "debug.print"),
    membership: ("return np.sum(x) if x[0] in [x[1], x[2]] else 0.0", "np.any"),
    ordered: ("return sorted([x[0], x[1]])[1]", "np.sort"),
    chosen: ("return max(x[0], x[1])", "np.where"),
}


@pytest.mark.parametrize("fun", BOOLEANS)
@pytest.mark.parametrize("transform", [fg.jit, batched, lambda f: fg.jit(fg.grad(f))])
def test_R52_python_cannot_decide_on_compiled_or_batched_values(fun, transform):
    with pytest.raises(fg.TracerBoolConversionError) as caught:
        transform(fun)(X)
    check_message(caught.value, "tracer-bool", fun.__name__, *LINES[fun], "bool[]")


def check_message(error, page, *texts):
    """All five parts: what, where, why, how instead, page."""
    message = str(error)
    assert "test_tracers.py:" in message
    assert "Write instead:\n" in message
    assert message.endswith(f"See docs/errors.md#{page}")
    assert len(message.split("Write instead:")[0].splitlines()) >= 3
    for text in texts:
        assert text in message


NUMBERS = {
    "float": lambda x: float(x[0]),
    "int": lambda x: int(x[0]),
    "complex": lambda x: complex(x[0]),
    "item": lambda x: x[0].item(),
    "tolist": lambda x: x.tolist(),
    "math.sin": lambda x: math.sin(x[0]),
    "math.floor": lambda x: math.floor(x[0]),
    "math.sqrt": lambda x: math.sqrt(x[0]),
    "round": lambda x: round(x[0]),
    "format": lambda x: f"{x[0]:.2f}",
    "percent": lambda x: "%.2f" % x[0],  # noqa: UP031
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("transform", [fg.jit, batched, lambda f: fg.jit(fg.grad(f))])
def test_R52_numbers_are_not_concrete_in_compiled_code(name, transform):
    with pytest.raises(fg.ConcretizationTypeError) as caught:
        transform(NUMBERS[name])(X)
    check_message(caught.value, "concretization", "float64[", f'"{name}": ')


@pytest.mark.parametrize("name", [n for n in NUMBERS if n not in ("format",)])
def test_R52_numbers_would_drop_the_gradient(name):
    with pytest.raises(fg.ConcretizationTypeError) as caught:
        fg.grad(NUMBERS[name])(X)
    check_message(caught.value, "concretization", "derivative", "stop_gradient")


INTEGERS = {
    "range": lambda i: [0 for _ in range(i)],
    "list index": lambda i: [1.0, 2.0][i],
    "shape": lambda i: np.zeros(i),
    "reshape": lambda i: np.ones(6).reshape(i, -1),
    "slice of a list": lambda i: [1, 2, 3][:i],
    "ndarray slice": lambda i: X[:i],
    "hex": lambda i: hex(i),
    "bin": lambda i: math.factorial(i),
}


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("transform", [fg.jit, lambda f: lambda i: fg.vmap(f)(np.array([i, i]))])
def test_R52_integers_are_not_concrete(name, transform):
    with pytest.raises(fg.TracerIntegerConversionError) as caught:
        transform(INTEGERS[name])(1)
    check_message(caught.value, "tracer-integer", "int64[]", f'"{name}": ')
    assert ("static_argnames" in str(caught.value)) == (transform is fg.jit)


ARRAYS = {
    "np.array": (lambda x: np.array([x[0], x[1]]), "np.stack"),
    "np.array of arrays": (lambda x: np.array([x, x]), "np.stack"),
    "np.asarray": (lambda x: np.asarray(x), "np.stack"),
    "np.full": (lambda x: np.full(3, x[0]), "like=x"),
    "np.arange": (lambda x: np.arange(x[0]), "arange"),
    "np.sum of a list": (lambda x: np.sum([x[0], x[1]]), "np.stack"),
    "ndarray.dot": (lambda x: X.dot(x), "np.dot"),
    "np.float32": (lambda x: np.float32(x[0]), "astype"),
    "np.r_": (lambda x: np.r_[x, x], "np.concatenate"),
    "np.c_": (lambda x: np.c_[x, x], "np.concatenate"),
    "np.vectorize": (lambda x: np.vectorize(lambda v: v * 2)(x), "vmap"),
    "special.logsumexp": (lambda x: scipy.special.logsumexp(x), "logsumexp"),
    "special.softmax": (lambda x: scipy.special.softmax(x), "softmax"),
    "linalg.solve": (lambda x: scipy.linalg.solve(np.eye(3), x), "np.linalg.solve"),
    "linalg.expm": (lambda x: scipy.linalg.expm(np.outer(x, x)), "pure_callback"),
    "stats.norm.logpdf": (lambda x: scipy.stats.norm.logpdf(x), "pure_callback"),
}
WHERE = {
    "jit": fg.jit,
    "grad": fg.grad,
    "vmap": batched,
    "jvp": lambda f: lambda x: fg.jvp(f, (x,), (x,)),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("transform", WHERE)
def test_S9_what_asks_for_memory_raises_our_error(name, transform):
    fun, instead = ARRAYS[name]
    with pytest.raises((fg.TracerArrayConversionError, fg.ConcretizationTypeError)) as caught:
        WHERE[transform](fun)(X)
    check_message(caught.value, page_of(caught.value), f'"{name}": ')
    assert instead in str(caught.value)


def page_of(error):
    return "tracer-array" if type(error) is fg.TracerArrayConversionError else "concretization"


@pytest.mark.parametrize("transform", ["jit", "vmap"])
def test_S9_indexing_a_real_array_with_a_traced_integer(transform):
    table = np.arange(5.0)
    with pytest.raises((fg.TracerArrayConversionError, fg.TracerIntegerConversionError)) as caught:
        WHERE[transform](lambda x: table[x[0].astype(int)])(X)
    assert "fnp.asarray(table)[i]" in str(caught.value).replace("funcgrad.numpy", "fnp")


@pytest.mark.parametrize("transform", WHERE)
def test_S9_writing_into_a_real_array(transform):
    def one(x):
        out = np.zeros(3)
        out[0] = x[0]
        return out

    def several(x):
        out = np.zeros(3)
        out[0:2] = x[0:2]
        return out

    for fun, line in [(one, "out[0] = x[0]"), (several, "out[0:2] = x[0:2]")]:
        with pytest.raises((fg.TracerArrayConversionError, fg.ConcretizationTypeError)) as caught:
            WHERE[transform](fun)(X)
        check_message(caught.value, page_of(caught.value), line, "like=x")


def test_S9_object_arrays_are_never_made():
    for build in (
        lambda x: np.array([x[0], x[1]], dtype=object),
        lambda x: np.array([x, None], dtype=object),
        lambda x: np.asarray([x[0]], dtype=object),
    ):
        for transform in WHERE.values():
            with pytest.raises((fg.TracerArrayConversionError, fg.ConcretizationTypeError)):
                transform(build)(X)


ARRIVES = {
    "np.sin": (lambda x: np.sum(np.sin(x)), np.cos(X)),
    "ndarray * T": (lambda x: np.sum(X * x), X),
    "T * ndarray": (lambda x: np.sum(x * X), X),
    "np.float64 ** T": (lambda x: np.sum(np.float64(2) ** x), np.log(2) * 2**X),
    "ndarray @ T": (lambda x: X @ x, X),
    "list + T": (lambda x: np.sum([1.0, 2.0, 3.0] * x), X),
    "zeros_like": (lambda x: np.sum(np.zeros_like(x) + x), np.ones(3)),
    "zeros like=": (lambda x: np.sum(np.zeros(3, like=x) + x), np.ones(3)),
    "stack": (lambda x: np.sum(np.stack([x, x])), 2 * np.ones(3)),
    "where": (lambda x: np.sum(np.where(x > 1.5, x, 0.0)), [0.0, 1.0, 1.0]),
    "einsum": (lambda x: np.einsum("i,i->", x, X), X),
    "interp": (lambda x: np.sum(np.interp(x, [0.0, 4.0], [0.0, 8.0])), 2 * np.ones(3)),
    "add.reduce": (lambda x: np.add.reduce(x), np.ones(3)),
    "multiply.accumulate": (lambda x: np.multiply.accumulate(x)[1], [2.0, 1.0, 0.0]),
    "multiply.outer": (lambda x: np.sum(np.multiply.outer(x, X)), 6 * np.ones(3)),
    "out=": (lambda x: np.sum(np.exp(x, out=np.zeros(3, like=x))), np.exp(X)),
    "where=": (lambda x: np.sum(np.exp(x, where=X > 1.5, out=x * 1.0)), [1.0, *np.exp(X[1:])]),
    "linalg": (lambda x: np.linalg.norm(x), X / np.linalg.norm(X)),
    "fft": (lambda x: np.abs(np.fft.rfft(x)[0]), np.ones(3)),
    "expit": (
        lambda x: np.sum(scipy.special.expit(x)),
        scipy.special.expit(X) * scipy.special.expit(-X),
    ),
    "erf": (lambda x: np.sum(scipy.special.erf(x)), 2 / math.sqrt(math.pi) * np.exp(-(X**2))),
    "gammaln": (lambda x: np.sum(scipy.special.gammaln(x)), scipy.special.digamma(X)),
    "xlogy": (lambda x: np.sum(scipy.special.xlogy(x, 2.0)), np.full(3, math.log(2.0))),
    "sum()": (lambda x: sum(x), np.ones(3)),
    "unpacking": (lambda x: (lambda a, b, c: a * b + c)(*x), [2.0, 1.0, 1.0]),
    "abs()": (lambda x: np.sum(abs(x)), np.ones(3)),
    "divmod": (lambda x: np.sum(divmod(x, 2.0)[1]), np.ones(3)),
    "method": (lambda x: x.reshape(3, 1).T.ravel().sum(), np.ones(3)),
}


@pytest.mark.parametrize("name", ARRIVES)
def test_S9_what_arrives_works_everywhere(name):
    fun, expected = ARRIVES[name]
    check_gradient(fun, X, expected)


def test_R52_f_strings_show_the_type():
    texts = []

    def fun(x):
        texts.append(f"{x} {x!r}")
        return np.sum(x)

    fg.jit(fun)(X), fg.grad(fun)(X), fg.vmap(fun)(X[None])
    fg.vmap(fun, axis_name="i")(X[None])
    shown = [text.split(" traced by ", 1)[1].split(" float64")[0] for text in texts]
    assert [text.split(" ")[0] for text in texts] == ["float64[3]"] * 4
    assert shown[0] == "jit(fun)" and shown[1] == "grad(fun)"
    assert shown[2] == "vmap (1 examples)" and "axis 'i'" in shown[3]


def test_R52_the_message_names_argument_and_caller():
    def loss(params, x):
        if params["w"][0] * x > 0:
            return x
        return -x

    with pytest.raises(fg.TracerBoolConversionError) as caught:
        fg.jit(loss)({"w": X, "b": X + 1}, 1.0)
    message = str(caught.value)
    assert "depends on argument 'params' of loss at w and argument 'x' of loss" in message
    assert re.search(r'test_tracers.py:\d+  in loss +if params\["w"\]\[0\] \* x > 0:', message)
    assert re.search(r"called from test_tracers.py:\d+  in test_R52_the_message", message)
    assert 'static_argnames=("x",)' in message


def test_R52_numbers_are_formatted_where_they_are_known():
    texts = []

    def fun(x):
        texts.append(f"{x[0]:.2f}")
        return np.sum(x)

    fg.grad(fun)(X)
    assert texts == ["1.00"]


def test_R52_in_place_code_works_and_the_caller_sees_nothing():
    def fun(x):
        x[0] = 10.0
        x += 1.0
        return np.sum(x**2)

    x = X.copy()
    assert fg.jit(fun)(x) == fg.vmap(fun)(x[None])[0] == 11.0**2 + 3.0**2 + 4.0**2
    for slope in (fg.grad(fun), fg.jit(fg.grad(fun)), fg.grad(fg.jit(fun)), fg.jacfwd(fun)):
        np.testing.assert_array_equal(slope(x), [0.0, 6.0, 8.0])
    np.testing.assert_array_equal(x, X)


class Mine(Exception):
    pass


@pytest.mark.parametrize("transform", WHERE)
def test_the_users_own_exceptions_pass_unchanged(transform):
    def inner(x):
        raise Mine("from the user's line", x.shape)

    with pytest.raises(Mine) as caught:
        WHERE[transform](lambda x: inner(x * 2))(X)
    assert caught.value.args == ("from the user's line", (3,))
    assert caught.value.__cause__ is None and caught.value.__context__ is None
    assert caught.traceback[-1].name == "inner"


@pytest.mark.parametrize("transform", WHERE)
def test_shape_errors_show_both_shapes_at_the_users_line(transform):
    def fun(x):
        return np.sum(x + np.ones(4))

    with pytest.raises(ValueError, match=r"\(3,\).*\(4,\)") as caught:
        WHERE[transform](fun)(X)
    user_lines = [str(entry.path) for entry in caught.traceback]
    assert any(path.endswith("test_tracers.py") for path in user_lines)
