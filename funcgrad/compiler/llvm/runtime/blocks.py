"""Memory in native code: aligned blocks, of which freed large ones are kept for the next call.

The kernel hands out large blocks page by page and zeroed, which costs more than computing their contents. So up to a
limit freed blocks stay in a table of slots, and the oldest go back to the system when there are too many. Threads
that find the table locked do without it; nobody waits.
"""

from __future__ import annotations

from string import Template

from funcgrad.compiler.llvm.runtime import block_memory, block_table

# Smaller blocks come from malloc, which keeps them itself.
LARGE_BYTES = 1 << 18

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
    externals, memory = block_memory.memory(mapped)
    interface = INTERFACE.substitute(large_bytes=LARGE_BYTES)
    return externals, memory + block_table.table() + interface
