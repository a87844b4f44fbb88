"""Time in native code, and the wait of one thread for a word that another changes."""

from __future__ import annotations

from string import Template

from funcgrad.compiler.llvm.runtime import system

# --- time ---

CLOCK = {"clock_gettime": "i32 (i32, ptr)"}

CLOCK_TEXT = Template("""
define internal i64 @now() {
  %time = alloca [2 x i64], align 8
  %status = call i32 @clock_gettime(i32 $monotonic, ptr %time)
  %seconds = load i64, ptr %time
  %fraction = getelementptr i64, ptr %time, i64 1
  %nanoseconds = load i64, ptr %fraction
  %scaled = mul i64 %seconds, 1000000000
  %sum = add i64 %scaled, %nanoseconds
  ret i64 %sum
}
""")

TICK_COUNT = {"GetTickCount64": "i64 ()"}

TICK_COUNT_TEXT = """
define internal i64 @now() {
  %milliseconds = call i64 @GetTickCount64()
  %scaled = mul i64 %milliseconds, 1000000
  ret i64 %scaled
}
"""


def clock() -> tuple[dict[str, str], str]:
    """The functions that `i64 now()` needs, and its text: nanoseconds since some moment."""
    if "monotonic" in system.constants():
        return CLOCK, CLOCK_TEXT.substitute(system.constants())
    return TICK_COUNT, TICK_COUNT_TEXT


# --- waiting ---

# The longest wait of `wait_briefly_while`.
A_WHILE_NS = 200_000

FUTEX = {"syscall": "i64 (i64, ...)"}

# 128 and 129: FUTEX_WAIT and FUTEX_WAKE, each private to this process.
FUTEX_TEXT = Template("""
@a_while = private constant [2 x i64] [i64 0, i64 $a_while]

define internal void @wait_while(ptr %word, i32 %seen) {
  %value = zext i32 %seen to i64
  call i64 (i64, ...) @syscall(i64 $futex, ptr %word, i64 128, i64 %value, ptr null, ptr null, i64 0)
  ret void
}

define internal void @wait_briefly_while(ptr %word, i32 %seen) {
  %value = zext i32 %seen to i64
  call i64 (i64, ...) @syscall(i64 $futex, ptr %word, i64 128, i64 %value, ptr @a_while, ptr null, i64 0)
  ret void
}

define internal void @wake(ptr %word, i32 %count) {
  %value = zext i32 %count to i64
  call i64 (i64, ...) @syscall(i64 $futex, ptr %word, i64 129, i64 %value, ptr null, ptr null, i64 0)
  ret void
}

define internal void @waiting_reset() {
  ret void
}
""")

CONDITION = {
    "pthread_mutex_init": "i32 (ptr, ptr)",
    "pthread_mutex_lock": "i32 (ptr)",
    "pthread_mutex_unlock": "i32 (ptr)",
    "pthread_cond_init": "i32 (ptr, ptr)",
    "pthread_cond_wait": "i32 (ptr, ptr)",
    "pthread_cond_broadcast": "i32 (ptr)",
}

CONDITION_TEXT = """
@mutex = internal global [128 x i8] zeroinitializer, align 64
@condition = internal global [128 x i8] zeroinitializer, align 64

define internal void @wait_while(ptr %word, i32 %seen) {
entry:
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  br label %look
look:
  %value = load atomic i32, ptr %word seq_cst, align 4
  %same = icmp eq i32 %value, %seen
  br i1 %same, label %sleep, label %leave
sleep:
  %woken = call i32 @pthread_cond_wait(ptr @condition, ptr @mutex)
  br label %look
leave:
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  ret void
}

define internal void @wait_briefly_while(ptr %word, i32 %seen) {
  call void @wait_while(ptr %word, i32 %seen)
  ret void
}

define internal void @wake(ptr %word, i32 %count) {
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  %woken = call i32 @pthread_cond_broadcast(ptr @condition)
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  ret void
}

define internal void @waiting_reset() {
  %mutex = call i32 @pthread_mutex_init(ptr @mutex, ptr null)
  %condition = call i32 @pthread_cond_init(ptr @condition, ptr null)
  ret void
}
"""


def waiting(futex: int | None) -> tuple[dict[str, str], str]:
    """The functions that waiting needs, and its text.

    `wait_while(word, seen)` sleeps while the word has this value, `wait_briefly_while` may return sooner where that
    can be done, `wake(word, count)` wakes that many sleepers or more. `waiting_reset()` comes first, and again in a
    forked child.
    """
    if futex is None:
        return CONDITION, CONDITION_TEXT
    return FUTEX, FUTEX_TEXT.substitute(futex=futex, a_while=A_WHILE_NS)
