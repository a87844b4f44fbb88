"""Memory in native code: aligned blocks, of which freed large ones are kept for the next call.

The kernel hands out large blocks page by page and zeroed, which costs more than computing their contents. So up to a
limit freed blocks stay in a table of slots, and the oldest go back to the system when there are too many. Threads
that find the table locked do without it; nobody waits.
"""

from __future__ import annotations

import sys
from string import Template

from funcgrad.compiler.llvm.runtime import system

# Smaller blocks come from malloc, which keeps them itself.
LARGE_BYTES = 1 << 18

# From here on blocks are laid out for huge pages.
HUGE_BYTES = 1 << 22

SLOTS = 64

EXTERNALS = {"malloc": "ptr (i64)", "free": "void (ptr)"}
MAPPING = {
    "mmap": "ptr (ptr, i64, i32, i32, i32, i64)",
    "munmap": "i32 (ptr, i64)",
    "madvise": "i32 (ptr, i64, i32)",
}

# The 64 bytes before a block: what to give back, its length (0: it came from malloc), and the bytes that can be used.
STATE = Template("""
%Header = type {ptr, i64, i64, [5 x i64]}
%Slot = type {ptr, i64, i64}
@slots = internal global [$slots x %Slot] zeroinitializer, align 64
@slots_locked = internal global i32 0, align 64
@kept_bytes = internal global i64 0
@kept_limit = internal global i64 0
@age = internal global i64 0

""")

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

# `take` gives the smallest kept block of at least `bytes` and at most a quarter more.
TABLE = Template("""
; Tries for some microseconds: the other thread may be giving memory back, which takes long.
define internal i1 @lock_slots() {
entry:
  br label %try
try:
  %i = phi i64 [0, %entry], [%following, %again]
  %pair = cmpxchg ptr @slots_locked, i32 0, i32 1 seq_cst seq_cst
  %success = extractvalue {i32, i1} %pair, 1
  br i1 %success, label %leave, label %again
again:
  $pause
  %following = add i64 %i, 1
  %more = icmp ult i64 %following, 64
  br i1 %more, label %try, label %leave
leave:
  ret i1 %success
}

define internal void @unlock_slots() {
  store atomic i32 0, ptr @slots_locked seq_cst, align 4
  ret void
}

define internal ptr @take(i64 %bytes) {
entry:
  %quarter = lshr i64 %bytes, 2
  %most = add i64 %bytes, %quarter
  %locked = call i1 @lock_slots()
  br i1 %locked, label %next, label %nothing
next:
  %i = phi i64 [0, %entry], [%following, %next]
  %best = phi ptr [null, %entry], [%better, %next]
  %room = phi i64 [%most, %entry], [%smaller, %next]
  %slot = getelementptr %Slot, ptr @slots, i64 %i
  %where = getelementptr %Slot, ptr %slot, i64 0, i32 1
  %capacity = load i64, ptr %where
  %enough = icmp uge i64 %capacity, %bytes
  %close = icmp ule i64 %capacity, %room
  %fits = and i1 %enough, %close
  %better = select i1 %fits, ptr %slot, ptr %best
  %smaller = select i1 %fits, i64 %capacity, i64 %room
  %following = add i64 %i, 1
  %more = icmp ult i64 %following, $slots
  br i1 %more, label %next, label %choose
choose:
  %none = icmp eq ptr %better, null
  br i1 %none, label %unlock, label %use
use:
  %block = call ptr @empty_slot(ptr %better)
  br label %unlock
unlock:
  %result = phi ptr [null, %choose], [%block, %use]
  call void @unlock_slots()
  ret ptr %result
nothing:
  ret ptr null
}

define internal ptr @empty_slot(ptr %slot) {
  %block = load ptr, ptr %slot
  %where = getelementptr %Slot, ptr %slot, i64 0, i32 1
  %capacity = load i64, ptr %where
  store ptr null, ptr %slot
  store i64 0, ptr %where
  %kept = load i64, ptr @kept_bytes
  %less = sub i64 %kept, %capacity
  store i64 %less, ptr @kept_bytes
  ret ptr %block
}

; The slot that was filled first, or, if the caller wants one, an empty slot.
define internal ptr @oldest_slot(i1 %empty_first) {
entry:
  %empty_age = select i1 %empty_first, i64 -1, i64 9223372036854775807
  br label %next
next:
  %i = phi i64 [0, %entry], [%following, %next]
  %oldest = phi ptr [@slots, %entry], [%chosen, %next]
  %age = phi i64 [9223372036854775807, %entry], [%lowest, %next]
  %slot = getelementptr %Slot, ptr @slots, i64 %i
  %block = load ptr, ptr %slot
  %where = getelementptr %Slot, ptr %slot, i64 0, i32 2
  %stamp = load i64, ptr %where
  %empty = icmp eq ptr %block, null
  %this_age = select i1 %empty, i64 %empty_age, i64 %stamp
  %older = icmp slt i64 %this_age, %age
  %chosen = select i1 %older, ptr %slot, ptr %oldest
  %lowest = select i1 %older, i64 %this_age, i64 %age
  %following = add i64 %i, 1
  %more = icmp ult i64 %following, $slots
  br i1 %more, label %next, label %leave
leave:
  ret ptr %chosen
}

define internal void @give_back(ptr %slot) {
entry:
  %block = call ptr @empty_slot(ptr %slot)
  %some = icmp ne ptr %block, null
  br i1 %some, label %release, label %leave
release:
  call void @to_system(ptr %block)
  br label %leave
leave:
  ret void
}

; Give blocks back until no more than `limit` bytes are kept.
define internal void @shrink_to(i64 %limit) {
entry:
  br label %look
look:
  %kept = load i64, ptr @kept_bytes
  %over = icmp sgt i64 %kept, %limit
  br i1 %over, label %evict, label %leave
evict:
  %slot = call ptr @oldest_slot(i1 false)
  call void @give_back(ptr %slot)
  br label %look
leave:
  ret void
}

define internal void @keep(ptr %block, i64 %capacity) {
entry:
  %limit = load i64, ptr @kept_limit
  %rest = sub i64 %limit, %capacity
  %possible = icmp sge i64 %rest, 0
  br i1 %possible, label %lock, label %release
lock:
  %locked = call i1 @lock_slots()
  br i1 %locked, label %insert, label %release
insert:
  call void @shrink_to(i64 %rest)
  %slot = call ptr @oldest_slot(i1 true)
  call void @give_back(ptr %slot)
  %room = getelementptr %Slot, ptr %slot, i64 0, i32 1
  %stamp = getelementptr %Slot, ptr %slot, i64 0, i32 2
  %age = load i64, ptr @age
  %older = add i64 %age, 1
  store i64 %older, ptr @age
  store ptr %block, ptr %slot
  store i64 %capacity, ptr %room
  store i64 %age, ptr %stamp
  %kept = load i64, ptr @kept_bytes
  %sum = add i64 %kept, %capacity
  store i64 %sum, ptr @kept_bytes
  call void @unlock_slots()
  ret void
release:
  call void @to_system(ptr %block)
  ret void
}

define i64 @fg_kept_bytes() {
  %bytes = load i64, ptr @kept_bytes
  ret i64 %bytes
}

define void @fg_keep_at_most(i64 %limit) {
entry:
  store i64 %limit, ptr @kept_limit
  %locked = call i1 @lock_slots()
  br i1 %locked, label %shrink, label %leave
shrink:
  call void @shrink_to(i64 %limit)
  call void @unlock_slots()
  br label %leave
leave:
  ret void
}

; In a forked child: a table that another thread was changing cannot be trusted; its blocks are lost.
define void @blocks_reset() {
entry:
  %locked = load i32, ptr @slots_locked
  %broken = icmp ne i32 %locked, 0
  br i1 %broken, label %forget, label %leave
forget:
  store [$slots x %Slot] zeroinitializer, ptr @slots
  store i64 0, ptr @kept_bytes
  store i32 0, ptr @slots_locked
  br label %leave
leave:
  ret void
}
""")

INTERFACE = Template("""
define ptr @fg_allocate(i64 %bytes) {
entry:
  %large = icmp uge i64 %bytes, $large_bytes
  br i1 %large, label %reuse, label %small
small:
  %little = call ptr @from_malloc(i64 %bytes)
  ret ptr %little
reuse:
  %absurd = icmp ugt i64 %bytes, 1152921504606846976
  br i1 %absurd, label %nothing, label %round
round:
  %up = add i64 %bytes, 4095
  %pages = and i64 %up, -4096
  %kept = call ptr @take(i64 %pages)
  %found = icmp ne ptr %kept, null
  br i1 %found, label %leave, label %fresh
fresh:
  %new = call ptr @from_system(i64 %pages)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %empty_table, label %leave
empty_table:
  %limit = load i64, ptr @kept_limit
  call void @fg_keep_at_most(i64 0)
  store i64 %limit, ptr @kept_limit
  %last = call ptr @from_system(i64 %pages)
  br label %leave
leave:
  %block = phi ptr [%kept, %round], [%new, %fresh], [%last, %empty_table]
  ret ptr %block
nothing:
  ret ptr null
}

define void @fg_free(ptr %block) {
entry:
  %none = icmp eq ptr %block, null
  br i1 %none, label %leave, label %look
look:
  %capacity = call i64 @capacity(ptr %block)
  %large = icmp uge i64 %capacity, $large_bytes
  br i1 %large, label %keep, label %release
keep:
  call void @keep(ptr %block, i64 %capacity)
  br label %leave
release:
  call void @to_system(ptr %block)
  br label %leave
leave:
  ret void
}
""")


def blocks(mapped: bool) -> tuple[dict[str, str], str]:
    """The functions that blocks need, and the text.

    `ptr fg_allocate(bytes)` gives memory on a 64-byte boundary, null if there is none; `fg_free(block)` takes it.
    `fg_keep_at_most(bytes)` sets how much freed memory may be kept, and gives back what is over.
    """
    advise = ADVISE_HUGE if system.has(["madvise"]) and sys.platform == "linux" else ""
    values = {
        **system.constants(),
        "slots": SLOTS,
        "large_bytes": LARGE_BYTES,
        "huge_bytes": HUGE_BYTES,
        "advise": advise,
        "pause": system.pause()[1],
    }
    middle = MAP.substitute(values) if mapped else UNMAPPED
    state, table, interface = [part.substitute(values) for part in (STATE, TABLE, INTERFACE)]
    text = "".join([state, SMALL, middle, table, interface])
    return EXTERNALS | (MAPPING if mapped else {}), text
