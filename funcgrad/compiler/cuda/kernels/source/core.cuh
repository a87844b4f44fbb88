// What every kernel needs: its pointers, bits, vectors in memory.
#ifndef FG_SHARED
#define FG_SHARED(T, name, n) __shared__ T name[n]
#endif
#ifndef FG_DYNAMIC_SHARED
#define FG_DYNAMIC_SHARED(name) extern __shared__ __align__(16) char name[]
#endif
#define FG_DEVICE static __device__ __forceinline__

template <int N> struct Pointers { void *at[N]; };

template <class T, class U> FG_DEVICE T fg_bits(U x) {
  static_assert(sizeof(T) == sizeof(U), "equal sizes");
  T y;
  memcpy(&y, &x, sizeof y);
  return y;
}
template <class T> struct fg_special {
  FG_DEVICE float inf() { return fg_bits<float>(0x7f800000u); }
  FG_DEVICE float nan() { return fg_bits<float>(0x7fc00000u); }
};
template <> struct fg_special<double> {
  FG_DEVICE double inf() { return fg_bits<double>(0x7ff0000000000000ull); }
  FG_DEVICE double nan() { return fg_bits<double>(0x7ff8000000000000ull); }
};
template <class T> FG_DEVICE T fg_inf() { return fg_special<T>::inf(); }
template <class T> FG_DEVICE T fg_nan() { return fg_special<T>::nan(); }

template <class T> struct fg_wrapping { typedef unsigned type; };  // adds and multiplies like T, but wraps
template <> struct fg_wrapping<long long> { typedef unsigned long long type; };
template <> struct fg_wrapping<unsigned long long> { typedef unsigned long long type; };
template <> struct fg_wrapping<float> { typedef float type; };
template <> struct fg_wrapping<double> { typedef double type; };

// C's truncation; what is out of range gives what NumPy gives on x86: the least int, through 32 bits if narrow.
template <class R> FG_DEVICE long long fg_truncated64(R x) {
  return x < (R)9223372036854775808.0 && x >= (R)-9223372036854775808.0 ? (long long)x : -9223372036854775807LL - 1;
}
template <class R> FG_DEVICE int fg_truncated32(R x) {
  return x < (R)2147483648.0 && x >= (R)-2147483648.0 ? (int)x : -2147483647 - 1;
}
template <class T> struct fg_integer {
  template <class R> FG_DEVICE T of(R x) { return (T)fg_truncated32(x); }
};
template <> struct fg_integer<long long> {
  template <class R> FG_DEVICE long long of(R x) { return fg_truncated64(x); }
};
template <> struct fg_integer<unsigned> {
  template <class R> FG_DEVICE unsigned of(R x) { return (unsigned)fg_truncated64(x); }
};
template <> struct fg_integer<unsigned long long> {
  template <class R> FG_DEVICE unsigned long long of(R x) {
    const R half = (R)9223372036854775808.0;
    return x >= half ? (unsigned long long)fg_truncated64(x - half) ^ 0x8000000000000000ull
                     : (unsigned long long)fg_truncated64(x);
  }
};
template <class T, class R> FG_DEVICE T fg_to_integer(R x) { return fg_integer<T>::of(x); }

// V elements next to each other: read and written 16 bytes at a time.
template <class T, int V> struct alignas(sizeof(T) * V < 16 ? sizeof(T) * V : 16) fg_vec { T v[V]; };
template <int V, class T> FG_DEVICE fg_vec<T, V> fg_load(const T *p) { return *(const fg_vec<T, V> *)p; }
template <int V, class T> FG_DEVICE void fg_store(T *p, const fg_vec<T, V> &x) { *(fg_vec<T, V> *)p = x; }
// At the end of an array: only the first `count` of them are there.
template <int V, class T> FG_DEVICE fg_vec<T, V> fg_load_some(const T *p, int count) {
  if (count >= V) return fg_load<V>(p);
  fg_vec<T, V> x = {};
#pragma unroll
  for (int i = 0; i < V; i++)
    if (i < count) x.v[i] = p[i];
  return x;
}
template <int V, class T> FG_DEVICE void fg_store_some(T *p, const fg_vec<T, V> &x, int count) {
  if (count >= V) {
    fg_store<V>(p, x);
    return;
  }
#pragma unroll
  for (int i = 0; i < V; i++)
    if (i < count) p[i] = x.v[i];
}
