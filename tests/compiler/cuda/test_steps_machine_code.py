"""The kernels of steps through NVRTC: they compile for two architectures and spill nothing."""

import pytest

from tests.gpu.emulator.available import require_emulator

require_emulator()

from funcgrad.compiler.cuda.listing import sources  # noqa: E402
from funcgrad.compiler.cuda.runtime import nvrtc  # noqa: E402
from funcgrad.compiler.cuda.runtime.modules import module_text  # noqa: E402
from tests.compiler.cuda import test_epilogues, test_steps, test_steps_loops  # noqa: E402
from tests.compiler.cuda.step_rows import items_of  # noqa: E402

try:
    nvrtc.version()
except Exception as error:  # CuPy's own errors, of several kinds
    pytest.skip(f"NVRTC cannot be used: {error}", allow_module_level=True)

KINDS = {
    "products": test_steps.products,
    "convolutions": test_steps.convolutions,
    "windows": test_steps.windows,
    "scatters": test_steps.scatters,
    "running": test_steps.running,
    "loops": test_steps_loops.rows,
    "epilogues": test_epilogues.rows,
}
SOME = 9  # every so many kernels are a sample


def kernels_of(kind):
    """All kernels of the rows of a kind, by name."""
    found = {}
    for row in KINDS[kind]():
        found.update(sources(items_of(row.function, *row.arguments)))
    return [found[name] for name in sorted(found)]


def check(chosen, architecture):
    used = nvrtc.resources(module_text(chosen), architecture)
    assert used
    assert not {name: each for name, each in used.items() if each.spilled}


def test_a_sample_of_kernels():
    check([source for kind in KINDS for source in kernels_of(kind)[::SOME]], "sm_90")


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_kernels(kind, architecture):
    check(kernels_of(kind), architecture)
