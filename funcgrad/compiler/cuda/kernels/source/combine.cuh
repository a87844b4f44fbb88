// Reductions of two: partial results as one. NaN wins over numbers.
struct fg_add {
  template <class T> FG_DEVICE T of(T a, T b) {
    typedef typename fg_wrapping<T>::type U;
    return (T)((U)a + (U)b);
  }
  FG_DEVICE bool of(bool a, bool b) { return a || b; }
  template <class R> FG_DEVICE fg_complex<R> of(fg_c<R> a, fg_c<R> b) { return fg_plus(a, b); }
};
struct fg_multiply {
  template <class T> FG_DEVICE T of(T a, T b) {
    typedef typename fg_wrapping<T>::type U;
    return (T)((U)a * (U)b);
  }
  FG_DEVICE bool of(bool a, bool b) { return a && b; }
  template <class R> FG_DEVICE fg_complex<R> of(fg_c<R> a, fg_c<R> b) { return fg_times(a, b); }
};
struct fg_maximum {
  template <class T> FG_DEVICE T of(T a, T b) { return a != a || a > b ? a : b; }
  template <class R> FG_DEVICE fg_complex<R> of(fg_c<R> a, fg_c<R> b) { return fg_larger(a, b); }
};
struct fg_minimum {
  template <class T> FG_DEVICE T of(T a, T b) { return a != a || a < b ? a : b; }
  template <class R> FG_DEVICE fg_complex<R> of(fg_c<R> a, fg_c<R> b) { return fg_smaller(a, b); }
};
struct fg_and {
  template <class T> FG_DEVICE T of(T a, T b) { return (T)(a & b); }
};
struct fg_or {
  template <class T> FG_DEVICE T of(T a, T b) { return (T)(a | b); }
};
struct fg_logaddexp {
  template <class R> FG_DEVICE R of(R a, R b) { return fg_logaddexp_of(a, b); }
};
// Where an extreme is: of equal ones the first, and NaN is the most extreme.
template <class T> struct fg_place {
  T value;
  long long at;
};
struct fg_argmax {
  template <class T> FG_DEVICE bool wins(T a, T b) { return b > a || (b != b && a == a); }
  template <class T> FG_DEVICE fg_place<T> of(const fg_place<T> &a, const fg_place<T> &b) {
    const bool ties = b.value == a.value || (a.value != a.value && b.value != b.value);
    return wins(a.value, b.value) || (ties && b.at < a.at) ? b : a;
  }
};
struct fg_argmin {
  template <class T> FG_DEVICE bool wins(T a, T b) { return b < a || (b != b && a == a); }
  template <class T> FG_DEVICE fg_place<T> of(const fg_place<T> &a, const fg_place<T> &b) {
    const bool ties = b.value == a.value || (a.value != a.value && b.value != b.value);
    return wins(a.value, b.value) || (ties && b.at < a.at) ? b : a;
  }
};
