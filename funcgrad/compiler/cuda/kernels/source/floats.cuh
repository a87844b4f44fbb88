// Functions of floats with NumPy's special cases.
template <class R> FG_DEVICE R fg_sign(R x) { return fg_isnan(x) ? x : (R)((x > 0) - (x < 0)); }
template <class R> FG_DEVICE R fg_fmax(R x, R y) { return fg_isnan(y) ? x : x > y ? x : y; }
template <class R> FG_DEVICE R fg_fmin(R x, R y) { return fg_isnan(y) ? x : x < y ? x : y; }
template <class R> FG_DEVICE R fg_heaviside(R x, R y) { return fg_isnan(x) ? x : x < 0 ? (R)0 : x > 0 ? (R)1 : y; }
template <class R> FG_DEVICE R fg_rsqrt(R x) { return (R)1 / fg_sqrt(x); }
template <class R> FG_DEVICE R fg_reciprocal(R x) { return (R)1 / x; }
template <class R> FG_DEVICE R fg_square(R x) { return x * x; }
FG_DEVICE float fg_deg2rad(float x) { return x * (3.14159274f / 180.0f); }
FG_DEVICE double fg_deg2rad(double x) { return x * (3.141592653589793 / 180.0); }
FG_DEVICE float fg_rad2deg(float x) { return x * (180.0f / 3.14159274f); }
FG_DEVICE double fg_rad2deg(double x) { return x * (180.0 / 3.141592653589793); }
template <class R, class T> FG_DEVICE R fg_ldexp(R x, T y) {
  return fg_scalb(x, y > (T)0 && y > (T)100 * 41 ? 4100 : y < (T)0 && (long long)y < -4100 ? -4100 : (int)y);
}
// Floor quotient and remainder with NumPy's rounding (its npy_divmod).
template <class R> FG_DEVICE R fg_remainder(R x, R y) {
  const R rest = fg_fmod(x, y);
  if (y == 0) return rest;
  if (rest == 0) return fg_copysign((R)0, y);
  return (y < 0) != (rest < 0) ? rest + y : rest;
}
template <class R> FG_DEVICE R fg_floor_divide(R x, R y) {
  if (y == 0) return x / y;
  const R rest = fg_fmod(x, y);
  R quotient = (x - rest) / y;
  if (rest != 0 && (y < 0) != (rest < 0)) quotient -= 1;
  if (quotient == 0) return fg_copysign((R)0, x / y);
  const R whole = fg_floor(quotient);
  return quotient - whole > (R)0.5 ? whole + 1 : whole;
}
// The larger one plus log(1 + exp(-difference)).
template <class R> FG_DEVICE R fg_gap(R x, R y) { return x == y ? (R)0 : -fg_fabs(x - y); }
template <class R> FG_DEVICE R fg_logaddexp_of(R x, R y) { return (x > y ? x : y) + fg_log1p(fg_exp(fg_gap(x, y))); }
template <class R> FG_DEVICE R fg_logaddexp2_of(R x, R y) {
  return (x > y ? x : y) + fg_log1p(fg_exp2(fg_gap(x, y))) * (R)1.4426950408889634;
}
template <class R> FG_DEVICE R fg_xlogy(R x, R y) { return x == 0 && !fg_isnan(y) ? (R)0 : x * fg_log(y); }
template <class R> FG_DEVICE R fg_xlog1py(R x, R y) { return x == 0 && !fg_isnan(y) ? (R)0 : x * fg_log1p(y); }
template <class R> FG_DEVICE R fg_sinc(R x) {
  const R angle = x * (R)3.141592653589793;
  return angle == 0 ? (R)1 : fg_sin(angle) / angle;
}
template <class R> FG_DEVICE R fg_logit(R x) { return fg_log(x / ((R)1 - x)); }
template <class R> FG_DEVICE R fg_ndtr(R x) { return (R)0.5 * fg_erfc(x * (R)-0.7071067811865476); }
template <class R> FG_DEVICE R fg_gamma(R x) { return x == 0 ? (R)1 / x : fg_tgamma(x); }
