// The kinds of the 16 tiles that a block of threads makes. T: u8 or u16, of full-size alpha.

// Bits that the threads of a block collect for its 16 tiles. 1: a pixel is not clear, 2: one is not solid.
__device__ inline unsigned difference(T alpha, int maximum) {
    return (alpha != 0 ? 1u : 0u) | (alpha != maximum ? 2u : 0u);
}

__device__ inline void begin_kinds(unsigned *found) {
    if (threadIdx.x < 16) found[threadIdx.x] = 0;
    __syncthreads();
}

__device__ inline void end_kinds(const unsigned *found, u8 *kinds, int w) {
    __syncthreads();
    const int across = (w + TILE - 1) / TILE, tile = blockIdx.x * 16 + threadIdx.x;
    if (threadIdx.x < 16 && tile < across)
        kinds[blockIdx.y * across + tile] = found[threadIdx.x] == 3   ? SOFT
                                            : found[threadIdx.x] == 1 ? SOLID
                                                                      : CLEAR;
}
