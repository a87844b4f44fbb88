// The functions and types of CUDA C that kernels use, in terms of C.
#pragma once

#define FG_VECTOR(T, name, alignment)                                                            \
  struct alignas(sizeof(T) * 2) name##2 { T x, y; };                                             \
  struct alignas(alignment) name##4 { T x, y, z, w; };                                           \
  static inline name##2 make_##name##2(T x, T y) { return {x, y}; }                              \
  static inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef long long longlong;
typedef unsigned long long ulonglong;
FG_VECTOR(signed char, char, 4)
FG_VECTOR(uchar, uchar, 4)
FG_VECTOR(short, short, 8)
FG_VECTOR(ushort, ushort, 8)
FG_VECTOR(int, int, 16)
FG_VECTOR(uint, uint, 16)
FG_VECTOR(float, float, 16)
FG_VECTOR(longlong, longlong, 16)
FG_VECTOR(ulonglong, ulonglong, 16)
FG_VECTOR(double, double, 16)
#undef FG_VECTOR

// --- threads ---

static inline void __syncthreads() { emulator::wait(emulator::AT_BLOCK); }
static inline void __syncwarp(unsigned mask = ~0u) { emulator::wait(emulator::AT_WARP, mask); }
static inline void __threadfence() {}
static inline void __threadfence_block() {}
template <class T> static inline T __ldg(const T *p) { return *p; }
template <class T> static inline T __ldcs(const T *p) { return *p; }
template <class T> static inline void __stcs(T *p, T value) { *p = value; }

// A lane outside of its group of `width` gives what the lane itself has.
template <class T> static inline T emulated_shuffle(unsigned mask, T value, int source, bool is_inside, int width) {
  int lane = emulator::lane(), first = lane & ~(width - 1);
  return emulator::exchange(value, is_inside ? first + (source & (width - 1)) : lane, mask);
}
template <class T> static inline T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  return emulated_shuffle(mask, value, source, true, width);
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
  int lane = emulator::lane() & (width - 1);
  return emulated_shuffle(mask, value, lane ^ bits, (lane ^ bits) < width, width);
}
template <class T> static inline T __shfl_down_sync(unsigned mask, T value, unsigned n, int width = 32) {
  int lane = emulator::lane() & (width - 1);
  return emulated_shuffle(mask, value, lane + n, lane + (int)n < width, width);
}
template <class T> static inline T __shfl_up_sync(unsigned mask, T value, unsigned n, int width = 32) {
  int lane = emulator::lane() & (width - 1);
  return emulated_shuffle(mask, value, lane - (int)n, lane >= (int)n, width);
}
static inline unsigned __ballot_sync(unsigned mask, int predicate) {
  unsigned bits = predicate ? 1u << emulator::lane() : 0;
  for (int n = 1; n < 32; n *= 2) {
    unsigned other = emulator::exchange(bits, emulator::lane() ^ n, mask);
    bits |= mask >> (emulator::lane() ^ n) & 1 ? other : 0;
  }
  return bits & mask;
}
static inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
static inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }
static inline int __syncthreads_or(int predicate) {
  static int found;
  found = 0;
  __syncthreads();
  found |= predicate != 0;
  __syncthreads();
  int answer = found;
  __syncthreads();
  return answer;
}

template <class T, class U> static inline T emulated_swap(T *p, U value) { T old = *p; *p = value; return old; }
template <class T> static inline T atomicAdd(T *p, T v) { return emulated_swap(p, T(*p + v)); }
template <class T> static inline T atomicSub(T *p, T v) { return emulated_swap(p, T(*p - v)); }
template <class T> static inline T atomicMax(T *p, T v) { return emulated_swap(p, *p < v ? v : *p); }
template <class T> static inline T atomicMin(T *p, T v) { return emulated_swap(p, v < *p ? v : *p); }
template <class T> static inline T atomicOr(T *p, T v) { return emulated_swap(p, *p | v); }
template <class T> static inline T atomicAnd(T *p, T v) { return emulated_swap(p, *p & v); }
template <class T> static inline T atomicExch(T *p, T v) { return emulated_swap(p, v); }
template <class T> static inline T atomicCAS(T *p, T compare, T v) { return emulated_swap(p, *p == compare ? v : *p); }
static inline unsigned atomicInc(unsigned *p, unsigned last) { return emulated_swap(p, *p >= last ? 0 : *p + 1); }

// --- bits and numbers ---

template <class To, class From> static inline To emulated_bits(From value) {
  static_assert(sizeof(To) == sizeof(From), "");
  To result;
  memcpy(&result, &value, sizeof(To));
  return result;
}
static inline float __uint_as_float(unsigned u) { return emulated_bits<float>(u); }
static inline float __int_as_float(int i) { return emulated_bits<float>(i); }
static inline unsigned __float_as_uint(float f) { return emulated_bits<unsigned>(f); }
static inline int __float_as_int(float f) { return emulated_bits<int>(f); }
static inline double __longlong_as_double(long long i) { return emulated_bits<double>(i); }
static inline long long __double_as_longlong(double d) { return emulated_bits<long long>(d); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (uint64_t)a * b >> 32; }
static inline int __mulhi(int a, int b) { return (int64_t)a * b >> 32; }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned __int128)a * b >> 64;
}
static inline int __popc(unsigned u) { return __builtin_popcount(u); }
static inline int __popcll(unsigned long long u) { return __builtin_popcountll(u); }
static inline int __clz(int u) { return u ? __builtin_clz(u) : 32; }
static inline int __clzll(long long u) { return u ? __builtin_clzll(u) : 64; }
static inline int __ffs(int u) { return __builtin_ffs(u); }
static inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned n) {
  n &= 31;
  return n ? high << n | low >> (32 - n) : high;
}
static inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned n) {
  n &= 31;
  return n ? low >> n | high << (32 - n) : low;
}

// --- mathematics that C lacks ---

#define __expf expf
#define __logf logf
#define __powf powf
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __frcp_rn(float a) { return 1.0f / a; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline float rcbrtf(float x) { return 1.0f / cbrtf(x); }
static inline double rcbrt(double x) { return 1.0 / cbrt(x); }
static inline double normcdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }
static inline float normcdff(float x) { return (float)normcdf(x); }
template <class T> static inline T min(T a, T b) { return b < a ? b : a; }
template <class T> static inline T max(T a, T b) { return a < b ? b : a; }
