"""The thread pool in native code: `fg_parallel` hands out the chunks of a region to workers and its caller.

One 64-bit word says what there is to do: `epoch:16 | seats:16 | remaining:32`. Whoever lowers `remaining` by a
compare-and-swap owns one chunk of the region that runs now, whatever it knew before, so a worker that wakes late
can neither take a chunk twice nor touch a region that is over. The caller waits for chunks that were taken, never for
a worker. Seats limit how many workers join a region; the epoch tells a worker whether it already has a seat.

Regions inside regions, and regions of other Python threads while one runs, find the pool taken and run inline.
"""

from __future__ import annotations

from string import Template

from funcgrad.compiler.llvm.runtime import system
from funcgrad.compiler.llvm.runtime.crowding import crowding
from funcgrad.compiler.llvm.runtime.workers import workers

# Enough for any machine; the seats have 16 bits.
MAX_WORKERS = 255

# The caller looks this long for the last chunks of others before it sleeps.
SPIN_NS = 20_000

# The last one is defined in Python: the thread count of the thread that asks.
EXTERNALS = {
    "pthread_key_create": "i32 (ptr, ptr)",
    "pthread_getspecific": "ptr (i64)",
    "pthread_setspecific": "i32 (i64, ptr)",
    "fg_ask_threads": "i32 ()",
}

# Of each worker: its number in the system, and whether it has a chunk.
STATE = Template("""
%Worker = type {i32, i32, [7 x i64]}
@owned = internal global i32 0, align 64
@work = internal global i64 0, align 64
@task = internal global ptr null, align 64
@data = internal global ptr null
@chunks = internal global i64 0
@done = internal global i32 0, align 64
@caller_waits = internal global i32 0, align 64
@bell = internal global i32 0, align 64
@sleepers = internal global i32 0, align 64
@workers = internal global i64 0, align 64
@all_workers = internal global [$max_workers x %Worker] zeroinitializer, align 64
@key = internal global i64 0
""")

# The thread count of a thread is Python's to know (funcgrad.config); a copy lies in a thread-specific slot.
THREADS = """
define i64 @fg_threads() {
entry:
  %key = load i64, ptr @key
  %slot = call ptr @pthread_getspecific(i64 %key)
  %copy = ptrtoint ptr %slot to i64
  %known = icmp ne i64 %copy, 0
  br i1 %known, label %leave, label %ask
ask:
  %answer = call i32 @fg_ask_threads()
  %count = zext i32 %answer to i64
  %stored = inttoptr i64 %count to ptr
  %status = call i32 @pthread_setspecific(i64 %key, ptr %stored)
  br label %leave
leave:
  %result = phi i64 [%copy, %entry], [%count, %ask]
  ret i64 %result
}

define void @fg_forget_threads() {
  %key = load i64, ptr @key
  %status = call i32 @pthread_setspecific(i64 %key, ptr null)
  ret void
}
"""

REGION = Template("""
define internal i32 @region(ptr %task, ptr %data, i64 %chunks, i64 %seats, i1 %interruptible) {
entry:
  %ticks = alloca [3 x i64], align 8
  store [3 x i64] zeroinitializer, ptr %ticks
  call void @ensure_workers(i64 %seats)
  call void @note_the_cpu()
  store ptr %task, ptr @task
  store ptr %data, ptr @data
  store i64 %chunks, ptr @chunks
  store atomic i32 0, ptr @done seq_cst, align 4
  %old = load atomic i64, ptr @work seq_cst, align 8
  %old_epoch = lshr i64 %old, 48
  %next_epoch = add i64 %old_epoch, 1
  %epoch_field = shl i64 %next_epoch, 48
  %seat_field = shl i64 %seats, 32
  %fields = or i64 %epoch_field, %seat_field
  %word = or i64 %fields, %chunks
  store atomic i64 %word, ptr @work seq_cst, align 8
  %sleepers = load atomic i32, ptr @sleepers seq_cst, align 4
  %any = icmp ne i32 %sleepers, 0
  br i1 %any, label %ring, label %take
ring:
  %rung = atomicrmw add ptr @bell, i32 1 seq_cst
  %narrow = trunc i64 %seats to i32
  call void @wake(ptr @bell, i32 %narrow)
  br label %take

take:
  %own = phi i64 [0, %entry], [0, %ring], [%own, %lost], [%more, %ran], [%more, %poll]
  %seen = load atomic i64, ptr @work seq_cst, align 8
  %remaining = and i64 %seen, 4294967295
  %some = icmp ne i64 %remaining, 0
  br i1 %some, label %try, label %taken
try:
  %less = sub i64 %seen, 1
  %pair = cmpxchg ptr @work, i64 %seen, i64 %less seq_cst seq_cst
  %success = extractvalue {i64, i1} %pair, 1
  br i1 %success, label %ran, label %lost
lost:
  br label %take
ran:
  %chunk = sub i64 %chunks, %remaining
  call void %task(ptr %data, i64 %chunk)
  %more = add i64 %own, 1
  br i1 %interruptible, label %poll, label %take
poll:
  %stop = call i32 @fg_tick(ptr %ticks)
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %abandon, label %take
abandon:
  %left = atomicrmw and ptr @work, i64 -4294967296 seq_cst
  %untaken = and i64 %left, 4294967295
  %given_up = add i64 %untaken, %more
  br label %taken

taken:
  %mine = phi i64 [%own, %take], [%given_up, %abandon]
  %result = phi i32 [0, %take], [1, %abandon]
  %theirs = sub i64 %chunks, %mine
  %target = trunc i64 %theirs to i32
  call void @wait_for_workers(i32 %target)
  ret i32 %result
}

define internal void @wait_for_workers(i32 %target) {
entry:
  %first = load atomic i32, ptr @done seq_cst, align 4
  %ready = icmp eq i32 %first, %target
  br i1 %ready, label %leave, label %start
start:
  %begin = call i64 @now()
  %deadline = add i64 %begin, $spin
  br label %spin
spin:
  $pause
  %count = load atomic i32, ptr @done seq_cst, align 4
  %same = icmp eq i32 %count, %target
  br i1 %same, label %leave, label %again
again:
  %time = call i64 @now()
  %early = icmp slt i64 %time, %deadline
  br i1 %early, label %spin, label %announce
announce:
  store atomic i32 1, ptr @caller_waits seq_cst, align 4
  br label %look
look:
  %seen = load atomic i32, ptr @done seq_cst, align 4
  %complete = icmp eq i32 %seen, %target
  br i1 %complete, label %awake, label %sleep
sleep:
  call void @fetch_workers()
  call void @wait_briefly_while(ptr @done, i32 %seen)
  br label %look
awake:
  store atomic i32 0, ptr @caller_waits seq_cst, align 4
  br label %leave
leave:
  ret void
}

; See that those who have chunks can run.
define internal void @fetch_workers() {
entry:
  %workers = load i64, ptr @workers
  br label %next
next:
  %i = phi i64 [0, %entry], [%following, %done]
  %some = icmp ult i64 %i, %workers
  br i1 %some, label %look, label %leave
look:
  %worker = getelementptr %Worker, ptr @all_workers, i64 %i
  %where = getelementptr %Worker, ptr %worker, i64 0, i32 1
  %busy = load atomic i32, ptr %where seq_cst, align 4
  %working = icmp ne i32 %busy, 0
  br i1 %working, label %fetch, label %done
fetch:
  %thread = load atomic i32, ptr %worker seq_cst, align 4
  call void @fetch_if_still(i32 %thread)
  br label %done
done:
  %following = add i64 %i, 1
  br label %next
leave:
  ret void
}

define internal i32 @parallel(ptr %task, ptr %data, i64 %chunks, i1 %interruptible) {
entry:
  %rest = sub i64 %chunks, 2
  %fits = icmp ult i64 %rest, 2147483646
  br i1 %fits, label %count, label %alone
count:
  %threads = call i64 @fg_threads()
  %others = sub i64 %threads, 1
  %spare = sub i64 %chunks, 1
  %wanted = call i64 @llvm.umin.i64(i64 %others, i64 %spare)
  %most = call i64 @llvm.umin.i64(i64 %wanted, i64 $max_workers)
  %seats = call i64 @useful_workers(i64 %most)
  %several = icmp ne i64 %seats, 0
  br i1 %several, label %claim, label %alone
claim:
  %pair = cmpxchg ptr @owned, i32 0, i32 1 seq_cst seq_cst
  %mine = extractvalue {i32, i1} %pair, 1
  br i1 %mine, label %share, label %alone
share:
  %shared = call i32 @region(ptr %task, ptr %data, i64 %chunks, i64 %seats, i1 %interruptible)
  store atomic i32 0, ptr @owned seq_cst, align 4
  ret i32 %shared
alone:
  %inline = call i32 @inline(ptr %task, ptr %data, i64 %chunks, i1 %interruptible)
  ret i32 %inline
}

define void @pool_reset() {
  store i32 0, ptr @owned
  %word = load i64, ptr @work
  %epoch = and i64 %word, -281474976710656
  store i64 %epoch, ptr @work
  store i32 0, ptr @caller_waits
  store i32 0, ptr @sleepers
  store i64 0, ptr @workers
  call void @waiting_reset()
  ret void
}

define void @pool_start() {
  %status = call i32 @pthread_key_create(ptr @key, ptr null)
  call void @waiting_reset()
  ret void
}
""")

INLINE = """
define internal i32 @inline(ptr %task, ptr %data, i64 %chunks, i1 %interruptible) {
entry:
  %ticks = alloca [3 x i64], align 8
  store [3 x i64] zeroinitializer, ptr %ticks
  br label %next
next:
  %chunk = phi i64 [0, %entry], [%following, %ran], [%following, %poll]
  %more = icmp slt i64 %chunk, %chunks
  br i1 %more, label %run, label %leave
run:
  call void %task(ptr %data, i64 %chunk)
  %following = add i64 %chunk, 1
  br label %ran
ran:
  br i1 %interruptible, label %poll, label %next
poll:
  %stop = call i32 @fg_tick(ptr %ticks)
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %leave, label %next
leave:
  %result = phi i32 [0, %next], [1, %poll]
  ret i32 %result
}

define void @fg_parallel(ptr %task, ptr %data, i64 %chunks) {
  %result = call i32 @parallel(ptr %task, ptr %data, i64 %chunks, i1 false)
  ret void
}

define i32 @fg_parallel_interruptible(ptr %task, ptr %data, i64 %chunks) {
  %result = call i32 @parallel(ptr %task, ptr %data, i64 %chunks, i1 true)
  ret i32 %result
}
"""

# Where threads cannot be made as on POSIX, every region runs inline.
ALONE = """
define internal i32 @parallel(ptr %task, ptr %data, i64 %chunks, i1 %interruptible) {
  %result = call i32 @inline(ptr %task, ptr %data, i64 %chunks, i1 %interruptible)
  ret i32 %result
}

define i64 @fg_threads() {
  ret i64 1
}

define void @fg_forget_threads() {
  ret void
}

define void @pool_reset() {
  ret void
}

define void @pool_start() {
  ret void
}
"""


def pool(threaded: bool) -> tuple[dict[str, str], str]:
    """The functions that the pool needs, and its text.

    `void fg_parallel(task, data, chunks)` calls `task(data, chunk)` for every chunk.
    `i32 fg_parallel_interruptible(task, data, chunks)` does so too, but after Ctrl-C it leaves chunks out and
    returns 1, with a Python exception set.
    `i64 fg_threads()` is the thread count of this thread; ask before a region, not inside.
    """
    if not threaded:
        return {}, INLINE + ALONE
    region = REGION.substitute(pause=system.pause()[1], spin=SPIN_NS, max_workers=MAX_WORKERS)
    state = STATE.substitute(max_workers=MAX_WORKERS)
    needed, texts = EXTERNALS, [state, THREADS, region, INLINE]
    for more, text in (workers(), crowding()):
        needed = needed | more
        texts.append(text)
    return needed, "".join(texts)
