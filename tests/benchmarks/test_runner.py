"""The runner of the benchmarks: workers, tables, and the command line."""

import json
import math
import subprocess
import sys

import pytest

from benchmarks.__main__ import chosen_rows, parse
from benchmarks.measure import Measured, measure_row
from benchmarks.process import PINS, ROOT, Settings, Worker, environment
from benchmarks.report import best_peer, duration, overall_ratio, ratio, rows_text, table
from benchmarks.rows import ROWS


def test_command_line_measures_checks_and_writes_numbers(tmp_path):
    file = tmp_path / "numbers.json"
    options = ["W5a", "--sides", "funcgrad", "numpy", "--seconds", "0.01", "--json", str(file)]
    command = [sys.executable, "-m", "benchmarks", *options]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "## Time per call" in result.stdout and "- BLAS:" in result.stdout
    numbers = json.loads(file.read_text())
    for side in ("funcgrad", "numpy"):
        measured = numbers["rows"]["W5a"][side]
        assert all(0 < time < 1 for time in measured["times"]) and not measured["trouble"]
        assert measured["first"] > 0 and not measured["memory"] < 0


def test_missing_library_leaves_its_place_empty(tmp_path, monkeypatch):
    stand_in = "raise ModuleNotFoundError(\"No module named 'autograd'\")"
    (tmp_path / "autograd.py").write_text(stand_in)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    settings = Settings(sys.executable, seconds=0.01)
    found = measure_row("W10a", ["autograd"], settings, lambda text: None)
    assert not found["autograd"].times
    text = rows_text({"W10a": found}, ["autograd"])
    assert "- W10a, autograd: ModuleNotFoundError: No module named 'autograd'" in text


def test_wrong_results_are_not_timed(monkeypatch):
    row = ROWS["W5a"]
    monkeypatch.setattr(type(row), "reference", lambda self, x: x + 2)
    found = measure_row("W5a", ["numpy"], Settings(seconds=0.01), lambda text: None)
    assert not found["numpy"].times and "result 0 is off by" in found["numpy"].trouble


def test_side_that_dies_does_not_stop_the_others(monkeypatch):
    measure = Worker.measure

    def kill_one(worker, calls):
        if worker.side == "numpy":
            worker.process.kill()
            worker.process.wait()
        return measure(worker, calls)

    monkeypatch.setattr(Worker, "measure", kill_one)
    found = measure_row("W5a", ["numpy", "funcgrad"], Settings(seconds=0.01), lambda text: None)
    assert not found["numpy"].times and found["numpy"].trouble == "exit code -9"
    assert found["funcgrad"].times and not found["funcgrad"].trouble


def test_workers_do_not_inherit_pinned_kernels(tmp_path, monkeypatch):
    for name in PINS:
        monkeypatch.setenv(name, "Haswell")
    variables = environment(tmp_path)
    assert not set(PINS) & set(variables)
    assert variables["XDG_CACHE_HOME"] == str(tmp_path)


COMPILED = [name for name in ROWS if ROWS[name].is_compiled]


@pytest.mark.parametrize(
    "names, timed, compiled, imports",
    [
        ([], list(ROWS), COMPILED, True),
        (["W6"], ["W6a", "W6b"], [], False),
        (["W6b", "I", "W1"], ["W1", "W6b"], [], True),
        (["C"], [], COMPILED, False),
        (["C", "I"], [], COMPILED, True),
        (["I"], [], [], True),
        (["W10", "C"], ["W10a", "W10b"], ["W10b"], False),
    ],
)
def test_rows_are_chosen_by_name_or_part(names, timed, compiled, imports):
    assert chosen_rows(parse(names).rows) == (timed, compiled, imports)


def test_unknown_row_is_refused():
    with pytest.raises(SystemExit, match="no row 'W99'.*W1, W2"):
        chosen_rows(["W1", "W99"])


def measured(**times):
    return {side: Measured(times=[time, 2 * time]) for side, time in times.items()}


def test_ratio_is_to_the_best_peer_and_numpy_is_none():
    found = measured(funcgrad=1.0, jax=4.0, torch=2.0, numpy=0.1)
    assert best_peer("W1", found) == 2.0 and ratio("W1", found) == 0.5
    assert math.isnan(ratio("W1", measured(funcgrad=1.0, numpy=2.0)))
    assert math.isnan(ratio("W1", measured(jax=1.0)))
    assert ratio("W10a", measured(funcgrad=1.0, torch=0.5, autograd=4.0)) == 0.25


def test_parts_of_a_row_count_as_one():
    rows = {
        "W1": measured(funcgrad=1.0, jax=4.0),
        "W6a": measured(funcgrad=1.0, jax=1.0),
        "W6b": measured(funcgrad=16.0, jax=1.0),
        "W8": {"funcgrad": Measured(trouble="not yet")},
    }
    assert overall_ratio(rows) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "seconds, text",
    [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 us"), (1.16e-7, "116 ns")],
)
def test_duration_has_a_unit(seconds, text):
    assert duration(seconds) == text


def test_duration_of_nothing():
    assert duration(math.nan) == "-"


def test_table_is_aligned():
    lines = table(["", "work", "JAX"], [["W1", "a", "1 us"], ["W10", "long", "-"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1] == "| --- | ---- | ---: |"
