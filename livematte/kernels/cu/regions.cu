// What of a small matte is taken: numbers from 0 to 1, and what is connected to a person.

enum { LANES = 1024, PART = 16 };

// One block of 1024 threads: values clipped to [0, 1], and the lowest and the highest of what they were; both are
// no number where one of them is none.
extern "C" __global__ void clipped(const float *values, float *out, float *limits, int n) {
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
extern "C" __global__ void certainty(const float *alpha, float core, float low, float high, int *counts, int n) {
    __shared__ int sure, soft;
    const int lane = threadIdx.x;
    if (lane == 0) sure = soft = 0;
    __syncthreads();
    int above = 0, between = 0;
    for (int i = lane; i < n; i += LANES) {
        above += alpha[i] > core;
        between += !(alpha[i] <= low || alpha[i] >= high);  // also what is no number
    }
    atomicAdd(&sure, above);
    atomicAdd(&soft, between);
    __syncthreads();
    if (lane == 0) {
        counts[0] = sure;
        counts[1] = soft;
    }
}

// Regions are trees of labels: each pixel has that of its region's root or of one nearer to it, -1 outside of
// all. A label only ever falls, so whoever reads an old one has still one of the same region.
__device__ inline int root(const volatile int *labels, int i) {
    for (int next = labels[i]; next != i; next = labels[i]) i = next;
    return i;
}

// After Komura 2015, "GPU-based cluster-labeling algorithm without the use of conventional iteration".
__device__ inline void unite(int *labels, int a, int b) {
    for (;;) {
        a = root(labels, a);
        b = root(labels, b);
        if (a == b) return;
        const int high = max(a, b), low = min(a, b), before = atomicMin(&labels[high], low);
        if (before == high) return;  // it was a root, and now hangs on the other
        a = before;                  // somebody was faster: what it hung on meanwhile is of the same region
        b = low;
    }
}

extern "C" __global__ void each_its_own(const float *alpha, float faint, int *labels, int *cores, int *largest,
                                        int n) {
    const int i = column();
    if (i >= n) return;
    labels[i] = alpha[i] > faint ? i : -1;
    cores[i] = 0;
    if (i == 0) *largest = 0;
}

// With those of the eight neighbours that come before and are not united with one another already.
extern "C" __global__ void united(int *labels, int h, int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    const int i = y * w + x;
    if (labels[i] < 0) return;
    if (y > 0 && labels[i - w] >= 0) return unite(labels, i, i - w);
    if (x > 0 && labels[i - 1] >= 0) {
        unite(labels, i, i - 1);
    } else if (x > 0 && y > 0 && labels[i - w - 1] >= 0) {
        unite(labels, i, i - w - 1);
    }
    if (x + 1 < w && y > 0 && labels[i - w + 1] >= 0) unite(labels, i, i - w + 1);
}

// Labels become roots; at each root the pixels of its region above `core`, and the most that any has. A thread
// takes a part of a row, so that fewer of them wait for one number.
extern "C" __global__ void counted(const float *alpha, float core, int *labels, int *cores, int *largest, int w,
                                   int h, int parts) {
    const int part = column(), y = line();
    if (part >= parts || y >= h) return;
    int of = -1, count = 0;
    for (int i = y * w + part * PART; i < y * w + min(w, (part + 1) * PART); i++) {
        if (labels[i] < 0) continue;
        const int label = labels[i] = root(labels, i);
        if (!(alpha[i] > core)) continue;
        if (label != of) {
            if (count) atomicMax(largest, atomicAdd(&cores[of], count) + count);
            of = label;
            count = 0;
        }
        count++;
    }
    if (count) atomicMax(largest, atomicAdd(&cores[of], count) + count);
}

// Alpha within `reach` of a region with at least `least` pixels of core and a `share`th of the largest; else 0.
extern "C" __global__ void without_islands(const float *alpha, const int *labels, const int *cores,
                                           const int *largest, int least, int share, int reach, float *out,
                                           int h, int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    const int at = y * w + x;
    const long long most = *largest;
    for (int j = max(y - reach, 0); j <= min(y + reach, h - 1); j++) {
        for (int i = max(x - reach, 0); i <= min(x + reach, w - 1); i++) {
            const int label = labels[j * w + i], core = label < 0 ? 0 : cores[label];
            if (label >= 0 && core >= least && (long long)core * share >= most) {
                out[at] = alpha[at];
                return;
            }
        }
    }
    out[at] = 0.0f;
}
