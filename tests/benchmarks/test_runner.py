"""The runner of the benchmarks: workers, tables, and the command line."""

import json
import math
import subprocess
import sys
import time

import pytest

import benchmarks.calm
from benchmarks.__main__ import chosen_rows, parse
from benchmarks.calm import CALM, Patience, watched
from benchmarks.compiling import compile_text
from benchmarks.measure import Measured, measure_row
from benchmarks.process import PINS, ROOT, Failed, Settings, Worker, environment
from benchmarks.report import best_peer, duration, overall_speedup, rows_text, speedup, table
from benchmarks.rows import ROWS, SERIES
from benchmarks.scaling import growth_text, series_text


def test_command_line_measures_checks_and_writes_numbers(tmp_path):
    file = tmp_path / "numbers.json"
    options = ["W5a", "--sides", "funcgrad", "numpy", "--seconds", "0.01", "--patience", "0"]
    options += ["--json", str(file), "--results", str(tmp_path / "results.md")]
    command = [sys.executable, "-m", "benchmarks", *options]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "## Time per call" in result.stdout and "- BLAS:" in result.stdout
    assert (tmp_path / "results.md").read_text().endswith(result.stdout.rstrip() + "\n")
    numbers = json.loads(file.read_text())
    for side in ("funcgrad", "numpy"):
        measured = numbers["rows"]["W5a"][side]
        assert all(0 < time < 1 for time in measured["times"]) and not measured["trouble"]
        assert measured["first"] > 0 and not measured["memory"] < 0


QUICK = Settings(sys.executable, seconds=0.01, patience=0.0)


def test_missing_library_leaves_its_place_empty(tmp_path, monkeypatch):
    stand_in = "raise ModuleNotFoundError(\"No module named 'autograd'\")"
    (tmp_path / "autograd.py").write_text(stand_in)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = measure_row("W10a", ["autograd"], QUICK, lambda text: None)
    assert not found["autograd"].times
    text = rows_text({"W10a": found}, ["autograd"])
    assert "- W10a, autograd: ModuleNotFoundError: No module named 'autograd'" in text


def test_wrong_results_are_not_timed(monkeypatch):
    row = ROWS["W5a"]
    monkeypatch.setattr(type(row), "reference", lambda self, x: x + 2)
    found = measure_row("W5a", ["numpy"], QUICK, lambda text: None)
    assert not found["numpy"].times and "result 0 is off by" in found["numpy"].trouble


def test_side_that_dies_does_not_stop_the_others(monkeypatch):
    measure = Worker.measure

    def kill_one(worker, seconds):
        if worker.side == "numpy":
            worker.process.kill()
            worker.process.wait()
        return measure(worker, seconds)

    monkeypatch.setattr(Worker, "measure", kill_one)
    found = measure_row("W5a", ["numpy", "funcgrad"], QUICK, lambda text: None)
    assert not found["numpy"].times and found["numpy"].trouble == "exit code -9"
    assert found["funcgrad"].times and not found["funcgrad"].trouble


def test_first_call_that_takes_too_long_is_given_up(tmp_path):
    worker = Worker("W5a", "funcgrad", Settings(limit=0.01), tmp_path)
    with pytest.raises(Failed, match=r"the first call took more than 0\.01 s"):
        worker.wait_until_ready()
    worker.stop()


def test_workers_inherit_no_kernels_threads_or_caches(tmp_path, monkeypatch):
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OMP_NUM_THREADS", "JAX_ENABLE_X64"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", "elsewhere")
    variables = environment(tmp_path)
    assert [name for name in variables if name.startswith(PINS)] == [
        "FUNCGRAD_CACHE_DIR",
        "TORCHINDUCTOR_CACHE_DIR",
    ]
    assert variables["XDG_CACHE_HOME"] == str(tmp_path)
    assert variables["FUNCGRAD_CACHE_DIR"] == str(tmp_path / "funcgrad")


def test_disturbed_measurements_are_repeated_while_there_is_patience(monkeypatch):
    busy = iter([2.0, 0.0, 0.5, 2.0, 2.0, 0.1])  # wait twice, measure, wait twice, measure
    monkeypatch.setattr(benchmarks.calm, "watched", lambda measure: (measure()[0], next(busy)))
    monkeypatch.setattr(benchmarks.calm.time, "sleep", lambda seconds: None)
    numbers = iter([1, 2])
    patience = Patience(seconds=benchmarks.calm.WINDOW * 1.5)
    assert patience.calmest(lambda: (next(numbers), 0.0)) == (2, True)
    assert patience.seconds <= 0


def test_own_work_does_not_disturb():
    def work():
        start = time.process_time()
        while time.process_time() - start < 0.05:
            pass
        return "done", time.process_time() - start + 100.0

    result, others = watched(work)
    assert result == "done" and others < CALM


COMPILED = [name for name in ROWS if ROWS[name].is_compiled]


@pytest.mark.parametrize(
    "names, timed, compiled, scaled, imports",
    [
        ([], list(ROWS), COMPILED, list(SERIES), True),
        (["W6"], ["W6a", "W6b", "W6c"], [], [], False),
        (["W6b", "I", "W1"], ["W1", "W6b"], [], [], True),
        (["C"], [], COMPILED, [], False),
        (["C", "I"], [], COMPILED, [], True),
        (["I"], [], [], [], True),
        (["W10", "C"], ["W10a", "W10b"], ["W10b"], [], False),
        (["S"], [], [], list(SERIES), False),
        (["S2", "W1"], ["W1"], [], ["S2"], False),
    ],
)
def test_rows_are_chosen_by_name_or_part(names, timed, compiled, scaled, imports):
    assert chosen_rows(parse(names).rows) == (timed, compiled, scaled, imports)


def test_unknown_row_is_refused():
    with pytest.raises(SystemExit, match="no row 'W99'.*W1, W2"):
        chosen_rows(["W1", "W99"])


def measured(**times):
    return {side: Measured(times=[time, 2 * time]) for side, time in times.items()}


def test_speedup_is_over_the_best_peer_and_numpy_is_none():
    found = measured(funcgrad=1.0, jax=4.0, torch=2.0, numpy=0.1)
    assert best_peer("W1", found) == "torch" and speedup("W1", found) == 2.0
    assert math.isnan(speedup("W1", measured(funcgrad=1.0, numpy=2.0)))
    assert math.isnan(speedup("W1", measured(jax=1.0)))
    assert speedup("W10a", measured(funcgrad=1.0, torch=0.5, autograd=4.0)) == 4.0


def test_parts_of_a_row_count_as_one():
    rows = {
        "W1": measured(funcgrad=1.0, jax=4.0),
        "W6a": measured(funcgrad=1.0, jax=1.0),
        "W6b": measured(funcgrad=16.0, jax=1.0),
        "W6c": measured(funcgrad=1.0, jax=8.0),
        "W8": {"funcgrad": Measured(trouble="not yet")},
    }
    mean, count = overall_speedup(rows)
    assert mean == pytest.approx(1.0) and count == 2


def test_goals_are_judged_in_the_tables():
    rows = {
        "W1": measured(funcgrad=1.0, jax=3.0),
        "W2": measured(funcgrad=1.0, torch=1.5),
        "W3": measured(funcgrad=1.0),
    }
    lines = rows_text(rows, ["funcgrad", "jax", "torch"]).splitlines()
    met = [line.split("|")[-2].strip() for line in lines if line.startswith("| W")]
    assert met[:3] == ["yes", "NO", "-"]
    text = compile_text(
        {"W1": {"funcgrad": {"cold": 20, "warm": 6}, "jax": {"cold": 100, "warm": 9}}}
    )
    assert "cold 5x (goal 4x; met: yes), warm 16.7x (goal 20x; met: NO)" in text


def compiled(first):
    return {"funcgrad": Measured(times=[0.0], first=first)}


def test_growth_of_compile_time_is_judged():
    assert "takes 10.0 times as long" in growth_text({10: compiled(1.0), 100: compiled(10.0)})
    assert "met: yes" in growth_text({10: compiled(1.0), 100: compiled(10.0)})
    assert "met: NO" in growth_text({10: compiled(1.0), 100: compiled(30.0)})
    failed = {10: compiled(1.0), 100: {"funcgrad": Measured(trouble="too long")}}
    text = series_text("S5", failed)
    assert "met: -" in text and "100 funcgrad: too long" in text


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
