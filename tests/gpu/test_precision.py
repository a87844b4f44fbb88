"""`default_matmul_precision`: names, scope, and what is asked of CuPy's products."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.config import config


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        (None, "highest"),
        ("default", "highest"),
        ("float32", "highest"),
        ("highest", "highest"),
        ("high", "tensorfloat32"),
        ("tensorfloat32", "tensorfloat32"),
        ("bfloat16", "bfloat16"),
    ],
)
def test_names(name, canonical):
    assert config.default_matmul_precision == "highest"
    with fg.default_matmul_precision(name):
        assert config.default_matmul_precision == canonical
    assert config.default_matmul_precision == "highest"


def test_unknown_names():
    with pytest.raises(ValueError, match="'tf32' is not known. Write one of 'highest'"):
        fg.default_matmul_precision("tf32")


def test_the_cpu_ignores_it():
    x = np.random.default_rng(0).normal(size=(30, 30)).astype(np.float32)
    product = fg.jit(lambda x: x @ x)
    with fg.default_matmul_precision("bfloat16"):
        np.testing.assert_array_equal(fnp.matmul(x, x), x @ x)
        np.testing.assert_allclose(product(x), x @ x, rtol=1e-5, atol=1e-5)


def test_products_of_cupy_are_told(strict, monkeypatch):
    settings = pytest.importorskip("cupy._core._routines_linalg")
    current, seen = [settings.COMPUTE_TYPE_DEFAULT], []
    monkeypatch.setattr(settings, "get_compute_type", lambda dtype: current[0])
    monkeypatch.setattr(
        settings, "set_compute_type", lambda dtype, kind: current.__setitem__(0, kind)
    )
    matmul = strict.matmul
    noted = lambda *args: seen.append(current[0]) or matmul(*args)
    monkeypatch.setattr(strict, "matmul", noted, raising=False)
    x = strict.asarray(np.ones((2, 2), np.float32))
    for name in ("highest", "tensorfloat32", "bfloat16"):
        with fg.default_matmul_precision(name):
            fg.numpy.dot(x, x)
    default = settings.COMPUTE_TYPE_DEFAULT
    assert seen == [default, settings.COMPUTE_TYPE_TF32, settings.COMPUTE_TYPE_BF16]
    assert current == [default]


@pytest.mark.gpu
@pytest.mark.parametrize("jit", [lambda f: f, fg.jit], ids=["eager", "jit"])
def test_errors_on_a_gpu(jit):
    import cupy

    x = np.random.default_rng(0).normal(size=(512, 512))
    exact = x @ x
    found = {}
    for name in ("highest", "tensorfloat32", "bfloat16"):
        with fg.default_matmul_precision(name):
            product = cupy.asnumpy(jit(lambda x: fnp.matmul(x, x))(cupy.asarray(x, np.float32)))
        found[name] = np.linalg.norm(product - exact) / np.linalg.norm(exact)
    assert found["highest"] < 2e-6, found
    assert found["tensorfloat32"] < 2e-3 and found["bfloat16"] < 2e-2, found
