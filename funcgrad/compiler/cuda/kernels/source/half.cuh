// Half precision lies in memory as 16 bits and is computed with as float.
#ifdef FG_EMU
FG_DEVICE float fg_from_float16(unsigned short x) { return (float)fg_bits<_Float16>(x); }
FG_DEVICE unsigned short fg_to_float16(float x) { return fg_bits<unsigned short>((_Float16)x); }
FG_DEVICE unsigned short fg_to_float16(double x) { return fg_bits<unsigned short>((_Float16)x); }
FG_DEVICE unsigned short fg_to_bfloat16(float x) {
  const unsigned bits = fg_bits<unsigned>(x);
  return (unsigned short)((x != x ? bits | 0x400000u : bits + ((bits >> 16) & 1u) + 0x7fffu) >> 16);
}
#else
FG_DEVICE float fg_from_float16(unsigned short x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x));
  return y;
}
FG_DEVICE unsigned short fg_to_float16(float x) {
  unsigned short y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x));
  return y;
}
FG_DEVICE unsigned short fg_to_float16(double x) {
  unsigned short y;
  asm("cvt.rn.f16.f64 %0, %1;" : "=h"(y) : "d"(x));
  return y;
}
FG_DEVICE unsigned short fg_to_bfloat16(float x) {
  unsigned short y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x));
  return y;
}
#endif
FG_DEVICE float fg_from_bfloat16(unsigned short x) { return fg_bits<float>((unsigned)x << 16); }
template <class R> FG_DEVICE float fg_round_float16(R x) { return fg_from_float16(fg_to_float16(x)); }
FG_DEVICE float fg_round_bfloat16(float x) { return fg_from_bfloat16(fg_to_bfloat16(x)); }
