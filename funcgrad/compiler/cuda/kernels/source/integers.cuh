// Integers with NumPy's meaning: division by 0 gives 0, shifts by any number, signs of remainders.
template <class T> FG_DEVICE T fg_absolute_integer(T x) {
  typedef typename fg_wrapping<T>::type U;
  return x < (T)0 ? (T)(0 - (U)x) : x;
}
template <class T> FG_DEVICE T fg_sign_integer(T x) { return (T)((x > (T)0) - (x < (T)0)); }
template <class T> FG_DEVICE T fg_left_shift(T x, T y) {
  typedef typename fg_wrapping<T>::type U;
  return y >= (T)0 && y < (T)(8 * sizeof(T)) ? (T)((U)x << (U)y) : (T)0;
}
template <class T> FG_DEVICE T fg_right_shift(T x, T y) {
  const bool fits = y >= (T)0 && y < (T)(8 * sizeof(T));
  return fits ? (T)(x >> y) : x < (T)0 ? (T)-1 : (T)0;
}
template <class T> FG_DEVICE bool fg_overflows(T x, T y) {  // the least number divided by -1
  return (T)-1 < (T)0 && y == (T)-1 && x < (T)0 && x == fg_absolute_integer(x);
}
template <class T> FG_DEVICE T fg_fmod_integer(T x, T y) { return y == (T)0 || fg_overflows(x, y) ? (T)0 : (T)(x % y); }
template <class T> FG_DEVICE T fg_remainder_integer(T x, T y) {
  const T rest = fg_fmod_integer(x, y);
  return rest != (T)0 && (rest < (T)0) != (y < (T)0) ? (T)(rest + y) : rest;
}
template <class T> FG_DEVICE T fg_floor_divide_integer(T x, T y) {
  if (y == (T)0) return (T)0;
  if (fg_overflows(x, y)) return x;
  const T quotient = (T)(x / y), rest = (T)(x % y);
  return rest != (T)0 && (rest < (T)0) != (y < (T)0) ? (T)(quotient - 1) : quotient;
}
template <class T> FG_DEVICE T fg_reciprocal_integer(T x) { return fg_to_integer<T>(1.0 / (double)x); }
template <class T> FG_DEVICE unsigned char fg_bitwise_count(T x) {
  typedef typename fg_wrapping<T>::type U;
  U left = (U)fg_absolute_integer(x);
  if (sizeof(T) < sizeof(U)) left &= ((U)1 << (8 * sizeof(T) % (8 * sizeof(U)))) - 1;
  unsigned char count = 0;
  for (; left; left &= left - 1) count++;
  return count;
}
template <class T> FG_DEVICE T fg_gcd(T x, T y) {
  typedef typename fg_wrapping<T>::type U;
  const U mask = sizeof(T) < sizeof(U) ? ((U)1 << (8 * sizeof(T) % (8 * sizeof(U)))) - 1 : ~(U)0;
  U a = (U)fg_absolute_integer(x) & mask, b = (U)fg_absolute_integer(y) & mask;
  while (b) {
    const U rest = a % b;
    a = b;
    b = rest;
  }
  return (T)a;
}
template <class T> FG_DEVICE T fg_lcm(T x, T y) {
  typedef typename fg_wrapping<T>::type U;
  const U mask = sizeof(T) < sizeof(U) ? ((U)1 << (8 * sizeof(T) % (8 * sizeof(U)))) - 1 : ~(U)0;
  const U divisor = (U)fg_gcd(x, y) & mask;
  if (!divisor) return (T)0;
  return (T)(((U)fg_absolute_integer(x) & mask) / divisor * ((U)fg_absolute_integer(y) & mask));
}
// Products of squares; 0 for negative exponents, unless the base is 1 or -1.
template <class T> FG_DEVICE T fg_power_integer(T x, T y) {
  typedef typename fg_wrapping<T>::type U;
  if (y < (T)0) return x == (T)1 ? x : x == (T)-1 ? (y % 2 ? x : (T)1) : (T)0;
  U result = 1, factor = (U)x;
  for (; y > (T)0; y = (T)(y >> 1)) {
    if (y & 1) result *= factor;
    factor *= factor;
  }
  return (T)result;
}
