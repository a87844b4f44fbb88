// The functions of CUDA's math library under one name for both widths.
#define FG_UNARY(name)                                        \
  FG_DEVICE float fg_##name(float x) { return name##f(x); } \
  FG_DEVICE double fg_##name(double x) { return name(x); }
#define FG_BINARY(name)                                                   \
  FG_DEVICE float fg_##name(float x, float y) { return name##f(x, y); } \
  FG_DEVICE double fg_##name(double x, double y) { return name(x, y); }
FG_UNARY(exp) FG_UNARY(exp2) FG_UNARY(expm1) FG_UNARY(log) FG_UNARY(log2) FG_UNARY(log10) FG_UNARY(log1p)
FG_UNARY(sin) FG_UNARY(cos) FG_UNARY(tan) FG_UNARY(asin) FG_UNARY(acos) FG_UNARY(atan) FG_BINARY(atan2)
FG_UNARY(sinh) FG_UNARY(cosh) FG_UNARY(tanh) FG_UNARY(asinh) FG_UNARY(acosh) FG_UNARY(atanh)
FG_UNARY(erf) FG_UNARY(erfc) FG_UNARY(lgamma) FG_UNARY(tgamma)
FG_UNARY(sqrt) FG_UNARY(cbrt) FG_BINARY(hypot) FG_BINARY(pow)
FG_UNARY(fabs) FG_UNARY(floor) FG_UNARY(ceil) FG_UNARY(trunc) FG_UNARY(rint)
FG_BINARY(fmod) FG_BINARY(copysign) FG_BINARY(nextafter)
#undef FG_UNARY
#undef FG_BINARY
FG_DEVICE float fg_fma(float x, float y, float z) { return fmaf(x, y, z); }
FG_DEVICE double fg_fma(double x, double y, double z) { return fma(x, y, z); }
FG_DEVICE float fg_scalb(float x, int n) { return ldexpf(x, n); }
FG_DEVICE double fg_scalb(double x, int n) { return ldexp(x, n); }
FG_DEVICE int fg_exponent(float x) { return ilogbf(x); }
FG_DEVICE int fg_exponent(double x) { return ilogb(x); }
template <class R> FG_DEVICE bool fg_isnan(R x) { return x != x; }
template <class R> FG_DEVICE bool fg_isinf(R x) { return fg_fabs(x) == fg_inf<R>(); }
template <class R> FG_DEVICE bool fg_isfinite(R x) { return fg_fabs(x) < fg_inf<R>(); }
FG_DEVICE bool fg_signbit(float x) { return fg_bits<int>(x) < 0; }
FG_DEVICE bool fg_signbit(double x) { return fg_bits<long long>(x) < 0; }
