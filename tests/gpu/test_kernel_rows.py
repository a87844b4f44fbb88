"""The kernels of the GPU table on the emulator, at tiny sizes: right in each precision, and in few launches."""

import ml_dtypes
import numpy as np
import pytest

import funcgrad as fg
from benchmarks.gpu.rows import KERNELS
from benchmarks.gpu.sides import as_float32
from benchmarks.gpu.worker import reference
from benchmarks.row import check, leaves_of, map_arrays
from tests.gpu.emulator.available import require_emulator

require_emulator()

from tests.gpu.emulator.device import emulated  # noqa: E402
from tests.gpu.emulator.memory import host, put  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

LAUNCHES = {"K1": 1, "K2": 1, "K3": 2}  # at most, of one call
CALLS = 3  # launched, recorded, replayed


def put_as(dtype):
    def take(array):
        is_cast = dtype == "bfloat16" and array.dtype.kind == "f"
        return put(array.astype(ml_dtypes.bfloat16) if is_cast else array)

    return take


@pytest.mark.parametrize("name", KERNELS)
def test_kernel(name):
    row = KERNELS[name].shrunk()
    with emulated() as device, fg.default_matmul_precision(row.precision):
        call = row.funcgrad(*map_arrays(put_as(row.dtype), row.data(np.random.default_rng(0))))
        for _ in range(CALLS):
            out = call()
        found = [as_float32(np.asarray(host(leaf))) for leaf in leaves_of(out)]
        assert 0 < device.launches <= CALLS * LAUNCHES.get(name, 100)
    check(row, found, reference(row))
