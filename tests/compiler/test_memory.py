"""Blocks and arrays in memory that is used again: aligned, bounded, safe in threads; arrays own what they have."""

import ctypes
import gc
import sys
import threading
import tracemalloc

import numpy as np
import pytest

from funcgrad.compiler.llvm.runtime import block_memory, block_table, blocks, memory, runtime
from funcgrad.compiler.llvm.runtime.runtime import Abilities

pytest.importorskip("llvmlite")

MEGABYTE = 1 << 20
POINTER, INTEGER = ctypes.c_void_p, ctypes.c_int64
KEPT = []


class Blocks:
    """The functions of one runtime, for tests with a table of their own."""

    def __init__(self, given, limit):
        KEPT.append(runtime.Runtime(given))
        function = KEPT[-1].function
        self.allocate = function("fg_allocate", POINTER, INTEGER)
        self.free = function("fg_free", None, POINTER)
        self.kept = function("fg_kept_bytes", INTEGER)
        self.keep_at_most = function("fg_keep_at_most", None, INTEGER)
        self.keep_at_most(0)
        self.keep_at_most(limit)


@pytest.fixture(params=["mapped", "malloc"])
def own(request):
    mapping = request.param == "mapped"
    if mapping and not runtime.abilities().mapping:
        pytest.skip("no mmap here")
    found = Blocks(Abilities(False, mapping, None), 64 * MEGABYTE)
    yield found
    found.keep_at_most(0)


@pytest.mark.parametrize(
    "size", [0, 1, 63, 4096, blocks.LARGE_BYTES - 1, blocks.LARGE_BYTES, MEGABYTE + 1,
             block_memory.HUGE_BYTES, block_memory.HUGE_BYTES + 1, 33 * MEGABYTE]
)  # fmt: skip
def test_blocks_are_aligned_and_writable(own, size):
    for _ in range(2):
        found = [own.allocate(size) for _ in range(3)]
        assert len(set(found)) == 3
        for number, block in enumerate(found):
            assert block % 64 == 0
            ctypes.memset(block, number, size)
        for number, block in enumerate(found):
            assert ctypes.string_at(block, size) == bytes([number]) * size
            own.free(block)


def test_null_can_be_freed(own):
    own.free(None)


def test_large_blocks_are_used_again(own):
    first = own.allocate(MEGABYTE)
    own.free(first)
    assert own.kept() == MEGABYTE
    assert own.allocate(MEGABYTE) == first
    assert own.kept() == 0
    own.free(first)
    assert own.allocate(MEGABYTE * 9 // 10) == first, "a little larger is fine"
    own.free(first)
    assert own.allocate(MEGABYTE // 2) != first, "much larger would be a waste"
    assert own.allocate(MEGABYTE + 1) != first


def test_the_closest_block_is_taken(own):
    sizes = [12 * MEGABYTE, 10 * MEGABYTE, 11 * MEGABYTE]
    found = dict(zip(sizes, map(own.allocate, sizes), strict=True))
    for block in found.values():
        own.free(block)
    assert own.allocate(10 * MEGABYTE) == found[10 * MEGABYTE]
    assert own.allocate(10 * MEGABYTE) == found[11 * MEGABYTE]


def test_kept_memory_is_bounded_and_the_oldest_goes_first(own):
    found = [own.allocate(10 * MEGABYTE) for _ in range(9)]
    for block in found:
        own.free(block)
        assert own.kept() <= 64 * MEGABYTE
    assert own.kept() == 60 * MEGABYTE
    assert own.allocate(10 * MEGABYTE) in found[3:]
    own.free(own.allocate(100 * MEGABYTE))
    assert own.kept() == 50 * MEGABYTE, "larger than all that may be kept"
    own.keep_at_most(25 * MEGABYTE)
    assert own.kept() == 20 * MEGABYTE


def test_more_blocks_than_slots(own):
    found = [own.allocate(blocks.LARGE_BYTES) for _ in range(block_table.SLOTS + 5)]
    for block in found:
        own.free(block)
    assert own.kept() == block_table.SLOTS * blocks.LARGE_BYTES


@pytest.mark.parametrize("size", [1 << 46, 1 << 60, (1 << 62) + 1, -1])
def test_impossible_sizes_give_null(own, size):
    assert own.allocate(size) is None


def test_threads_never_share_a_block(own):
    wrong = []

    def work(number):
        random = np.random.default_rng(number)
        for _ in range(200):
            size = int(random.integers(blocks.LARGE_BYTES, 2 * blocks.LARGE_BYTES))
            block = own.allocate(size)
            ctypes.memset(block, number, size)
            if ctypes.string_at(block, size) != bytes([number]) * size:
                wrong.append(number)
            own.free(block)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# --- arrays ---


def handler_name(array=None):
    multiarray = np._core.multiarray  # type: ignore[attr-defined]
    return multiarray.get_handler_name(*([] if array is None else [array]))


def test_arrays_are_like_those_of_numpy():
    for shape in [(), (0,), (3,), (2, 0, 5), (1000, 1003)]:
        for dtype in ["float32", "complex128", "int8", ">i4", bool]:
            array = memory.allocate_output(shape, dtype)
            expected = np.empty(shape, dtype)
            assert (array.shape, array.dtype) == (shape, expected.dtype)
            assert array.flags == expected.flags
            assert array.strides == expected.strides
            assert array.base is None


def test_large_arrays_know_their_handler():
    before = handler_name()
    assert handler_name(memory.allocate_output((1 << 20,), "float32")) == "funcgrad"
    assert handler_name(memory.allocate_output((10,), "float32")) == before
    assert handler_name() == before
    assert handler_name(np.empty(1 << 20)) == before


def release():
    """Give the memory that is kept for later arrays back to the system."""
    keep_at_most = runtime.ensure().function("fg_keep_at_most", None, INTEGER)
    keep_at_most(0)
    keep_at_most(runtime.kept_limit())


def test_memory_of_arrays_is_used_again():
    release()
    array = memory.allocate_output((3, MEGABYTE), "float32")
    address = array.ctypes.data
    del array
    gc.collect()
    assert memory.allocate_output((3 * MEGABYTE,), "float32").ctypes.data == address
    release()
    assert runtime.ensure().function("fg_kept_bytes", INTEGER)() == 0


def test_arrays_can_be_resized():
    array = memory.allocate_output((MEGABYTE,), "int32")
    array[:] = np.arange(MEGABYTE)
    array.resize(3 * MEGABYTE, refcheck=False)
    np.testing.assert_array_equal(array[:MEGABYTE], np.arange(MEGABYTE))
    assert not array[MEGABYTE:].any()
    array.resize(10, refcheck=False)
    assert array.tolist() == list(range(10))


def test_no_memory_is_an_error():
    before = handler_name()
    with pytest.raises(MemoryError):
        memory.allocate_output((1 << 46,), "float64")
    with pytest.raises(ValueError):
        memory.allocate_output((1 << 40, 1 << 40), "float64")
    with pytest.raises(ValueError):
        memory.allocate_output((-MEGABYTE, -MEGABYTE), "float64")
    assert handler_name() == before


def test_references_are_balanced():
    dtype = np.dtype([("a", "f4")])
    before = sys.getrefcount(dtype)
    for _ in range(100):
        memory.allocate_output((MEGABYTE,), dtype)
        with pytest.raises(MemoryError):
            memory.allocate_output((1 << 46,), dtype)
    assert sys.getrefcount(dtype) <= before + 2


def test_tracemalloc_sees_arrays():
    release()
    tracemalloc.start()
    try:
        array = memory.allocate_output((4 * MEGABYTE,), "uint8")
        assert tracemalloc.get_traced_memory()[0] >= 4 * MEGABYTE
        del array
        assert tracemalloc.get_traced_memory()[0] < MEGABYTE
    finally:
        tracemalloc.stop()
