"""Workers on a busy machine, in native code: none is in the way of its caller, and none keeps it waiting.

Linux often wakes a worker on the CPU of the caller, also while another CPU is idle. There it can only be in the way:
it moves to another one. If that is too late or impossible, it leaves the chunks alone, and for a while callers count
on one worker less; the while doubles each time until a worker is of use.

A worker that another program keeps from running while it has a chunk would hold up the caller for a slice of the
scheduler, 4 to 8 ms. So a caller that has nothing left to do fetches it to its own CPU, and lets it run there.
"""

from __future__ import annotations

from string import Template

from funcgrad.compiler.llvm.runtime import system

# For how long callers do without a worker that was in the way: the first time, and after many times.
FIRST_PAUSE_NS = 100_000
LONGEST_PAUSE_NS = 5_000_000

# For how long the caller looks whether the clock of a worker stands still. It may take some time to be told.
STANDSTILL_NS = 4_000

EXTERNALS = {
    "gettid": "i32 ()",
    "clock_gettime": "i32 (i32, ptr)",
    "sched_getcpu": "i32 ()",
    "sched_getaffinity": "i32 (i32, i64, ptr)",
    "sched_setaffinity": "i32 (i32, i64, ptr)",
}

STATE = """
@caller_cpu = internal global i32 -1, align 64
@crowd = internal global i32 0
@crowded_until = internal global i64 0
@crowd_pause = internal global i64 0
"""

CROWD = Template("""
define internal i1 @in_the_way(i1 %joining) {
entry:
  br i1 %joining, label %look, label %no
look:
  %beside = call i1 @beside_the_caller()
  br i1 %beside, label %move, label %no
move:
  call void @move_away()
  %still = call i1 @beside_the_caller()
  %word = load atomic i64, ptr @work seq_cst, align 8
  %remaining = and i64 %word, 4294967295
  %late = icmp eq i64 %remaining, 0
  %useless = or i1 %still, %late
  br i1 %useless, label %yes, label %no
yes:
  %last = load atomic i64, ptr @crowd_pause seq_cst, align 8
  %twice = mul i64 %last, 2
  %more = call i64 @llvm.umax.i64(i64 %twice, i64 $first_pause)
  %pause = call i64 @llvm.umin.i64(i64 %more, i64 $longest_pause)
  store atomic i64 %pause, ptr @crowd_pause seq_cst, align 8
  %time = call i64 @now()
  %until = add i64 %time, %pause
  store atomic i64 %until, ptr @crowded_until seq_cst, align 8
  %before = atomicrmw add ptr @crowd, i32 1 seq_cst
  ret i1 true
no:
  ret i1 false
}

define internal void @be_of_use(i1 %joining) {
entry:
  br i1 %joining, label %look, label %leave
look:
  %pause = load atomic i64, ptr @crowd_pause seq_cst, align 8
  %crowded = icmp ne i64 %pause, 0
  br i1 %crowded, label %clear, label %leave
clear:
  store atomic i64 0, ptr @crowd_pause seq_cst, align 8
  br label %leave
leave:
  ret void
}

; How many workers a region can count on.
define internal i64 @useful_workers(i64 %most) {
entry:
  %crowd = load atomic i32, ptr @crowd seq_cst, align 4
  %none = icmp eq i32 %crowd, 0
  br i1 %none, label %all, label %look
look:
  %time = call i64 @now()
  %until = load atomic i64, ptr @crowded_until seq_cst, align 8
  %over = icmp sgt i64 %time, %until
  br i1 %over, label %forget, label %reduce
forget:
  store atomic i32 0, ptr @crowd seq_cst, align 4
  br label %all
reduce:
  %wide = zext i32 %crowd to i64
  %left = call i64 @llvm.usub.sat.i64(i64 %most, i64 %wide)
  ret i64 %left
all:
  ret i64 %most
}
""")

# Which CPU the caller of the running region is on. Where CPUs have no names, no worker knows itself in the way.
PLACES = Template("""
define internal void @note_the_cpu() {
  %cpu = call i32 @sched_getcpu()
  store atomic i32 %cpu, ptr @caller_cpu seq_cst, align 4
  ret void
}

define internal i1 @beside_the_caller() {
  %cpu = call i32 @sched_getcpu()
  %callers = load atomic i32, ptr @caller_cpu seq_cst, align 4
  %same = icmp eq i32 %cpu, %callers
  ret i1 %same
}

; A thread may run only on the CPU with this number, or only on others, for a moment: the system has to move it.
define internal void @force(i32 %thread, i32 %cpu, i1 %there) {
entry:
  %allowed = alloca [128 x i8], align 8
  %changed = alloca [128 x i8], align 8
  store [128 x i8] zeroinitializer, ptr %allowed
  store [128 x i8] zeroinitializer, ptr %changed
  %size = call i32 @sched_getaffinity(i32 %thread, i64 128, ptr %allowed)
  %known = icmp ult i32 %cpu, 1024
  %got = icmp sge i32 %size, 0
  %possible = and i1 %known, %got
  br i1 %possible, label %change, label %leave
change:
  %index = lshr i32 %cpu, 3
  %bit = and i32 %cpu, 7
  %shift = trunc i32 %bit to i8
  %flag = shl i8 1, %shift
  br i1 %there, label %only, label %without
only:
  %one = getelementptr i8, ptr %changed, i32 %index
  store i8 %flag, ptr %one
  br label %move
without:
  call void @llvm.memcpy.p0.p0.i64(ptr %changed, ptr %allowed, i64 128, i1 false)
  %byte = getelementptr i8, ptr %changed, i32 %index
  %bits = load i8, ptr %byte
  %mask = xor i8 %flag, -1
  %fewer = and i8 %bits, %mask
  store i8 %fewer, ptr %byte
  br label %move
move:
  %moved = call i32 @sched_setaffinity(i32 %thread, i64 128, ptr %changed)
  %restored = call i32 @sched_setaffinity(i32 %thread, i64 128, ptr %allowed)
  br label %leave
leave:
  ret void
}

define internal void @move_away() {
  %cpu = call i32 @sched_getcpu()
  call void @force(i32 0, i32 %cpu, i1 false)
  ret void
}

define internal i32 @thread_number() {
  %thread = call i32 @gettid()
  ret i32 %thread
}

; How long a thread has run. Linux derives the number of the clock from that of the thread.
define internal i64 @time_on_cpu(i32 %thread) {
  %time = alloca [2 x i64], align 8
  store [2 x i64] zeroinitializer, ptr %time
  %inverse = xor i32 %thread, -1
  %shifted = shl i32 %inverse, 3
  %clock = or i32 %shifted, 6
  %status = call i32 @clock_gettime(i32 %clock, ptr %time)
  %seconds = load i64, ptr %time
  %fraction = getelementptr i64, ptr %time, i64 1
  %nanoseconds = load i64, ptr %fraction
  %scaled = mul i64 %seconds, 1000000000
  %sum = add i64 %scaled, %nanoseconds
  ret i64 %sum
}

define internal void @fetch_if_still(i32 %thread) {
entry:
  %first = call i64 @time_on_cpu(i32 %thread)
  %start = call i64 @now()
  %end = add i64 %start, $standstill
  br label %wait
wait:
  $pause
  %time = call i64 @now()
  %early = icmp slt i64 %time, %end
  br i1 %early, label %wait, label %look
look:
  %last = call i64 @time_on_cpu(i32 %thread)
  %still = icmp eq i64 %first, %last
  br i1 %still, label %fetch, label %leave
fetch:
  %cpu = call i32 @sched_getcpu()
  call void @force(i32 %thread, i32 %cpu, i1 true)
  br label %leave
leave:
  ret void
}
""")

NO_PLACES = """
define internal void @note_the_cpu() {
  ret void
}

define internal i1 @beside_the_caller() {
  ret i1 false
}

define internal void @move_away() {
  ret void
}

define internal i32 @thread_number() {
  ret i32 0
}

define internal void @fetch_if_still(i32 %thread) {
  ret void
}
"""


def crowding() -> tuple[dict[str, str], str]:
    """The functions that this needs, and the text.

    A worker asks `in_the_way(joining)` before it takes a chunk, and says `be_of_use(joining)` when it has one.
    A caller asks for `useful_workers(most)`, says where it is by `note_the_cpu()`, and while it waits for a worker
    calls `fetch_if_still(thread)` with that worker's `thread_number()`.
    """
    crowd = CROWD.substitute(first_pause=FIRST_PAUSE_NS, longest_pause=LONGEST_PAUSE_NS)
    if system.has(EXTERNALS):
        places = PLACES.substitute(pause=system.pause()[1], standstill=STANDSTILL_NS)
        return EXTERNALS, STATE + crowd + places
    return {}, STATE + crowd + NO_PLACES
