"""The cache on disk: every kind of damage is a miss, and nobody else's code is run."""

import errno
import io
import os
import stat
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

import funcgrad as fg
from funcgrad import __main__ as command_line
from funcgrad.compiler import cache as cache_module
from funcgrad.compiler.cache import (
    REMEMBERED,
    REMEMBERED_BYTES,
    STALE_SECONDS,
    Cache,
    CacheWarning,
    default_cache,
    digest,
    pack,
    package_stamp,
    unpack,
)
from funcgrad.compiler.cache_directory import MEGABYTE, default_directory, default_limit
from funcgrad.config import config

KEY = digest("some program")
SECTIONS = {"object": bytes(range(256)) * 7, "empty": b"", "plan": b'{"outputs": 2}'}
posix = pytest.mark.skipif(os.name == "nt", reason="files have no mode there")


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "kept" / "funcgrad"


@pytest.fixture
def entry(directory) -> Path:
    """The file of an entry that another process has written."""
    Cache(directory).put(KEY, SECTIONS)
    return directory / f"{KEY}.fgc"


def found(directory, key=KEY):
    """What a new process finds."""
    return Cache(directory).get(key)


# --- storing and finding ---


def test_what_is_put_is_found_by_another_process(entry, directory):
    sections = found(directory)
    assert sections == SECTIONS
    assert list(sections or ()) == list(SECTIONS)
    assert found(directory, digest("another program")) is None


def test_an_entry_is_replaced(entry, directory):
    Cache(directory).put(KEY, {"object": b"new"})
    assert found(directory) == {"object": b"new"}
    assert os.listdir(directory) == [entry.name]


@given(st.dictionaries(st.text(max_size=8), st.binary(max_size=64), max_size=4))
def test_entries_survive_packing(sections):
    assert unpack(KEY, pack(KEY, sections)) == sections


def test_keys_depend_on_every_part_and_its_place():
    keys = {digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("c", "ab"), digest(b"abd")}
    assert len(keys) == 5
    assert digest("abc") == digest(b"abc")


def test_the_package_stamp_names_this_version_of_the_sources(monkeypatch):
    monkeypatch.setattr("funcgrad.compiler.cache.IMPORTED_NS", time.time_ns())
    assert package_stamp.__wrapped__() == package_stamp.__wrapped__()


def test_sources_that_change_after_the_import_are_a_version_of_their_own(monkeypatch):
    monkeypatch.setattr("funcgrad.compiler.cache.IMPORTED_NS", 0)  # as if they had
    stamps = {package_stamp(), package_stamp.__wrapped__(), package_stamp.__wrapped__()}
    assert len(stamps) == 3


@posix
def test_only_the_user_can_read_and_write(entry, directory):
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600


def test_without_a_directory_entries_live_in_memory():
    cache = Cache(None)
    cache.put(KEY, SECTIONS)
    assert cache.get(KEY) == SECTIONS


def test_memory_is_bounded(tmp_path):
    cache = Cache(None)
    for number in range(REMEMBERED + 10):
        cache.put(digest(str(number)), {"object": b"x"})
    cache.put(KEY, {"object": bytes(REMEMBERED_BYTES + 1)})
    assert len(cache._recent) == REMEMBERED
    assert cache.get(KEY) is None
    assert cache.get(digest("0")) is None
    assert cache.get(digest("20")) == {"object": b"x"}


def test_switched_off_nothing_touches_the_disk(directory):
    with config.override(cache=False):
        Cache(directory).put(KEY, SECTIONS)
    assert not directory.exists()


# --- damage ---


def test_truncated_entries_are_misses(entry, directory):
    whole = entry.read_bytes()
    for length in [len(whole) * i // 64 for i in range(64)]:
        entry.write_bytes(whole[:length])
        assert found(directory) is None, length
    entry.write_bytes(whole)
    assert found(directory) == SECTIONS


def test_any_flipped_bit_is_a_miss(entry, directory):
    whole = entry.read_bytes()
    for position in [*range(0, 120), *range(120, len(whole), 37), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << (position % 8)
        entry.write_bytes(damaged)
        assert found(directory) is None, position


@pytest.mark.parametrize("content", [b"", b"\0", b"\x7fELF" + bytes(4096), b"FGCACHE1" + bytes(99)])
def test_foreign_content_is_a_miss(entry, directory, content):
    entry.write_bytes(content)
    assert found(directory) is None


def test_an_appended_byte_is_a_miss(entry, directory):
    entry.write_bytes(entry.read_bytes() + b"\0")
    assert found(directory) is None


def test_a_renamed_entry_is_a_miss(entry, directory):
    other = digest("another program")
    entry.rename(directory / f"{other}.fgc")
    assert found(directory, other) is None
    assert found(directory) is None


def test_damage_is_repaired_by_the_next_put(entry, directory):
    entry.write_bytes(b"damaged")
    cache = Cache(directory)
    assert cache.get(KEY) is None
    cache.put(KEY, SECTIONS)
    assert found(directory) == SECTIONS


@posix
def test_other_things_in_the_place_of_an_entry_are_misses(entry, directory):
    outside = entry.rename(directory.parent / "outside")
    entry.symlink_to(outside)
    assert found(directory) is None
    entry.unlink()
    os.mkfifo(entry, 0o600)
    assert found(directory) is None
    entry.unlink()
    entry.mkdir()
    descriptors = len(os.listdir("/dev/fd"))
    assert found(directory) is None
    Cache(directory).put(KEY, SECTIONS)
    assert len(os.listdir("/dev/fd")) == descriptors
    assert os.listdir(directory) == [entry.name]


# --- a disk that does not cooperate ---


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
@pytest.mark.parametrize("step", ["open", "write", "replace"])
def test_failing_writes_are_silent_and_leave_nothing(directory, monkeypatch, number, step):
    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    cache = Cache(directory)
    assert cache.is_usable()
    if step == "write":
        monkeypatch.setattr(cache_module, "open", full_disk(number), raising=False)
    else:
        monkeypatch.setattr(os, step, fail)
    cache.put(KEY, SECTIONS)
    monkeypatch.undo()
    assert os.listdir(directory) == []
    assert cache.get(KEY) == SECTIONS  # in memory
    assert found(directory) is None


def full_disk(number):
    """`open`, of files that take a few bytes and then no more."""

    class Limited(io.FileIO):
        def write(self, data):
            super().write(data[:10])
            raise OSError(number, os.strerror(number))

    return lambda path, mode, opener: Limited(path, mode, opener=opener)


def test_an_interrupted_write_leaves_nothing(directory, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    cache = Cache(directory)
    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cache.put(KEY, SECTIONS)
    assert os.listdir(directory) == []


def test_a_directory_that_cannot_be_made_means_no_cache(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    cache = Cache(blocker / "funcgrad")
    cache.put(KEY, SECTIONS)
    assert not cache.is_usable()
    assert cache.get(KEY) == SECTIONS


@posix
@pytest.mark.skipif(os.name != "nt" and os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_directory_is_read(entry, directory):
    directory.chmod(0o500)
    try:
        cache = Cache(directory)
        cache.put(digest("another program"), SECTIONS)
        assert found(directory) == SECTIONS
        assert os.listdir(directory) == [entry.name]
    finally:
        directory.chmod(0o700)


def test_a_directory_removed_meanwhile_is_made_again(entry, directory):
    cache = Cache(directory)
    assert cache.get(KEY) == SECTIONS
    entry.unlink()
    directory.rmdir()
    cache.put(KEY, SECTIONS)
    cache.put(KEY, SECTIONS)
    assert found(directory) == SECTIONS


# --- directories of others ---


@posix
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o720, 0o702])
def test_directories_that_others_can_write_are_refused_with_one_warning(entry, directory, mode):
    directory.chmod(mode)
    cache = Cache(directory)
    with pytest.warns(CacheWarning, match=rf"writable by other users.*chmod 700 {directory}"):
        assert cache.get(KEY) is None
    with warnings.catch_warnings(record=True) as more:
        cache.put(KEY, {"object": b"mine"})
        assert cache.get(KEY) == {"object": b"mine"}
    assert not more
    assert unpack(KEY, entry.read_bytes()) == SECTIONS


@posix
def test_directories_of_others_are_refused(entry, directory, monkeypatch):
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.warns(CacheWarning, match="belongs to another user.*FUNCGRAD_CACHE_DIR"):
        assert found(directory) is None


@posix
@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_files_that_others_can_write_are_misses(entry, directory, mode):
    entry.chmod(mode)
    assert found(directory) is None


# --- several processes ---

WRITER = """
import sys
from pathlib import Path
from funcgrad.compiler.cache import Cache, digest
letter = sys.argv[2].encode()
for round in range(150):
    Cache(Path(sys.argv[1])).put(digest("some program"), {"object": letter * (1000 + round)})
"""


def test_concurrent_writers_of_one_key(directory):
    command = [sys.executable, "-c", WRITER, str(directory)]
    writers = [subprocess.Popen([*command, letter]) for letter in "ab"]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        sections = found(directory)
        if sections is not None:
            code = sections["object"]
            assert len(set(code)) == 1
            seen.add(code[:1])
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen and seen <= {b"a", b"b"}
    assert os.listdir(directory) == [f"{KEY}.fgc"]


# --- size ---


def fill(directory, count, size=1000):
    cache = Cache(directory)
    for number in range(count):
        key = digest(str(number))
        cache.put(key, {"object": bytes(size)})
        os.utime(directory / f"{key}.fgc", (0, 1e9 + number * 10_000))


def test_pruning_removes_what_was_used_least_recently(directory):
    fill(directory, 20)
    assert found(directory, digest("3")) is not None  # marks it as used now
    Cache(directory, limit=11_000).prune()
    left = {number for number in range(20) if found(directory, digest(str(number)))}
    assert 3 in left and 19 in left
    assert left - {3} == set(range(20 - len(left) + 1, 20))
    assert sum(size for _, size, _ in Cache(directory).entries()) <= 0.8 * 11_000


def test_directories_of_many_files_are_pruned(directory, monkeypatch):
    monkeypatch.setattr(cache_module, "MOST_FILES", 10)
    cache = Cache(directory)
    for number in range(15):
        cache.put(f"{number:048x}", {"object": b"code"})
    cache.prune()
    assert len(cache.entries()) == 8


def test_directories_below_the_limit_are_not_pruned(directory):
    fill(directory, 5)
    Cache(directory, limit=MEGABYTE).prune()
    assert len(os.listdir(directory)) == 5


def test_writing_keeps_the_directory_bounded(directory):
    cache = Cache(directory, limit=20_000)
    for number in range(300):
        cache.put(digest(str(number)), {"object": bytes(1000)})
    assert sum(size for _, size, _ in cache.entries()) < 40_000


def test_leftovers_of_killed_processes_go(directory, entry):
    old, new = directory / ".x-1.tmp", directory / ".x-2.tmp"
    for file in (old, new):
        file.write_bytes(b"half")
    long_ago = time.time() - 2 * STALE_SECONDS
    os.utime(old, (long_ago, long_ago))
    Cache(directory).prune()
    assert sorted(os.listdir(directory)) == sorted([new.name, entry.name])


def test_foreign_files_are_left_alone(directory, entry):
    (directory / "notes.txt").write_text("mine")
    cache = Cache(directory, limit=0)
    cache.prune()
    cache.clear()
    assert os.listdir(directory) == ["notes.txt"]


# --- settings and the command line ---


def test_the_directory_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(tmp_path / "own"))
    assert default_directory() == tmp_path / "own"
    monkeypatch.delenv("FUNCGRAD_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_directory() == tmp_path / "funcgrad"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="other places there")
def test_relative_cache_homes_are_ignored(monkeypatch, tmp_path):
    monkeypatch.delenv("FUNCGRAD_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_directory() == tmp_path / ".cache" / "funcgrad"


@pytest.mark.parametrize("text", ["a lot", "nan", "inf", "1e400", "-1"])
def test_limits_that_are_no_numbers_are_refused(monkeypatch, text):
    monkeypatch.setenv("FUNCGRAD_CACHE_MB", text)
    with pytest.raises(ValueError, match=f"FUNCGRAD_CACHE_MB is '{text}', expected a number"):
        default_limit()
    default_cache.cache_clear()
    with pytest.raises(ValueError, match="FUNCGRAD_CACHE_MB"):
        fg.jit(lambda x: x * 5)(2.0)


@pytest.fixture
def run(directory, monkeypatch, capsys):
    """Run the command line on `directory`; returns the status and what it printed."""
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(directory))
    monkeypatch.setenv("FUNCGRAD_CACHE_MB", "3")
    default_cache.cache_clear()

    def run(*arguments):
        status = command_line.main(arguments)
        return status, capsys.readouterr()

    yield run
    default_cache.cache_clear()


def test_the_command_line_says_what_there_is(run, entry, directory):
    status, printed = run("cache")
    assert status == 0
    lines = dict(line.split(maxsplit=1) for line in printed.out.splitlines())
    size = f"{entry.stat().st_size / 1024:.1f} kB"
    assert lines == {
        "directory": str(directory),
        "state": "on",
        "entries": "1",
        "size": size,
        "limit": "3.0 MB",
    }
    assert run("cache", "path") == (0, (f"{directory}\n", ""))


def test_the_command_line_clears(run, entry, directory):
    status, printed = run("cache", "clear")
    assert status == 0 and printed.out.startswith("removed 1 file, ")
    assert os.listdir(directory) == []
    assert run("cache", "clear")[1].out.startswith("removed 0 files, ")


@posix
def test_the_command_line_reports_a_refused_directory(run, entry, directory):
    directory.chmod(0o777)
    status, printed = run("cache")
    assert status == 1
    assert "state      off\n" in printed.out and "chmod 700" in printed.err


def test_the_command_line_reports_files_that_stay(run, entry, monkeypatch):
    monkeypatch.setattr(cache_module, "_remove", lambda path: False)
    status, printed = run("cache", "clear")
    assert status == 1 and "1 file in " in printed.err and "cannot be removed" in printed.err


def test_the_command_line_reports_settings_that_mean_nothing(run, monkeypatch):
    monkeypatch.setenv("FUNCGRAD_CACHE_MB", "many")
    status, printed = run("cache")
    assert status == 2 and "FUNCGRAD_CACHE_MB is 'many'" in printed.err


def test_the_command_line_shows_help(run):
    status, printed = run()
    assert status == 0 and "cache" in printed.out
    with pytest.raises(SystemExit) as exit:
        run("cache", "burn")
    assert exit.value.code == 2
