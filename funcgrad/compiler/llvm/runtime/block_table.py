"""Freed blocks that are kept for the next call, in native code: a table of slots that threads try to lock."""

from __future__ import annotations

from string import Template

from funcgrad.compiler.llvm.runtime import system

SLOTS = 64

STATE = Template("""
%Slot = type {ptr, i64, i64}
@slots = internal global [$slots x %Slot] zeroinitializer, align 64
@slots_locked = internal global i32 0, align 64
@kept_bytes = internal global i64 0
@kept_limit = internal global i64 0
@age = internal global i64 0

""")

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


def table() -> str:
    """The text: `take` and `keep`, and `fg_keep_at_most`, which sets how much is kept."""
    values = {"slots": SLOTS, "pause": system.pause()[1]}
    return STATE.substitute(values) + TABLE.substitute(values)
