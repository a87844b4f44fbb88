"""R70, R71: a damaged or hostile file always gives CheckpointError, fast and in little memory."""

import json
import time
import tracemalloc
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, strategies as st

from funcgrad.errors import CheckpointError
from funcgrad.io import load, load_dict, save
from funcgrad.io.tables import Tables, _seal


def with_header(header, data=b""):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(header).to_bytes(8, "little") + header + data


def entry(dtype="F32", shape=(2,), begin=0, end=8):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def sealed(**changes):
    """A file whose own metadata are hostile, with the right seal: anybody can compute it."""
    tables = {**asdict(Tables()), **changes}
    seal = _seal({}, tables, {"a": ("F32", [2])})
    text = json.dumps({"funcgrad": "1", **tables, "seal": seal})
    return with_header({"__metadata__": {"funcgrad": text}, "a": entry()}, EIGHT)


EIGHT = bytes(8)
TEXT = json.dumps(entry())
ATTACKS = {
    "empty file": b"",
    "zeros": bytes(64),
    "length 2**63": (2**63).to_bytes(8, "little") + b"{}" + EIGHT,
    "length over the limit": (100_000_001).to_bytes(8, "little") + b"{}" + EIGHT,
    "length beyond the file": (1000).to_bytes(8, "little") + b"{}",
    "bad UTF-8": with_header(b'{"\xff\xfe":1}'),
    "bad JSON": with_header(b'{"a":'),
    "not an object": with_header(b"[1, 2]"),
    "deep nesting": with_header(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "duplicate names": with_header(f'{{"a":{TEXT},"a":{TEXT}}}'.encode(), EIGHT),
    "duplicate metadata": with_header(b'{"__metadata__":{"k":"1","k":"2"}}'),
    "metadata of numbers": with_header({"__metadata__": {"k": 1}}),
    "metadata that is no table": with_header({"__metadata__": "text"}),
    "negative offset": with_header({"a": entry(begin=-8, end=0)}),
    "offsets reversed": with_header({"a": entry(begin=8, end=0)}, EIGHT),
    "overlapping": with_header({"a": entry(), "b": entry(begin=4, end=12)}, bytes(12)),
    "hole": with_header({"a": entry(), "b": entry(begin=16, end=24)}, bytes(24)),
    "shape product overflows": with_header({"a": entry(shape=(2**40, 2**40))}, EIGHT),
    "negative shape": with_header({"a": entry(shape=(-1, -2))}, EIGHT),
    "huge empty shape": with_header({"a": entry(shape=(2**62,), end=0)}),
    "fractional shape": with_header({"a": entry(shape=(2.5,))}, EIGHT),
    "unknown dtype": with_header({"a": entry(dtype="F128")}, EIGHT),
    "dtype without arrays": with_header({"a": entry(dtype="F4", shape=(16,))}, EIGHT),
    "end 2**62": with_header({"a": entry(end=2**62)}, EIGHT),
    "end is text": with_header({"a": entry(end="8")}, EIGHT),
    "entry is a number": with_header({"a": 1}),
    "no dtype": with_header({"a": {"shape": [2], "data_offsets": [0, 8]}}, EIGHT),
    "no seal": with_header(
        {"__metadata__": {"funcgrad": '{"funcgrad": "1"}'}, "a": entry()}, EIGHT
    ),
    "moved seal": sealed().replace(b'{"funcgrad":', b'{"funcgraz":'),
    "own metadata nested deeply": with_header(
        {"__metadata__": {"funcgrad": "[" * 100_000}, "a": entry()}, EIGHT
    ),
    "own metadata of another version": with_header(
        {"__metadata__": {"funcgrad": '{"funcgrad": "2"}'}, "a": entry()}, EIGHT
    ),
    "unknown table": sealed(code={}),
    "aliases of nothing": sealed(aliases={"b": "nothing"}),
    "alias of a stored name": sealed(aliases={"a": "a"}),
    "aliases are no table": sealed(aliases=[1]),
    "aliases of numbers": sealed(aliases={"b": 1}),
    "complex tag on a vector": sealed(dtypes={"a": "complex128"}),
    "unknown tag": sealed(dtypes={"a": "pickle"}),
    "wrong checksum": sealed(checksums={"a": "00"}),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_r71_attacks(tmp_path, attack):
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(ATTACKS[attack])
    start = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="hostile.safetensors"):
            load(path, {"a": np.zeros(2, np.float32)})
        with pytest.raises(CheckpointError):
            load_dict(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - start < 2
    assert peak < 2_000_000 + 20 * len(ATTACKS[attack])


def test_sealed_file_without_hostile_metadata_loads(tmp_path):
    path = tmp_path / "fine.safetensors"
    path.write_bytes(sealed())
    assert load(path)["a"].tolist() == [0, 0]


def test_r71_many_entries_load(tmp_path):
    path = tmp_path / "many.safetensors"
    path.write_bytes(with_header({f"{i}": entry(shape=(0,), end=0) for i in range(30_000)}))
    assert len(load_dict(path)) == 30_000


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    shared = np.arange(6, dtype=np.float32).reshape(2, 3)
    save(path, {"a": shared, "b": shared, "z": np.array([1 + 2j])}, metadata={"note": "text"})
    return path


def test_r70_every_prefix_and_one_byte_more(small_file, tmp_path):
    content = small_file.read_bytes()
    path = tmp_path / "cut.safetensors"
    for size in [*range(len(content)), len(content) + 1]:
        path.write_bytes((content + b"\0")[:size])
        with pytest.raises(CheckpointError) as caught:
            load_dict(path)
        assert f"size is {size} bytes" in str(caught.value), size
        if size > 8 + int.from_bytes(content[:8], "little"):
            assert f"exactly {len(content)}" in str(caught.value)


def test_every_changed_bit_is_noticed(small_file, tmp_path):
    content = small_file.read_bytes()
    path = tmp_path / "flipped.safetensors"
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(CheckpointError):
            load_dict(path)


@given(st.binary(max_size=200))
def test_any_bytes_raise_only_checkpoint_errors(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "random.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        load_dict(path)


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(0, 16)),
            lambda inner: st.dictionaries(
                st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__"]), inner
            ),
        ),
        max_size=3,
    ),
    st.integers(0, 32),
)
def test_any_header_raises_only_checkpoint_errors(tmp_path_factory, header, size):
    path = tmp_path_factory.getbasetemp() / "header.safetensors"
    path.write_bytes(with_header(header, bytes(size)))
    try:
        found = load_dict(path)
    except CheckpointError:
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())


def test_special_files_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="not a regular file"):
        load(tmp_path)
    with pytest.raises(CheckpointError, match="not a regular file"):
        load("/dev/zero")
