"""The GPU table, tried out on NumPy arrays at tiny sizes: its rows, its report, and what happens to sides that fail."""

import json
import math

import numpy as np
import pytest

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu.report import report_text
from benchmarks.gpu.rows import KERNELS, ROWS, goal_of, limit_of, row_named
from benchmarks.gpu.sides import gpu_library, sides_of
from benchmarks.gpu.worker import checked_small, measure_slice, parts, reference
from benchmarks.libraries import arrays_of
from benchmarks.row import check

# Each row compiles its own function through the same lines.
pytestmark = pytest.mark.filterwarnings("ignore:.*was compiled .* times")

OPTIONS = ["--tiny", "--backend", "numpy", "--seconds", "0.01", "--sides", "funcgrad"]


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_agree_with_their_references(name):
    row = row_named(f"{name}@tiny")
    library = gpu_library("funcgrad", "numpy")
    library.prepare(row)
    call, _ = parts(library.build(row, row.data(np.random.default_rng(0))))
    check(row, arrays_of(library, call()), reference(row))


@pytest.fixture(autouse=True)
def usual_precision():
    import funcgrad as fg

    yield
    fg.config.default_matmul_precision = "highest"


def test_wrong_kernels_are_not_timed(monkeypatch):
    row = KERNELS["K2"].shrunk()
    monkeypatch.setattr(type(row), "reference", lambda self, x, scale, shift: x)
    with pytest.raises(ValueError, match="result 0 is off by"):
        checked_small(gpu_library("funcgrad", "numpy"), row)


def test_sizes_of_the_table():
    assert KERNELS["K1"].bytes_moved == 8e8 and math.isnan(KERNELS["K1"].flops)
    assert 0.3e12 < KERNELS["K4a"].flops < 0.5e12
    limits = {"copy": 4e12, "highest": 5e13, "tensorfloat32": 4e14, "bfloat16": 8e14}
    assert limit_of(KERNELS["K1"], limits) == pytest.approx(200e-6)
    times = [limit_of(KERNELS[name], limits) for name in ("K4a", "K4b", "K4c")]
    assert times[0] == pytest.approx(8 * times[1]) and times[1] == pytest.approx(2 * times[2])
    assert math.isnan(limit_of(ROWS["W1"], limits)) and math.isnan(limit_of(KERNELS["K1"], {}))


def test_goals():
    assert goal_of("W1") == goal_of("W12@tiny") == 1.5 and goal_of("W8") == goal_of("K1") == 1.0


def test_sides():
    assert sides_of(KERNELS["K1"]) == ["funcgrad", "jax", "torch", "torch_compile", "torch_graph"]
    assert "torch_compile" not in sides_of(ROWS["W10a"])


def test_calls_are_awaited_in_groups():
    events = []
    found = measure_slice(
        lambda: events.append("call"), lambda result: events.append("wait"), 0.0, 5e-3
    )
    assert events == ["call"] * 4 + ["wait"] and found["host"] <= found["seconds"]


def test_the_program_measures_and_writes(tmp_path, capsys):
    file, text = tmp_path / "numbers.json", tmp_path / "table.md"
    gpu.main(["K2", *OPTIONS, "--json", str(file), "--results", str(text)])
    shown = capsys.readouterr().out
    line, shown = shown.split("\n", 1)
    assert line.startswith("K2@tiny: funcgrad ")
    assert "layer norm of 8192x4096" in shown and "## Not measured" not in shown
    numbers = json.loads(file.read_text())
    assert numbers["rows"]["K2@tiny"]["funcgrad"]["times"] and numbers["limits"]["copy"] > 0
    assert text.read_text().endswith(shown.rstrip() + "\n")


def test_failures_become_lines(monkeypatch):
    monkeypatch.setattr(gpu, "measured_limits", lambda backend: {"trouble": "no device"})
    options = gpu.parse(["K2", *OPTIONS, "--limit", "0.01"])
    found = dict(gpu.measure_rows(["K2@tiny"], options))
    assert "more than 0.01 s" in found["K2@tiny"]["funcgrad"].trouble
    report = report_text(found, {"trouble": "no device"}, ["funcgrad"])
    assert "could not be measured: no device" in report
    assert "- K2@tiny, funcgrad: the first call took more than 0.01 s" in report


def test_what_a_side_said_before_it_failed_is_kept(monkeypatch):
    monkeypatch.setattr(gpu.GpuWorker, "module", "benchmarks.no_such_module")
    found = dict(gpu.measure_rows(["K2@tiny"], gpu.parse(["K2", *OPTIONS])))["K2@tiny"]["funcgrad"]
    assert "no_such_module" in found.trouble and "no_such_module" in found.log


def test_a_side_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(gpu, "MEASURE_LIMIT", 0.0)
    monkeypatch.setattr(gpu, "measured_limits", lambda backend: {"trouble": "no device"})
    found = dict(
        gpu.measure_rows(["K2@tiny"], gpu.parse(["K2", *OPTIONS[:-3], "1e-9", *OPTIONS[-2:]]))
    )
    assert "no answer in 0 s" in found["K2@tiny"]["funcgrad"].trouble


def test_tables_are_made_in_several_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "measured_limits", lambda backend: {"copy": 1e9})
    file = tmp_path / "numbers.json"
    options = [*OPTIONS, "--keep", "--json", str(file)]
    gpu.main(["K2", *options])
    kept = json.loads(file.read_text())["rows"]["K2@tiny"]
    gpu.main([*options, "--minutes", "-1"])
    rows = json.loads(file.read_text())["rows"]
    assert rows["K2@tiny"] == kept and "not begun" in rows["K1@tiny"]["funcgrad"]["trouble"]
    gpu.main(["K2", *options])
    assert json.loads(file.read_text())["rows"]["K2@tiny"] != kept


def test_unknown_rows():
    with pytest.raises(SystemExit, match="no row 'K9'. Rows are W1"):
        gpu.chosen(["K9"])
    assert gpu.chosen(["K4", "W10"]) == ["W10a", "W10b", "K4a", "K4b", "K4c"]
