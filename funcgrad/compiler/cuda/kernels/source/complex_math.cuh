// Elementary functions of complex numbers, with the special values of C99's Annex G.
template <class R> struct fg_limits {  // of float: exp is a product from `large` on, tanh is 1 from `tanh_high` on
  static constexpr float large = 80, shift = 35, tanh_high = 11;
  static constexpr int root = 60;
};
template <> struct fg_limits<double> {
  static constexpr double large = 700, shift = 340, tanh_high = 22;
  static constexpr int root = 500;
};
// (r, factor) with exp(x) = exp(r) factor**2, where r is still large for large x.
template <class R> FG_DEVICE R fg_split_exponent(R x, R &factor) {
  const bool is_large = x > fg_limits<R>::large;
  factor = is_large ? fg_exp((R)fg_limits<R>::shift) : (R)1;
  return is_large ? x - 2 * fg_limits<R>::shift : x;
}
FG_COMPLEX fg_exp(fg_c<R> z) {  // exp(x) (cos y + i sin y)
  R factor;
  const R size = fg_exp(fg_split_exponent(z.re, factor));
  const bool undirected = !fg_isfinite(z.im);
  if (undirected && z.re == -fg_inf<R>()) return {0, 0};
  const R real = size * fg_cos(z.im) * factor * factor;
  const R imag = z.im == 0 ? z.im : size * fg_sin(z.im) * factor * factor;
  return {undirected && z.re == fg_inf<R>() ? z.re : real, imag};
}
// log |z|: near 1 from the exact squares, elsewhere from the logarithm of the longer part.
template <class R> FG_DEVICE R fg_log1p_of_squares(R one, R a, R b, R c) {  // log1p(a * b + c * c - one) / 2
  const R p = a * b, q = c * c, p_low = fg_fma(a, b, -p), q_low = fg_fma(c, c, -q);
  const R first = p - one, sum = first + q, part = sum - first;
  const R low = (first - (sum - part)) + (q - part);
  return fg_log1p(sum + (low + (p_low + q_low))) * (R)0.5;
}
template <class R> FG_DEVICE R fg_log_of_size(fg_c<R> z) {
  const R a = fg_fabs(z.re), b = fg_fabs(z.im);
  if (fg_isinf(a) || fg_isinf(b)) return fg_inf<R>();
  if (fg_isnan(z)) return fg_nan<R>();
  const R longer = a > b ? a : b, shorter = a > b ? b : a;
  if (longer < (R)1.4 && longer * longer + shorter * shorter > (R)0.5)
    return fg_log1p_of_squares((R)1, longer, longer, shorter);
  const R ratio = longer == 0 ? (R)0 : shorter / longer;
  return fg_log(longer) + fg_log1p(ratio * ratio) * (R)0.5;
}
FG_COMPLEX fg_log(fg_c<R> z) { return {fg_log_of_size(z), fg_atan2(z.im, z.re)}; }
FG_COMPLEX fg_scaled(fg_c<R> z, R factor) { return {z.re * factor, z.im * factor}; }
FG_COMPLEX fg_log2(fg_c<R> z) { return fg_scaled(fg_log(z), (R)1.4426950408889634); }
FG_COMPLEX fg_log10(fg_c<R> z) { return fg_scaled(fg_log(z), (R)0.4342944819032518); }
FG_COMPLEX fg_exp2(fg_c<R> z) { return fg_exp(fg_scaled(z, (R)0.6931471805599453)); }
FG_COMPLEX fg_expm1(fg_c<R> z) {  // expm1(x) cos y - 2 sin(y / 2)**2 + i exp(x) sin y
  const R half = fg_sin(z.im * (R)0.5);
  return {fg_expm1(z.re) * fg_cos(z.im) - half * half * 2, fg_exp(z.re) * fg_sin(z.im)};
}
FG_COMPLEX fg_log1p(fg_c<R> z) {  // near 0, |1 + z|**2 - 1 = x (x + 2) + y**2 has no cancellation
  const fg_complex<R> moved = {z.re + 1, z.im};
  const bool is_near = fg_fabs(z.re) < (R)0.5 && fg_fabs(z.im) < (R)0.5;
  const R size = is_near ? fg_log1p_of_squares((R)0, z.re, z.re + 2, z.im) : fg_log_of_size(moved);
  return {size, fg_atan2(moved.im, moved.re)};
}
// Scaled by an even power of two, so that nothing overflows or loses bits on the way.
// W. Kahan, Branch cuts for complex elementary functions, 1987.
FG_COMPLEX fg_sqrt(fg_c<R> z) {
  const R a = fg_fabs(z.re), b = fg_fabs(z.im);
  if (fg_isinf(b)) return {b, z.im};
  if (z.re == fg_inf<R>()) return {z.re, fg_isnan(z.im) ? z.im : fg_copysign((R)0, z.im)};
  if (z.re == -fg_inf<R>()) return {fg_isnan(z.im) ? z.im : (R)0, fg_copysign(fg_inf<R>(), z.im)};
  if (a == 0 && b == 0) return {0, z.im};
  if (fg_isnan(z)) return {fg_nan<R>(), fg_nan<R>()};
  const int limit = fg_limits<R>::root, exponent = fg_exponent(a > b ? a : b) / 2;
  const int half = exponent > limit ? limit : exponent < -limit ? -limit : exponent;
  const R x = fg_scalb(a, -2 * half), y = fg_scalb(b, -2 * half);
  const R root = fg_sqrt((x + fg_sqrt(x * x + y * y)) * (R)0.5);
  const R longer = fg_scalb(root, half), shorter = fg_scalb(y / (root * 2), half);
  return {z.re < 0 ? shorter : longer, fg_copysign(z.re < 0 ? longer : shorter, z.im)};
}
// a cosh y and b sinh y, which may be finite where cosh and sinh overflow.
FG_COMPLEX fg_times_hyperbolic(R a, R b, R y) {
  R factor;
  const R size = fg_split_exponent(fg_fabs(y), factor);
  return {a * fg_cosh(size) * factor * factor, b * fg_copysign(fg_sinh(size), y) * factor * factor};
}
FG_COMPLEX fg_sin(fg_c<R> z) {  // sin x cosh y + i cos x sinh y
  fg_complex<R> w = fg_times_hyperbolic(fg_sin(z.re), fg_cos(z.re), z.im);
  if (z.re == 0) w.re = z.re;
  if (!fg_isfinite(z.re)) w.im = z.im == 0 ? z.im : fg_isinf(z.im) ? fg_inf<R>() : w.im;
  return w;
}
FG_COMPLEX fg_cos(fg_c<R> z) {  // cos x cosh y - i sin x sinh y
  fg_complex<R> w = fg_times_hyperbolic(fg_cos(z.re), -fg_sin(z.re), z.im);
  if (!fg_isfinite(z.re)) {
    if (fg_isinf(z.im)) w.re = fg_inf<R>();
    if (z.im == 0) w.im = z.im;
  }
  if (z.re == 0) w.im = -z.re * fg_copysign((R)1, z.im);
  return w;
}
// (sinh x cosh x + i sin y cos y) / (sinh(x)**2 + cos(y)**2): a sum of squares has no cancellation.
FG_COMPLEX fg_tanh(fg_c<R> z) {
  const R high = fg_limits<R>::tanh_high, x = z.re, y = z.im;
  const R size = fg_fabs(x) > high ? high : fg_fabs(x);
  const R cosine = fg_cos(y), turn = fg_sin(y) * cosine, s = fg_sinh(size);
  const R denominator = s * s + cosine * cosine;
  R real = fg_fabs(x) > high ? (R)1 : s * fg_cosh(size) / denominator;
  R imag = fg_fabs(x) > high ? turn * fg_exp(fg_fabs(x) * -2) * 4 : turn / denominator;
  real = fg_copysign(real, x);
  if (!fg_isfinite(y)) {
    if (fg_isinf(x)) imag = fg_copysign((R)0, y);
    if (fg_isfinite(x)) real = fg_nan<R>();
  }
  if (y == 0 && fg_isnan(x)) imag = y;
  return {x == 0 || fg_isnan(x) ? x : real, imag};
}
// Turned by a quarter: f(i z).
FG_COMPLEX fg_turned(fg_c<R> z) { return {-z.im, z.re}; }
FG_COMPLEX fg_turned_back(fg_c<R> z) { return {z.im, -z.re}; }
FG_COMPLEX fg_sinh(fg_c<R> z) { return fg_turned_back(fg_sin(fg_turned(z))); }
FG_COMPLEX fg_cosh(fg_c<R> z) { return fg_cos(fg_turned(z)); }
FG_COMPLEX fg_tan(fg_c<R> z) { return fg_turned_back(fg_tanh(fg_turned(z))); }
// exp(y log x), with NumPy's special cases.
FG_COMPLEX fg_power(fg_c<R> x, fg_c<R> y) {
  if (y.re == 0 && y.im == 0) return {1, 0};
  if (x.re == 0 && x.im == 0)
    return y.re > 0 ? fg_complex<R>{0, 0} : fg_complex<R>{fg_nan<R>(), fg_nan<R>()};
  if (y.im == 0 && y.re > -100 && y.re < 100 && y.re == fg_floor(y.re)) {
    const int n = (int)fg_fabs(y.re);
    const fg_complex<R> whole = fg_whole_power(x, n);
    return y.re < 0 ? fg_over(fg_complex<R>{1, 0}, whole) : whole;
  }
  return fg_exp(fg_times(y, fg_log(x)));
}
