"""Where blocks of memory come from and go back to, in native code: malloc, and for large ones the system."""

from __future__ import annotations

import sys
from string import Template

from funcgrad.compiler.llvm.runtime import system

# From here on blocks are laid out for huge pages.
HUGE_BYTES = 1 << 22

EXTERNALS = {"malloc": "ptr (i64)", "free": "void (ptr)"}
MAPPING = {
    "mmap": "ptr (ptr, i64, i32, i32, i32, i64)",
    "munmap": "i32 (ptr, i64)",
    "madvise": "i32 (ptr, i64, i32)",
}

# The 64 bytes before a block: what to give back, its length (0: it came from malloc), and the bytes that can be used.
HEADER = """
%Header = type {ptr, i64, i64, [5 x i64]}
"""

SMALL = """
define internal ptr @from_malloc(i64 %bytes) {
entry:
  %sum = add i64 %bytes, 128
  %base = call ptr @malloc(i64 %sum)
  %failed = icmp eq ptr %base, null
  br i1 %failed, label %nothing, label %align
align:
  %start = ptrtoint ptr %base to i64
  %after = add i64 %start, 127
  %aligned = and i64 %after, -64
  %block = inttoptr i64 %aligned to ptr
  call void @write_header(ptr %block, ptr %base, i64 0, i64 %bytes)
  ret ptr %block
nothing:
  ret ptr null
}

define internal void @write_header(ptr %block, ptr %base, i64 %length, i64 %capacity) {
  %header = getelementptr %Header, ptr %block, i64 -1
  store ptr %base, ptr %header
  %where = getelementptr %Header, ptr %header, i64 0, i32 1
  store i64 %length, ptr %where
  %room = getelementptr %Header, ptr %header, i64 0, i32 2
  store i64 %capacity, ptr %room
  ret void
}

define internal i64 @capacity(ptr %block) {
  %header = getelementptr %Header, ptr %block, i64 -1
  %room = getelementptr %Header, ptr %header, i64 0, i32 2
  %capacity = load i64, ptr %room
  ret i64 %capacity
}
"""

# A page for the header, then the block, on a 2 MiB boundary if it is huge; what was mapped around it goes back.
MAP = Template("""
define internal ptr @from_system(i64 %bytes) {
entry:
  %huge = icmp uge i64 %bytes, $huge_bytes
  %alignment = select i1 %huge, i64 2097152, i64 4096
  %slack = select i1 %huge, i64 2097152, i64 0
  %framed = add i64 %bytes, 4096
  %total = add i64 %framed, %slack
  %base = call ptr @mmap(ptr null, i64 %total, i32 3, i32 $map_anonymous, i32 -1, i64 0)
  %start = ptrtoint ptr %base to i64
  %failed = icmp eq i64 %start, -1
  br i1 %failed, label %nothing, label %place
place:
  %least = add i64 %start, 4096
  %up = add i64 %least, %alignment
  %past = sub i64 %up, 1
  %mask = sub i64 0, %alignment
  %where = and i64 %past, %mask
  %block = inttoptr i64 %where to ptr
  %first = sub i64 %where, 4096
  %first_page = inttoptr i64 %first to ptr
  %before = sub i64 %first, %start
  %end = add i64 %where, %bytes
  %end_page = inttoptr i64 %end to ptr
  %stop = add i64 %start, %total
  %behind = sub i64 %stop, %end
  br i1 %huge, label %trim, label %ready
trim:
  call void @unmap_some(ptr %base, i64 %before)
  call void @unmap_some(ptr %end_page, i64 %behind)
  %whole = and i64 %bytes, -2097152
  $advise
  br label %ready
ready:
  call void @write_header(ptr %block, ptr %first_page, i64 %framed, i64 %bytes)
  ret ptr %block
nothing:
  ret ptr null
}

define internal void @unmap_some(ptr %from, i64 %bytes) {
entry:
  %some = icmp ne i64 %bytes, 0
  br i1 %some, label %unmap, label %leave
unmap:
  %status = call i32 @munmap(ptr %from, i64 %bytes)
  br label %leave
leave:
  ret void
}

define internal void @to_system(ptr %block) {
entry:
  %header = getelementptr %Header, ptr %block, i64 -1
  %base = load ptr, ptr %header
  %where = getelementptr %Header, ptr %header, i64 0, i32 1
  %length = load i64, ptr %where
  %mapped = icmp ne i64 %length, 0
  br i1 %mapped, label %unmap, label %free
unmap:
  %status = call i32 @munmap(ptr %base, i64 %length)
  ret void
free:
  call void @free(ptr %base)
  ret void
}
""")

ADVISE_HUGE = "%advised = call i32 @madvise(ptr %block, i64 %whole, i32 14)"

UNMAPPED = """
define internal ptr @from_system(i64 %bytes) {
  %block = call ptr @from_malloc(i64 %bytes)
  ret ptr %block
}

define internal void @to_system(ptr %block) {
  %header = getelementptr %Header, ptr %block, i64 -1
  %base = load ptr, ptr %header
  call void @free(ptr %base)
  ret void
}
"""


def memory(mapped: bool) -> tuple[dict[str, str], str]:
    """The functions that this needs, and the text: `from_malloc`, `from_system`, `to_system` and `capacity`."""
    if not mapped:
        return EXTERNALS, HEADER + SMALL + UNMAPPED
    advise = ADVISE_HUGE if system.has(["madvise"]) and sys.platform == "linux" else ""
    values = {**system.constants(), "huge_bytes": HUGE_BYTES, "advise": advise}
    return EXTERNALS | MAPPING, HEADER + SMALL + MAP.substitute(values)
