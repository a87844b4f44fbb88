"""How many CPUs and how much memory a process may use, with control groups of both versions."""

import os

from funcgrad.compiler.llvm.runtime.limits import available_bytes, available_cpus


def group(tmp_path, membership, **files):
    """A made-up /sys/fs/cgroup and /proc/self/cgroup."""
    (tmp_path / "membership").write_text(membership)
    for name, content in files.items():
        file = tmp_path / "groups" / name.replace("__", "/").replace("DOT", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return tmp_path / "groups", tmp_path / "membership"


def test_here():
    assert 1 <= available_cpus() <= (os.cpu_count() or 1)
    assert available_bytes() > 1 << 20


def test_no_control_groups(tmp_path):
    assert available_cpus(tmp_path, tmp_path / "none") >= 1


def test_quota_of_version_2(tmp_path):
    where = group(
        tmp_path, "0::/a/b\n", a__b__cpuDOTmax="max 100000\n", a__cpuDOTmax="50000 100000\n"
    )
    assert available_cpus(*where) == 1


def test_quota_is_rounded_up(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    where = group(tmp_path, "0::/a\n", a__cpuDOTmax="150000 100000\n")
    assert available_cpus(*where) == 2


def test_quota_of_version_1(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    files = {
        "cpu,cpuacct__a__cpuDOTcfs_quota_us": "300000",
        "cpu,cpuacct__a__cpuDOTcfs_period_us": "100000",
    }
    assert available_cpus(*group(tmp_path, "4:cpu,cpuacct:/a\n", **files)) == 3


def test_no_quota_in_version_1(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    files = {"cpu__cpuDOTcfs_quota_us": "-1", "cpu__cpuDOTcfs_period_us": "100000"}
    assert available_cpus(*group(tmp_path, "1:cpu:/\n", **files)) == 8


def test_path_of_the_host_in_a_container(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    where = group(tmp_path, "0::/not/seen/here\n", cpuDOTmax="400000 100000\n")
    assert available_cpus(*where) == 4


def test_memory(tmp_path):
    where = group(tmp_path, "0::/a\n", a__memoryDOTmax="max\n", memoryDOTmax="1000000\n")
    assert available_bytes(*where) == 1_000_000
    where = group(tmp_path, "3:memory:/a\n", memory__a__memoryDOTlimit_in_bytes="2000000\n")
    assert available_bytes(*where) == 2_000_000
