"""The threads of the pool in native code: how they are made, find work, and sleep.

A worker goes to sleep in this order: read `bell`, count itself in `sleepers`, look at `work` again, wait while `bell`
is unchanged. A caller publishes `work`, then looks at `sleepers`, then changes `bell`. All of it is sequentially
consistent, so one of the two sees the other.
"""

from __future__ import annotations

from string import Template

from funcgrad.compiler.llvm.runtime import system

# BLAS and kernels keep their tiles in static or allocated memory.
STACK_BYTES = 1 << 20

# A worker that finds nothing to do looks again for this long before it sleeps: about twice what waking it costs.
SPIN_NS = 40_000

EXTERNALS = {
    "pthread_create": "i32 (ptr, ptr, ptr, ptr)",
    "pthread_attr_init": "i32 (ptr)",
    "pthread_attr_setdetachstate": "i32 (ptr, i32)",
    "pthread_attr_setstacksize": "i32 (ptr, i64)",
    "pthread_attr_destroy": "i32 (ptr)",
    "pthread_sigmask": "i32 (i32, ptr, ptr)",
    "sigfillset": "i32 (ptr)",
    "sigdelset": "i32 (ptr, i32)",
}

WORKER = Template("""
; The word after taking one chunk, or -1 if this thread may take none.
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
  %after = phi i64 [%one, %seat], [%both, %join], [-1, %nothing]
  ret i64 %after
}

define internal ptr @worker(ptr %argument) {
entry:
  %number = ptrtoint ptr %argument to i64
  %thread = getelementptr %Worker, ptr @all_workers, i64 %number
  %busy = getelementptr %Worker, ptr %thread, i64 0, i32 1
  %thread_number = call i32 @thread_number()
  store atomic i32 0, ptr %busy seq_cst, align 4
  store atomic i32 %thread_number, ptr %thread seq_cst, align 4
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
  store atomic i32 1, ptr %busy release, align 4
  call void @be_of_use(i1 %new)
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
  store atomic i32 0, ptr %busy release, align 4
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
  %deadline = add i64 %begin, $spin
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
""")

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
  %argument = inttoptr i64 %count to ptr
  %status = call i32 @pthread_create(ptr %thread, ptr %attributes, ptr @worker, ptr %argument)
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


def workers() -> tuple[dict[str, str], str]:
    """The functions that workers need, and the text of `void ensure_workers(i64 wanted)`, for the owner of the pool."""
    values = system.constants() | {
        "pause": system.pause()[1],
        "spin": SPIN_NS,
        "stack_bytes": STACK_BYTES,
    }
    return EXTERNALS, WORKER.substitute(values) + CREATION.substitute(values)
