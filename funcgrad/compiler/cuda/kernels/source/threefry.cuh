// Threefry2x32 with 20 rounds (Salmon et al. 2011) on the two halves of 64-bit words.
FG_DEVICE unsigned fg_rotated(unsigned x, int n) { return (x << n) | (x >> (32 - n)); }
FG_DEVICE void fg_four_rounds(unsigned &a, unsigned &b, int r0, int r1, int r2, int r3) {
  a += b, b = fg_rotated(b, r0) ^ a;
  a += b, b = fg_rotated(b, r1) ^ a;
  a += b, b = fg_rotated(b, r2) ^ a;
  a += b, b = fg_rotated(b, r3) ^ a;
}
FG_DEVICE unsigned long long fg_threefry(unsigned long long key, unsigned long long counter) {
  const unsigned k0 = (unsigned)(key >> 32), k1 = (unsigned)key, k2 = k0 ^ k1 ^ 0x1BD11BDAu;
  unsigned a = (unsigned)(counter >> 32) + k0, b = (unsigned)counter + k1;
  fg_four_rounds(a, b, 13, 15, 26, 6);
  a += k1, b += k2 + 1u;
  fg_four_rounds(a, b, 17, 29, 16, 24);
  a += k2, b += k0 + 2u;
  fg_four_rounds(a, b, 13, 15, 26, 6);
  a += k0, b += k1 + 3u;
  fg_four_rounds(a, b, 17, 29, 16, 24);
  a += k1, b += k2 + 4u;
  fg_four_rounds(a, b, 13, 15, 26, 6);
  a += k2, b += k0 + 5u;
  return (unsigned long long)a << 32 | b;
}
