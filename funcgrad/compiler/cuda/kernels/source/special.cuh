// Special functions that CUDA's library and C's do not both have.
#ifdef FG_EMU
template <class R> FG_DEVICE R fg_erfinv(R x) {  // Newton's method from a rough start (Winitzki 2008)
  if (!(fg_fabs(x) < 1)) return fg_fabs(x) == 1 ? x * fg_inf<R>() : fg_nan<R>();
  const double l = log1p(-(double)x * x), h = 2 / (3.141592653589793 * 0.147) + l / 2;
  double y = copysign(sqrt(sqrt(h * h - l / 0.147) - h), (double)x);
  for (int i = 0; i < 6 && x != 0; i++) {
    const double rest = x > 0 ? erfc(y) - (1 - (double)x) : (1 + (double)x) - erfc(-y);
    y += rest * 0.886226925452758 * exp(y * y);
  }
  return (R)y;
}
#else
FG_DEVICE float fg_erfinv(float x) { return erfinvf(x); }
FG_DEVICE double fg_erfinv(double x) { return erfinv(x); }
#endif
// The quantile function of the normal distribution, by the tail that has the digits.
#ifdef FG_EMU
template <class R> FG_DEVICE R fg_ndtri(R x) { return fg_erfinv(2 * x - 1) * (R)1.4142135623730951; }
#else
FG_DEVICE float fg_ndtri(float x) { return normcdfinvf(x); }
FG_DEVICE double fg_ndtri(double x) { return normcdfinv(x); }
#endif
// Upward to where the asymptotic series holds, by reflection on the left (DLMF 5.5.2, 5.5.4, 5.11.2).
template <class R> FG_DEVICE R fg_digamma(R given) {
  double x = given, result = 0;
  if (x == 0) return fg_copysign(fg_inf<R>(), -given);
  if (x < 0) {
    if (x == floor(x)) return fg_nan<R>();
    result = -3.141592653589793 / tan(3.141592653589793 * (x - floor(x)));
    x = 1 - x;
  }
  for (; x < 10; x += 1) result -= 1 / x;
  const double s = 1 / (x * x);
  const double tail = s * (1 / 12.0 - s * (1 / 120.0 - s * (1 / 252.0 - s * (1 / 240.0 - s * (1 / 132.0)))));
  return (R)(result + log(x) - 0.5 / x - tail);
}
