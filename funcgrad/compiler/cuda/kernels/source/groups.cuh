// Threads that reduce together: all of them get the result.
template <class T> FG_DEVICE T fg_shuffle_xor(const T &x, int mask) {
  const int words = (sizeof(T) + 3) / 4;
  unsigned w[words] = {};
  memcpy(w, &x, sizeof x);
#pragma unroll
  for (int i = 0; i < words; i++) w[i] = __shfl_xor_sync(0xffffffffu, w[i], mask);
  T y;
  memcpy(&y, w, sizeof y);
  return y;
}
// L neighbouring lanes of a warp, a power of two.
template <class Op, int L, class T> FG_DEVICE T fg_across_lanes(T x) {
#pragma unroll
  for (int mask = L / 2; mask; mask /= 2) x = Op::of(x, fg_shuffle_xor(x, mask));
  return x;
}
// L neighbouring threads, whole warps; `room` holds one partial result of each warp of the block.
template <class Op, int L, class T> FG_DEVICE T fg_across_block(T x, T *room) {
  x = fg_across_lanes<Op, 32>(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = x;
  __syncthreads();
  x = room[threadIdx.x / L * (L / 32) + threadIdx.x % 32 % (L / 32)];
  return fg_across_lanes<Op, L / 32>(x);
}
// L threads that are S apart: thread t of column c has the number t * S + c. Lanes of a warp take over a column;
// `room` holds L rows of S + 1, and S results.
template <class Op, int L, int S, class T> FG_DEVICE T fg_across_columns(T x, T *room) {
  const int lane = threadIdx.x % L, column = threadIdx.x / L;
  __syncthreads();
  room[threadIdx.x / S * (S + 1) + threadIdx.x % S] = x;
  __syncthreads();
  x = fg_across_lanes<Op, L>(room[lane * (S + 1) + column]);
  if (lane == 0) room[L * (S + 1) + column] = x;
  __syncthreads();
  return room[L * (S + 1) + threadIdx.x % S];
}
