"""The printed form of Programs: golden texts."""

import textwrap

import numpy as np

import funcgrad as fg
from funcgrad import lax
from funcgrad.ir.printer import program_text

X = np.ones(3)


def text(f, *args):
    return program_text(fg.make_jaxpr(f)(*args), source=False)


def golden(expected):
    return textwrap.dedent(expected).strip()


def test_arithmetic_literals_and_params():
    def f(x, y):
        z = np.sum(x * 2.0 + 1, axis=0) - np.float32(3)
        return z, np.reshape(y, (3, 1)), y > 0

    assert text(f, X, X.astype(np.float32)) == golden(
        """
        f(a:float64[3], b:float32[3]) {
          c:float64[3] = multiply a 2.0
          d:float64[3] = add c 1
          e:float64[] = reduce_sum[axes=(0,)] d
          f:float64[] = convert[dtype=float64] 3.0:float32[]
          g:float64[] = subtract e f
          h:float32[3,1] = reshape[shape=(3, 1)] b
          i:bool[3] = greater b 0
          return g, h, i
        }
        """
    )


def test_no_inputs_and_no_outputs():
    assert text(lambda: None) == "lambda() {\n  return\n}"
    assert text(lambda x: 2.0, X) == "lambda(a:float64[3]) {\n  return 2.0\n}"


def test_inner_programs_are_indented():
    def f(x):
        return lax.scan(lambda c, y: (c + y, c), 0.0, x)[0]

    assert text(f, X) == golden(
        """
        f(a:float64[3]) {
          b:float64[] = convert[dtype=float64] 0.0
          c:float64[], d:float64[3] = scan[length=3, num_carry=1, num_consts=0, reverse=False] b a
              body = lambda(a:float64[], b:float64[]) {
                c:float64[] = add a b
                return c, a
              }
          return c
        }
        """
    )


def test_branches():
    printed = text(lambda x: lax.cond(x[0] > 0, np.sin, np.cos, x), X)
    assert printed.count("branches = ") == 2
    assert "  = cos a" in printed.replace("b:float64[3]", "") and "sin a" in printed


def test_names_go_on_after_z():
    def f(x):
        for _ in range(30):
            x = np.sin(x)
        return x

    lines = text(f, X).splitlines()
    assert lines[25] == "  z:float64[3] = sin y"
    assert lines[26] == "  aa:float64[3] = sin z"
    assert lines[-2] == "  return ae"


def test_two_recordings_print_the_same():
    f = fg.grad(lambda x: np.sum(np.tanh(x) * lax.fori_loop(0, 3, lambda i, c: c * x[0], 1.0)))
    assert text(f, X) == text(f, X)


def test_source_column():
    program = fg.make_jaxpr(lambda x: np.sin(x))(X)
    line = str(program).splitlines()[1]
    assert line.index("#") == 60 and line.endswith(tuple("0123456789"))
    assert "test_printer.py:" in line
