"""Functions of `funcgrad.numpy` on CuPy arrays: NumPy's results, also where CuPy has no such function."""

import numpy as np
import pytest

import funcgrad.numpy as fnp
from tests.gpu import strict_cupy
from tests.numpy.cases import CASES
from tests.numpy.test_parity import assert_same, identify, numpy_result

pytestmark = [
    pytest.mark.usefixtures("strict"),
    pytest.mark.filterwarnings("ignore:.*:RuntimeWarning"),
]


def on_gpu(case):
    """The arguments of a case on the pretended GPU, but for those that stay concrete."""
    return [
        x if i in case.static else strict_cupy.put(np.array(x)) if isinstance(x, np.ndarray) else x
        for i, x in enumerate(case.args)
    ]


def on_host(value):
    if isinstance(value, tuple | list):
        return (
            type(value)(map(on_host, value))
            if type(value) in (tuple, list)
            else tuple(map(on_host, value))
        )
    return value.get() if isinstance(value, strict_cupy.ndarray) else value


def has_numpy(value):
    if isinstance(value, tuple | list):
        return any(map(has_numpy, value))
    return isinstance(value, np.ndarray)


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_on_gpu(case):
    try:
        found = case.call(fnp, *on_gpu(case))
    except (TypeError, AttributeError) as error:
        # The row has arrays of its own beside its arguments, or calls a function of NumPy that CuPy lacks.
        if "on different devices" in str(error) or "CuPy has no" in str(error):
            pytest.skip(str(error).splitlines()[0])
        raise
    assert not has_numpy(found) or not has_numpy(case.args)
    assert_same(on_host(found), numpy_result(case))
