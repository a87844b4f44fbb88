"""The thread pool in native code: `fg_parallel` hands out the chunks of a region to workers and its caller.

One 64-bit word says what there is to do: `epoch:16 | seats:16 | remaining:32`. Whoever lowers `remaining` by a
compare-and-swap owns one chunk of the region that runs now, whatever it knew before, so a worker that wakes late
can neither take a chunk twice nor touch a region that is over. The caller waits for chunks that were taken, never for
a worker. Seats limit how many workers join a region; the epoch tells a worker whether it already has a seat.

A worker goes to sleep in this order: read `bell`, count itself in `sleepers`, look at `work` again, wait while `bell`
is unchanged. The caller publishes `work`, then looks at `sleepers`, then changes `bell`. All of it is sequentially
consistent, so one of the two sees the other. Regions inside regions, and regions of other Python threads while one
runs, find the pool taken and run inline.
"""

from __future__ import annotations

from string import Template

from funcgrad.compiler.llvm import system

# Enough for any machine; the seats have 16 bits.
MAX_WORKERS = 255

# For how long callers do without a worker that was in the way.
CROWDED_NS = 2_000_000

# BLAS and kernels keep their tiles in static or allocated memory.
STACK_BYTES = 1 << 20

# A worker that finds nothing to do looks again for this long before it sleeps: about twice what waking it costs.
WORKER_SPIN_NS = 40_000

# The caller looks this long for the last chunks of others before it sleeps.
CALLER_SPIN_NS = 20_000

EXTERNALS = {
    "pthread_create": "i32 (ptr, ptr, ptr, ptr)",
    "pthread_attr_init": "i32 (ptr)",
    "pthread_attr_setdetachstate": "i32 (ptr, i32)",
    "pthread_attr_setstacksize": "i32 (ptr, i64)",
    "pthread_attr_destroy": "i32 (ptr)",
    "pthread_sigmask": "i32 (i32, ptr, ptr)",
    "sigfillset": "i32 (ptr)",
    "sigdelset": "i32 (ptr, i32)",
    "pthread_key_create": "i32 (ptr, ptr)",
    "pthread_getspecific": "ptr (i64)",
    "pthread_setspecific": "i32 (i64, ptr)",
}

# Defined in Python: the thread count of the thread that asks.
ASK = {"fg_ask_threads": "i32 ()"}

CPU = {"sched_getcpu": "i32 ()"}

STATE = """
@owned = internal global i32 0, align 64
@work = internal global i64 0, align 64
@task = internal global ptr null, align 64
@data = internal global ptr null
@chunks = internal global i64 0
@done = internal global i32 0, align 64
@caller_waits = internal global i32 0, align 64
@bell = internal global i32 0, align 64
@sleepers = internal global i32 0, align 64
@caller_cpu = internal global i32 -1, align 64
@crowd = internal global i32 0
@crowded_until = internal global i64 0
@workers = internal global i64 0, align 64
@key = internal global i64 0
@worker_setup = internal global ptr null
"""

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

WORKER = Template("""
; The word after taking one chunk, or 0 if this thread may take none.
define internal i64 @after_taking(i64 %word, i64 %joined) {
entry:
  %remaining = and i64 %word, 4294967295
  %some = icmp ne i64 %remaining, 0
  br i1 %some, label %seat, label %nothing
seat:
  %epoch = lshr i64 %word, 48
  %seated = icmp eq i64 %epoch, %joined
  %one = sub i64 %word, 1
  br i1 %seated, label %leave, label %join
join:
  %seats = and i64 %word, 281470681743360
  %free = icmp ne i64 %seats, 0
  %both = sub i64 %one, 4294967296
  br i1 %free, label %leave, label %nothing
nothing:
  br label %leave
leave:
  %after = phi i64 [%one, %seat], [%both, %join], [0, %nothing]
  %taken = phi i1 [true, %seat], [true, %join], [false, %nothing]
  %result = select i1 %taken, i64 %after, i64 -1
  ret i64 %result
}

define internal ptr @worker(ptr %unused) {
entry:
  %key = load i64, ptr @key
  %status = call i32 @pthread_setspecific(i64 %key, ptr inttoptr (i64 1 to ptr))
  br label %take

take:
  %joined = phi i64 [65536, %entry], [%joined, %lost], [%epoch, %run], [%joined, %sleep], [%joined, %spin],
                    [%joined, %up]
  %finished = phi i32 [0, %entry], [%finished, %lost], [%more, %run], [0, %sleep], [0, %spin], [0, %up]
  %word = load atomic i64, ptr @work seq_cst, align 8
  %after = call i64 @after_taking(i64 %word, i64 %joined)
  %found = icmp ne i64 %after, -1
  br i1 %found, label %try, label %nothing
try:
  %epoch = lshr i64 %word, 48
  %new = icmp ne i64 %epoch, %joined
  %useless = call i1 @in_the_way(i1 %new)
  br i1 %useless, label %refuse, label %claim
claim:
  %pair = cmpxchg ptr @work, i64 %word, i64 %after seq_cst seq_cst
  %success = extractvalue {i64, i1} %pair, 1
  br i1 %success, label %run, label %lost
lost:
  br label %take
run:
  call void @set_up(i1 %new)
  %task = load ptr, ptr @task
  %data = load ptr, ptr @data
  %chunks = load i64, ptr @chunks
  %remaining = and i64 %word, 4294967295
  %chunk = sub i64 %chunks, %remaining
  call void %task(ptr %data, i64 %chunk)
  %more = add i32 %finished, 1
  br label %take

nothing:
  %any = icmp ne i32 %finished, 0
  br i1 %any, label %report, label %idle
report:
  %before = atomicrmw add ptr @done, i32 %finished seq_cst
  %waits = load atomic i32, ptr @caller_waits seq_cst, align 4
  %asleep = icmp ne i32 %waits, 0
  br i1 %asleep, label %ring, label %idle
ring:
  call void @wake(ptr @done, i32 1)
  br label %idle

idle:
  %blocking = call i1 @beside_the_caller()
  br i1 %blocking, label %doze, label %start
start:
  %begin = call i64 @now()
  %deadline = add i64 %begin, $worker_spin
  br label %spin
spin:
  %spin_word = load atomic i64, ptr @work seq_cst, align 8
  %spin_after = call i64 @after_taking(i64 %spin_word, i64 %joined)
  %spin_found = icmp ne i64 %spin_after, -1
  br i1 %spin_found, label %take, label %again
again:
  $pause
  %time = call i64 @now()
  %early = icmp slt i64 %time, %deadline
  br i1 %early, label %spin, label %doze

doze:
  %heard = load atomic i32, ptr @bell seq_cst, align 4
  %down = atomicrmw add ptr @sleepers, i32 1 seq_cst
  %last_word = load atomic i64, ptr @work seq_cst, align 8
  %last_after = call i64 @after_taking(i64 %last_word, i64 %joined)
  %last_found = icmp ne i64 %last_after, -1
  br i1 %last_found, label %up, label %sleep
up:
  %risen = atomicrmw sub ptr @sleepers, i32 1 seq_cst
  br label %take
refuse:
  %refuse_heard = load atomic i32, ptr @bell seq_cst, align 4
  %refuse_down = atomicrmw add ptr @sleepers, i32 1 seq_cst
  br label %sleep
sleep:
  %seen = phi i32 [%heard, %doze], [%refuse_heard, %refuse]
  call void @wait_while(ptr @bell, i32 %seen)
  %woken = atomicrmw sub ptr @sleepers, i32 1 seq_cst
  br label %take
}

; On a busy machine the system may wake a worker on the CPU of the caller, where it can only be in the way.
; It then leaves the chunks alone, and for a while callers count on one worker less.
define internal i1 @in_the_way(i1 %joining) {
entry:
  br i1 %joining, label %look, label %no
look:
  %beside = call i1 @beside_the_caller()
  br i1 %beside, label %yes, label %no
yes:
  %time = call i64 @now()
  %until = add i64 %time, $crowded
  store atomic i64 %until, ptr @crowded_until seq_cst, align 8
  %before = atomicrmw add ptr @crowd, i32 1 seq_cst
  ret i1 true
no:
  ret i1 false
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

; Whatever another library wants to be told by each of our threads, such as that it runs alone.
define internal void @set_up(i1 %first) {
entry:
  br i1 %first, label %look, label %leave
look:
  %setup = load ptr, ptr @worker_setup
  %given = icmp ne ptr %setup, null
  br i1 %given, label %call, label %leave
call:
  call void %setup(i32 1)
  br label %leave
leave:
  ret void
}

define void @fg_set_worker_setup(ptr %setup) {
  store ptr %setup, ptr @worker_setup
  ret void
}
""")

# Which CPU the caller of the running region is on. Without `sched_getcpu` no worker knows itself in the way.
PLACES = """
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
"""

NO_PLACES = """
define internal void @note_the_cpu() {
  ret void
}

define internal i1 @beside_the_caller() {
  ret i1 false
}
"""

# Signals stay with Python's threads, except those that a fault raises in the thread itself.
CREATION = Template("""
define internal void @ensure_workers(i64 %wanted) {
entry:
  %have = load i64, ptr @workers
  %enough = icmp uge i64 %have, %wanted
  br i1 %enough, label %leave, label %prepare
prepare:
  %attributes = alloca [128 x i8], align 16
  %thread = alloca i64, align 8
  %blocked = alloca [128 x i8], align 16
  %saved = alloca [128 x i8], align 16
  %s1 = call i32 @pthread_attr_init(ptr %attributes)
  %s2 = call i32 @pthread_attr_setdetachstate(ptr %attributes, i32 $detached)
  %s3 = call i32 @pthread_attr_setstacksize(ptr %attributes, i64 $stack_bytes)
  %s4 = call i32 @sigfillset(ptr %blocked)
  %s5 = call i32 @sigdelset(ptr %blocked, i32 4)
  %s6 = call i32 @sigdelset(ptr %blocked, i32 8)
  %s7 = call i32 @sigdelset(ptr %blocked, i32 11)
  %s8 = call i32 @sigdelset(ptr %blocked, i32 $sigbus)
  %s9 = call i32 @pthread_sigmask(i32 $setmask, ptr %blocked, ptr %saved)
  br label %create
create:
  %count = phi i64 [%have, %prepare], [%next, %created]
  %status = call i32 @pthread_create(ptr %thread, ptr %attributes, ptr @worker, ptr null)
  %failed = icmp ne i32 %status, 0
  br i1 %failed, label %restore, label %created
created:
  %next = add i64 %count, 1
  store i64 %next, ptr @workers
  %missing = icmp ult i64 %next, %wanted
  br i1 %missing, label %create, label %restore
restore:
  %s10 = call i32 @pthread_sigmask(i32 $setmask, ptr %saved, ptr null)
  %s11 = call i32 @pthread_attr_destroy(ptr %attributes)
  br label %leave
leave:
  ret void
}
""")

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
  %deadline = add i64 %begin, $caller_spin
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
  call void @wait_while(ptr @done, i32 %seen)
  br label %look
awake:
  store atomic i32 0, ptr @caller_waits seq_cst, align 4
  br label %leave
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

define void @fg_set_worker_setup(ptr %setup) {
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
    values = system.constants() | {
        "pause": system.pause()[1],
        "worker_spin": WORKER_SPIN_NS,
        "caller_spin": CALLER_SPIN_NS,
        "crowded": CROWDED_NS,
        "stack_bytes": STACK_BYTES,
        "max_workers": MAX_WORKERS,
    }
    texts = [part.substitute(values) for part in (WORKER, CREATION, REGION)]
    knows_places = system.has(CPU)
    places = PLACES if knows_places else NO_PLACES
    needed = EXTERNALS | ASK | (CPU if knows_places else {})
    return needed, "".join([STATE, THREADS, places, *texts, INLINE])
