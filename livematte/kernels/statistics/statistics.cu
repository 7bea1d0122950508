// Range and opacity of a small matte.

enum { LANES = 1024 };

// One block of 1024 threads: values clipped to [0, 1], and the lowest and the highest of them before; both are
// NaN if any value is.
extern "C" __global__ void clip_with_limits(const float *values, float *out, float *limits, int n) {
    __shared__ float lows[LANES], highs[LANES], odd;
    const int lane = threadIdx.x;
    if (lane == 0) odd = 0.0f;
    __syncthreads();
    float low = values[0], high = values[0];
    for (int i = lane; i < n; i += LANES) {
        const float value = values[i];
        if (value != value) odd = value;
        low = fminf(low, value);
        high = fmaxf(high, value);
        out[i] = clamp(value, 0.0f, 1.0f);
    }
    lows[lane] = low;
    highs[lane] = high;
    __syncthreads();
    for (int half = LANES / 2; half > 0; half /= 2) {
        if (lane < half) {
            lows[lane] = fminf(lows[lane], lows[lane + half]);
            highs[lane] = fmaxf(highs[lane], highs[lane + half]);
        }
        __syncthreads();
    }
    if (lane == 0) {
        limits[0] = odd == odd ? lows[0] : odd;
        limits[1] = odd == odd ? highs[0] : odd;
    }
}

// One block of 1024 threads: how many are above `core`, and how many neither up to `low` nor from `high` on.
extern "C" __global__ void count_opacity(const float *alpha, float core, float low, float high, int *counts,
                                         int n) {
    __shared__ int sure, soft;
    const int lane = threadIdx.x;
    if (lane == 0) sure = soft = 0;
    __syncthreads();
    int above = 0, between = 0;
    for (int i = lane; i < n; i += LANES) {
        above += alpha[i] > core;
        between += !(alpha[i] <= low || alpha[i] >= high);  // also NaN
    }
    atomicAdd(&sure, above);
    atomicAdd(&soft, between);
    __syncthreads();
    if (lane == 0) {
        counts[0] = sure;
        counts[1] = soft;
    }
}
