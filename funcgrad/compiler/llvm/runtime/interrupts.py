"""Ctrl-C in native code: `fg_poll` asks Python for signals, `fg_tick` does so every 10 ms, `fg_interrupted` tells."""

from __future__ import annotations

from string import Template

from funcgrad.compiler.llvm.builder import Function
from funcgrad.compiler.llvm.types import Value, constant

# How often `fg_tick` asks Python, and for how long it may go on without looking at the clock.
POLL_NS = 10_000_000
LOOK_NS = 100_000
CALLS_BETWEEN_LOOKS = 64

# The state of `fg_tick`: calls until the next look at the clock, time of the last look, time of the last poll.
TICK_STATE = "[3 x i64]"

EXTERNALS = {
    "PyGILState_Ensure": "i32 ()",
    "PyGILState_Release": "void (i32)",
    "PyErr_CheckSignals": "i32 ()",
    "PyErr_Occurred": "ptr ()",
    "PyThread_get_thread_ident": "i64 ()",
}

# Only the main thread can be interrupted by a signal; others do not even ask for the interpreter lock.
TEXT = Template("""
@main_thread = internal global i64 0
@raised_last = internal global i32 0

define void @fg_set_main_thread(i64 %thread) {
  store i64 %thread, ptr @main_thread
  ret void
}

define i32 @fg_poll() {
entry:
  %thread = call i64 @PyThread_get_thread_ident()
  %main = load i64, ptr @main_thread
  %same = icmp eq i64 %thread, %main
  br i1 %same, label %lock, label %nothing
lock:
  %state = call i32 @PyGILState_Ensure()
  %error = call ptr @PyErr_Occurred()
  %pending = icmp ne ptr %error, null
  br i1 %pending, label %unlock, label %check
check:
  %status = call i32 @PyErr_CheckSignals()
  %raised = icmp ne i32 %status, 0
  br label %unlock
unlock:
  %set = phi i1 [true, %lock], [%raised, %check]
  call void @PyGILState_Release(i32 %state)
  %result = zext i1 %set to i32
  store i32 %result, ptr @raised_last
  ret i32 %result
nothing:
  ret i32 0
}

define i32 @fg_interrupted() {
entry:
  %last = load i32, ptr @raised_last
  %likely = icmp ne i32 %last, 0
  br i1 %likely, label %ask, label %leave
ask:
  %raised = call i32 @fg_poll()
  br label %leave
leave:
  %result = phi i32 [0, %entry], [%raised, %ask]
  ret i32 %result
}

define i32 @fg_tick(ptr %state) {
entry:
  %calls = load i64, ptr %state
  %due = icmp sle i64 %calls, 0
  br i1 %due, label %look, label %count
count:
  %fewer = sub i64 %calls, 1
  store i64 %fewer, ptr %state
  ret i32 0
look:
  %result = call i32 @look_at_the_clock(ptr %state)
  ret i32 %result
}

define internal i32 @look_at_the_clock(ptr %state) cold noinline {
entry:
  %time = call i64 @now()
  %looked = getelementptr i64, ptr %state, i64 1
  %polled = getelementptr i64, ptr %state, i64 2
  %last_look = load i64, ptr %looked
  store i64 %time, ptr %looked
  %since_look = sub i64 %time, %last_look
  %fast = icmp slt i64 %since_look, $look
  %calls = select i1 %fast, i64 $calls, i64 0
  store i64 %calls, ptr %state
  %last_poll = load i64, ptr %polled
  %first = icmp eq i64 %last_poll, 0
  br i1 %first, label %begin, label %compare
compare:
  %since_poll = sub i64 %time, %last_poll
  %due = icmp sgt i64 %since_poll, $poll
  br i1 %due, label %poll, label %nothing
begin:
  store i64 %time, ptr %polled
  br label %nothing
nothing:
  ret i32 0
poll:
  %result = call i32 @fg_poll()
  %after = call i64 @now()
  store i64 %after, ptr %polled
  ret i32 %result
}
""")


def interrupts() -> tuple[dict[str, str], str]:
    """The functions that interrupts need, and the text.

    `i32 fg_poll()` returns 1 if a Python exception is now set in this thread.
    `i32 fg_tick(state)` does the same at most every 10 ms; for loops, in every iteration.
    `i32 fg_interrupted()` returns 1 if an earlier one did so, whatever its caller has made of that.
    """
    return EXTERNALS, TEXT.substitute(look=LOOK_NS, poll=POLL_NS, calls=CALLS_BETWEEN_LOOKS)


def tick_state(function: Function) -> Value:
    """State for `tick`, one for each loop nest: on the stack, zeroed in the current block."""
    state = function.alloca(TICK_STATE, align=8)
    function.do(f"store {TICK_STATE} zeroinitializer, ptr {state.text}")
    return state


def tick(function: Function, state: Value) -> Value:
    """Poll for Ctrl-C inside a loop, almost for nothing: an i1 that is true if the loop must be left."""
    calls = function.load("i64", state, align=8)
    function.store(function.op("sub", calls, constant("i64", 1)), state, align=8)
    due = function.icmp("sle", calls, constant("i64", 0))
    before = function.block
    with function.when(due):
        answer = function.external("fg_tick", "i32", [state])
        raised = function.icmp("ne", answer, constant("i32", 0))
        asked = function.block
    stop = f"phi i1 [false, %{before.label}], [{raised.text}, %{asked.label}]"
    return function.emit("i1", stop)
