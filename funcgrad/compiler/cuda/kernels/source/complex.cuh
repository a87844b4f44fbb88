// Complex numbers: arithmetic as NumPy does it, comparisons by real part, then by imaginary part.
template <class R> struct alignas(2 * sizeof(R)) fg_complex { R re, im; };
#define FG_COMPLEX template <class R> FG_DEVICE fg_complex<R>
#define FG_TEST template <class R> FG_DEVICE bool
template <class R> using fg_c = const fg_complex<R> &;
FG_COMPLEX fg_plus(fg_c<R> x, fg_c<R> y) { return {x.re + y.re, x.im + y.im}; }
FG_COMPLEX fg_minus(fg_c<R> x, fg_c<R> y) { return {x.re - y.re, x.im - y.im}; }
FG_COMPLEX fg_negative(fg_c<R> x) { return {-x.re, -x.im}; }
FG_COMPLEX fg_conjugate(fg_c<R> x) { return {x.re, -x.im}; }
FG_COMPLEX fg_times(fg_c<R> x, fg_c<R> y) {  // rounded as NumPy does: one of two products is exact
  return {fg_fma(x.re, y.re, -(x.im * y.im)), fg_fma(x.re, y.im, x.im * y.re)};
}
FG_COMPLEX fg_rounded_product(fg_c<R> x, fg_c<R> y) {
  return {x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
}
FG_COMPLEX fg_whole_power(fg_complex<R> x, int exponent) {  // from 1 on
  while (exponent % 2 == 0) x = fg_rounded_product(x, x), exponent /= 2;
  fg_complex<R> result = x;
  while (exponent /= 2) {
    x = fg_rounded_product(x, x);
    if (exponent % 2) result = fg_rounded_product(result, x);
  }
  return result;
}
// R. L. Smith, Algorithm 116: Complex division, 1962; division by zero goes part by part.
FG_COMPLEX fg_over(fg_c<R> x, fg_c<R> y) {
  if (y.re == 0 && y.im == 0) return {x.re / fg_fabs(y.re), x.im / fg_fabs(y.re)};
  if (fg_fabs(y.re) >= fg_fabs(y.im)) {
    const R ratio = y.im / y.re, scale = (R)1 / (y.re + y.im * ratio);
    return {(x.re + x.im * ratio) * scale, (x.im - x.re * ratio) * scale};
  }
  const R ratio = y.re / y.im, scale = (R)1 / (y.im + y.re * ratio);
  return {(x.im + x.re * ratio) * scale, (x.im * ratio - x.re) * scale};
}
FG_COMPLEX fg_reciprocal(fg_c<R> x) {
  if (fg_fabs(x.re) >= fg_fabs(x.im)) {
    const R ratio = x.im / x.re, whole = x.re + x.im * ratio;
    return {(R)1 / whole, -(ratio / whole)};
  }
  const R ratio = x.re / x.im, whole = x.im + x.re * ratio;
  return {ratio / whole, -((R)1 / whole)};
}
FG_COMPLEX fg_square(fg_c<R> x) { return fg_times(x, x); }
template <class R> FG_DEVICE R fg_absolute(fg_c<R> x) { return fg_hypot(x.re, x.im); }
FG_COMPLEX fg_rint(fg_c<R> x) { return {fg_rint(x.re), fg_rint(x.im)}; }
FG_COMPLEX fg_sign(fg_c<R> x) {  // x / |x|, 0 for 0; of an infinite number only its infinite part counts
  const R size = fg_absolute(x);
  if (fg_isinf(x.re) && fg_isinf(x.im)) return {fg_nan<R>(), fg_nan<R>()};
  if (fg_isinf(size))
    return fg_isinf(x.re) ? fg_complex<R>{fg_copysign((R)1, x.re), 0} : fg_complex<R>{0, fg_copysign((R)1, x.im)};
  return size == 0 ? fg_complex<R>{0, 0} : fg_complex<R>{x.re / size, x.im / size};
}
FG_TEST fg_isnan(fg_c<R> x) { return x.re != x.re || x.im != x.im; }
FG_TEST fg_isinf(fg_c<R> x) { return fg_isinf(x.re) || fg_isinf(x.im); }
FG_TEST fg_isfinite(fg_c<R> x) { return fg_isfinite(x.re) && fg_isfinite(x.im); }
FG_TEST fg_equal(fg_c<R> x, fg_c<R> y) { return x.re == y.re && x.im == y.im; }
FG_TEST fg_not_equal(fg_c<R> x, fg_c<R> y) { return !fg_equal(x, y); }
FG_TEST fg_before(fg_c<R> x, fg_c<R> y) { return x.re < y.re && x.im == x.im && y.im == y.im; }
FG_TEST fg_less(fg_c<R> x, fg_c<R> y) { return fg_before(x, y) || (x.re == y.re && x.im < y.im); }
FG_TEST fg_less_equal(fg_c<R> x, fg_c<R> y) { return fg_before(x, y) || (x.re == y.re && x.im <= y.im); }
FG_TEST fg_greater(fg_c<R> x, fg_c<R> y) { return fg_less(y, x); }
FG_TEST fg_greater_equal(fg_c<R> x, fg_c<R> y) { return fg_less_equal(y, x); }
FG_COMPLEX fg_larger(fg_c<R> x, fg_c<R> y) { return fg_isnan(x) || fg_greater_equal(x, y) ? x : y; }
FG_COMPLEX fg_smaller(fg_c<R> x, fg_c<R> y) { return fg_isnan(x) || fg_less_equal(x, y) ? x : y; }
FG_COMPLEX fg_fmax(fg_c<R> x, fg_c<R> y) { return fg_isnan(y) || fg_greater_equal(x, y) ? x : y; }
FG_COMPLEX fg_fmin(fg_c<R> x, fg_c<R> y) { return fg_isnan(y) || fg_less_equal(x, y) ? x : y; }
