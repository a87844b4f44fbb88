"""The table of primitives under `jit` on CuPy arrays: generated CUDA C, run by the emulator."""

import pytest

from tests.gpu.emulator.available import require_emulator

require_emulator()

from tests.gpu import rows  # noqa: E402
from tests.ops.rows import batched_rows, derivative_rows, value_rows  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*was compiled .* times"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

CHUNK = 60  # rows whose kernels are compiled together
ORDERS = 3  # of threads; each chunk is run in one of them
ROWS = {
    "values": list(value_rows()),
    "derivatives": list(derivative_rows()),
    "batched": list(batched_rows()),
}


def chunks(kind):
    """All numbers of chunks of a kind of rows."""
    return range(-(-len(ROWS[kind]) // CHUNK))


def check(kind, number):
    found = ROWS[kind][number * CHUNK : (number + 1) * CHUNK]
    failed = rows.failures(found, number % ORDERS)
    assert not failed, f"{len(failed)} of {len(found)} rows:\n" + "\n".join(failed)


@pytest.mark.parametrize("number", chunks("values"))
def test_values(number):
    check("values", number)


@pytest.mark.parametrize("number", chunks("derivatives"))
def test_derivatives(number):
    check("derivatives", number)


@pytest.mark.parametrize("number", chunks("batched"))
def test_batched(number):
    check("batched", number)
