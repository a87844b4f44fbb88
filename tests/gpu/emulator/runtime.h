// Runs CUDA C on the CPU: what a kernel finds around it, and what runs its threads.
//
// Compiled by g++ in front of the text of kernels. A thread that never waits runs as a plain call; one that waits at a
// barrier keeps its stack (a fiber) and goes on when all the others have arrived. Everything happens in one thread of the
// operating system. Found are: barriers that not all threads reach, accesses outside of guarded memory, misaligned and
// undefined operations (compiled to traps), reads of shared memory that nobody has written (it is filled with NaN), and,
// by running blocks and threads in several orders, results that depend on the order.
#pragma once
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define FG_EMU 1
#define __global__ __attribute__((visibility("hidden")))
#define __device__
#define __host__
#define __constant__ static
#define __shared__ shared_memory_is_declared_by_FG_SHARED
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __restrict__
#define __launch_bounds__(...)
#define __grid_constant__

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; };
static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
static const int warpSize = 32;

namespace emulator {

enum State { READY, AT_BLOCK, AT_WARP, AT_GRID, DONE };

struct Fiber {
#if defined(__x86_64__)
  void *stack_pointer;
#else
  ucontext_t context;
#endif
  char *stack;
  int thread;  // the one that runs on it
};

struct Thread {
  State state;
  Fiber *fiber;
  unsigned mask;  // of the warp, at a warp barrier
  unsigned turn;  // of exchanges in its warp
};

struct Block {
  uint3 index;
  char *shared;        // ROOM bytes: dynamic shared memory, then a place of its own for every FG_SHARED
  size_t used;         // bytes of shared memory
  uint64_t number;     // of all blocks that ever ran
};

// --- one launch ---

static const size_t STACK = 128 << 10;
static const size_t SHARED = 227 << 10;  // bytes that a block may use
static const size_t ROOM = 16 << 20;     // addresses of a block, for the FG_SHARED of all kernels of a module
static void (*body)(const void *);
static const void *arguments;
static Thread *threads;
static Block *blocks;
static int thread_count, block_count, block_threads;  // of the blocks that run at the same time
static int *order;                                    // of the threads; none: as they are numbered
static int next_thread;
static bool is_cooperative;
static size_t declared_shared = 256 << 10;  // of ROOM
static size_t dynamic_shared;
static Block *block_now;
static uint64_t (*exchanged)[2][32];  // by warp
static char message[400];
static bool failed;

// --- fibers ---

static Fiber *running;
static Fiber **idle, **all_fibers;
static int idle_count, fiber_count;

static void fiber_main();

#if defined(__x86_64__)
// Saves what the System V convention lets a callee keep.
extern "C" void fg_switch(void **save, void *load);
__asm__(".text\n.local fg_switch\n.type fg_switch,@function\nfg_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
        "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n");
static void *scheduler;
static void enter(Fiber *f) { running = f; fg_switch(&scheduler, f->stack_pointer); }
static void leave() { fg_switch(&running->stack_pointer, scheduler); }
static void prepare(Fiber *f) {
  void **top = (void **)(f->stack + STACK - 64);
  *--top = 0;  // so that the stack is aligned as after a call
  *--top = (void *)fiber_main;
  for (int i = 0; i < 6; i++) *--top = 0;
  f->stack_pointer = top;
}
#else
static ucontext_t scheduler;
static void enter(Fiber *f) { running = f; swapcontext(&scheduler, &f->context); }
static void leave() { swapcontext(&running->context, &scheduler); }
static void prepare(Fiber *f) {
  getcontext(&f->context);
  f->context.uc_stack.ss_sp = f->stack;
  f->context.uc_stack.ss_size = STACK;
  f->context.uc_link = 0;
  makecontext(&f->context, fiber_main, 0);
}
#endif

static Fiber *idle_fiber() {
  if (idle_count) return idle[--idle_count];
  Fiber *f = (Fiber *)calloc(1, sizeof(Fiber));
  f->stack = (char *)mmap(0, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  idle = (Fiber **)realloc(idle, (fiber_count + 1) * sizeof(Fiber *));
  all_fibers = (Fiber **)realloc(all_fibers, (fiber_count + 1) * sizeof(Fiber *));
  all_fibers[fiber_count++] = f;
  prepare(f);
  return f;
}

// After an abandoned launch: what lies on the stacks is of no use.
static void reset_fibers() {
  idle_count = 0;
  for (int i = 0; i < fiber_count; i++) {
    prepare(all_fibers[i]);
    idle[idle_count++] = all_fibers[i];
  }
}

// --- threads ---

static int number_in(int place) { return order ? order[place] : place; }
static int warps_of_block() { return (block_threads + 31) / 32; }
static uint64_t (*exchange_of(int thread))[32] {
  return exchanged[thread / block_threads * warps_of_block() + thread % block_threads / 32];
}
static int lane_of(int thread) { return thread % block_threads & 31; }

static void become(int thread) {
  Block &block = blocks[thread / block_threads];
  unsigned n = thread % block_threads;
  blockIdx = block.index;
  block_now = &block;
  threadIdx = {n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y};
}

static void fiber_main() {
  for (;;) {
    while (next_thread < thread_count) {  // one thread after the other, until one of them waits
      int thread = number_in(next_thread++);
      running->thread = thread;
      threads[thread].fiber = running;
      become(thread);
      body(arguments);
      thread = running->thread;
      threads[thread].state = DONE;
      threads[thread].fiber = 0;
    }
    idle[idle_count++] = running;
    leave();
  }
}

static void wait(State state, unsigned mask = ~0u) {
  Fiber *fiber = running;
  threads[fiber->thread].state = state;
  threads[fiber->thread].mask = mask;
  leave();
  become(fiber->thread);
}

static void go_on(int thread) {
  if (threads[thread].fiber && threads[thread].state == READY) enter(threads[thread].fiber);
}

// Lets the waiting threads [first, last) go on, in the order of this launch.
static void release(int first, int last, State state) {
  for (int t = first; t < last; t++)
    if (threads[t].state == state) threads[t].state = READY;
  if (!order) {
    for (int t = first; t < last; t++) go_on(t);
    return;
  }
  for (int i = 0; i < thread_count; i++)
    if (order[i] >= first && order[i] < last) go_on(order[i]);
}

// Lets threads of a warp go on if all threads named by the mask of one of them have arrived, or are gone.
static bool release_warp(int first, int last) {
  for (int t = first; t < last; t++) {
    if (threads[t].state != AT_WARP) continue;
    unsigned mask = threads[t].mask, arrived = 0, alive = 0;
    for (int u = first; u < last; u++) {
      alive |= (unsigned)(threads[u].state != DONE) << (u - first);
      arrived |= (unsigned)(threads[u].state == AT_WARP && threads[u].mask == mask) << (u - first);
    }
    if ((alive & mask) & ~arrived) continue;
    for (int u = first; u < last; u++) {
      if ((arrived & mask) >> (u - first) & 1) threads[u].state = READY;
      if (threads[u].state == DONE)  // a lane that has left gives nothing
        for (int turn = 0; turn < 2; turn++) exchange_of(u)[turn][u - first] = ~0ull;
    }
    for (int i = 0; i < last - first; i++) {
      int u = order ? last - 1 - i : first + i;
      if ((arrived & mask) >> (u - first) & 1) go_on(u);
    }
    return true;
  }
  return false;
}

static int count_at(int first, int last, State state) {
  int n = 0;
  for (int t = first; t < last; t++) n += threads[t].state == state;
  return n;
}

static bool advance_block(int first) {
  int last = first + block_threads;
  bool progress = false;
  for (int w = first; w < last; w += 32) progress |= release_warp(w, w + 32 < last ? w + 32 : last);
  int alive = block_threads - count_at(first, last, DONE);
  if (alive && count_at(first, last, AT_BLOCK) == alive) {
    release(first, last, AT_BLOCK);
    progress = true;
  }
  return progress;
}

static void report_divergence() {
  int n[5];
  for (int s = 0; s < 5; s++) n[s] = count_at(0, thread_count, (State)s);
  snprintf(message, sizeof message,
           "barrier divergence in block (%u,%u,%u): %d threads at __syncthreads, %d at a warp barrier, %d at a grid "
           "barrier, %d have left%s",
           blocks[0].index.x, blocks[0].index.y, blocks[0].index.z, n[AT_BLOCK], n[AT_WARP], n[AT_GRID], n[DONE],
           n[AT_GRID] && !is_cooperative ? " (the launch is not cooperative)" : "");
  failed = true;
  reset_fibers();
}

// Runs the blocks that are there to their end.
static void run_blocks() {
  next_thread = 0;
  for (int t = 0; t < thread_count; t++) threads[t] = {READY, 0, 0, 0};
  while (next_thread < thread_count) enter(idle_fiber());
  for (;;) {
    bool progress = false;
    for (int b = 0; b < block_count; b++) progress |= advance_block(b * block_threads);
    int done = count_at(0, thread_count, DONE), at_grid = count_at(0, thread_count, AT_GRID);
    if (done == thread_count) return;
    if (is_cooperative && at_grid && at_grid + done == thread_count) {
      release(0, thread_count, AT_GRID);
      progress = true;
    }
    if (!progress) return report_divergence();
  }
}

// --- faults: a thread touched a guarded page, or ran into a trap of the sanitizers ---

static sigjmp_buf before_fault;
static struct sigaction old_actions[4];
static const int SIGNALS[4] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};

static const char *const TOO_MUCH_SHARED = "more shared memory than a block may have";

static void give_up(const char *why) {
  snprintf(message, sizeof message, "%s", why);
  siglongjmp(before_fault, 1);
}

static void on_fault(int number, siginfo_t *info, void *) {
  const char *what = number == SIGSEGV || number == SIGBUS ? "access outside of an array"
                     : number == SIGFPE                    ? "integer division by zero"
                                        : "misaligned access, bad shift or other undefined operation";
  snprintf(message, sizeof message, "%s at %p in block (%u,%u,%u) thread (%u,%u,%u)", what, info->si_addr, blockIdx.x,
           blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
  siglongjmp(before_fault, 1);
}

static void catch_faults() {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  for (int i = 0; i < 4; i++) sigaction(SIGNALS[i], &action, &old_actions[i]);
}

static void stop_catching() {
  for (int i = 0; i < 4; i++) sigaction(SIGNALS[i], &old_actions[i], 0);
}

// --- launches ---

// 0: as numbered, 1: backward, others: pseudo-random
static void choose_order(int seed) {
  static int *places;
  order = 0;
  if (!seed) return;
  order = places = (int *)realloc(places, thread_count * sizeof(int));
  for (int i = 0; i < thread_count; i++) order[i] = seed == 1 ? thread_count - 1 - i : i;
  if (seed == 1) return;
  uint64_t state = seed * 0x9E3779B97F4A7C15ull;
  for (int i = thread_count - 1; i > 0; i--) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    int j = state % (i + 1), kept = order[i];
    order[i] = order[j], order[j] = kept;
  }
}

static void allocate_threads() {
  static char *memory;
  static int reserved;
  threads = (Thread *)realloc(threads, thread_count * sizeof(Thread));
  blocks = (Block *)realloc(blocks, block_count * sizeof(Block));
  exchanged = (uint64_t(*)[2][32])realloc(exchanged, block_count * warps_of_block() * sizeof(*exchanged));
  memset(exchanged, 0xFF, block_count * warps_of_block() * sizeof(*exchanged));
  if (reserved < block_count) {
    if (memory) munmap(memory, ROOM * reserved);
    memory = (char *)mmap(0, ROOM * block_count, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    reserved = block_count;
  }
  for (int b = 0; b < block_count; b++) blocks[b].shared = memory + ROOM * b;
}

static void run_grid(bool backward) {
  static uint64_t number;
  long total = (long)gridDim.x * gridDim.y * gridDim.z;
  for (long first = 0; first < total && !failed; first += block_count) {
    for (int b = 0; b < block_count; b++) {
      long k = backward && !is_cooperative ? total - 1 - first : first + b;
      blocks[b].index = {unsigned(k % gridDim.x), unsigned(k / gridDim.x % gridDim.y),
                         unsigned(k / gridDim.x / gridDim.y)};
      blocks[b].used = dynamic_shared;
      blocks[b].number = ++number;
      memset(blocks[b].shared, 0xFF, dynamic_shared);
    }
    run_blocks();
  }
}

// Runs a kernel; what went wrong, or nothing.
static const char *launch(void (*kernel)(const void *), const unsigned *grid, const unsigned *block, size_t shared,
                          const void *given, int cooperative, int seed) {
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block[0], block[1], block[2]};
  block_threads = block[0] * block[1] * block[2];
  if (block_threads > 1024 || !block_threads) return "a block has 1 to 1024 threads";
  if (grid[1] > 65535 || grid[2] > 65535) return "the second and third number of blocks are at most 65535";
  is_cooperative = cooperative;
  block_count = cooperative ? grid[0] * grid[1] * grid[2] : 1;
  thread_count = block_threads * block_count;
  dynamic_shared = shared;
  if (dynamic_shared > SHARED) return TOO_MUCH_SHARED;
  body = kernel;
  arguments = given;
  failed = false;
  choose_order(seed);
  allocate_threads();
  catch_faults();
  if (sigsetjmp(before_fault, 0)) {  // on the stack of the caller again
    failed = true;
    reset_fibers();
  } else {
    run_grid(seed != 0);
  }
  stop_catching();
  return failed ? message : 0;
}

// --- what device code calls ---

static size_t declare_shared(size_t bytes) {
  size_t offset = declared_shared;
  declared_shared += 16 + ((bytes + 15) & ~size_t(15));
  return offset;
}

// A declared array of this block; NaN if this is the first thread that comes by.
static char *shared_array(size_t offset, size_t bytes) {
  char *place = block_now->shared + offset;
  uint64_t &number = *(uint64_t *)place;
  if (number != block_now->number) {
    number = block_now->number;
    memset(place + 16, 0xFF, bytes);
    block_now->used += bytes;
    if (block_now->used > SHARED) give_up(TOO_MUCH_SHARED);
  }
  return place + 16;
}

// The value that another lane gives; every lane of the mask takes part.
template <class T> static T exchange(T value, int source, unsigned mask) {
  static_assert(sizeof(T) <= 8, "exchanged values have at most 8 bytes");
  int thread = running->thread, turn = threads[thread].turn++ & 1;
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof(T));
  exchange_of(thread)[turn][lane_of(thread)] = bits;
  wait(AT_WARP, mask);
  bits = exchange_of(thread)[turn][source & 31];
  memcpy(&value, &bits, sizeof(T));
  return value;
}
static int lane() { return lane_of(running->thread); }

}  // namespace emulator

// Shared memory with a fixed size, and the rest, whose size the launch says. NaN before anybody has written to it.
#define FG_SHARED(T, name, n)                                                    \
  static const size_t name##_offset = emulator::declare_shared(sizeof(T) * (n)); \
  T *const name = (T *)emulator::shared_array(name##_offset, sizeof(T) * (n))
#define FG_DYNAMIC_SHARED(name) char *const name = emulator::block_now->shared
#define FG_GRID_SYNC() emulator::wait(emulator::AT_GRID)

// What Python calls: every kernel under its own name, with its one argument behind a pointer.
namespace emulator {
template <class P> static void call(void (*kernel)(P), const void *given) { kernel(*(const P *)given); }
template <class P> static constexpr size_t parameter_bytes(void (*)(P)) { return sizeof(P); }
}  // namespace emulator
#define FG_EXPORT(name)                                                                                       \
  static void name##_call(const void *given) { emulator::call(name, given); }                                 \
  extern "C" __attribute__((visibility("default"))) const char *emulate_##name(                               \
      const unsigned *grid, const unsigned *block, size_t shared, const void *given, int cooperative, int seed) { \
    return emulator::launch(name##_call, grid, block, shared, given, cooperative, seed);                      \
  }                                                                                                           \
  extern "C" __attribute__((visibility("default"))) size_t parameter_bytes_##name() {                         \
    return emulator::parameter_bytes(name);                                                                   \
  }
