// The beginning of every source. No headers: NVRTC and any C++ compiler take it alike.
//
// Planes come as pointer, row stride and step between samples, both in samples, so that interleaved chroma,
// pitched surfaces, broadcast colours and turned views are read in place. What each kernel means is said
// in reference.py beside it. The types T and S of samples are defined before this text.

typedef unsigned char u8;
typedef unsigned short u16;
typedef float f32;

enum { CLEAR = 0, SOLID = 1, SOFT = 2, TILE = 16 };

#define PLANE(T, name) const T *name##_data, int name##_stride, int name##_step
#define GIVEN(name) {name##_data, name##_stride, name##_step}

// A (3, 4) matrix, and three numbers through it.
#define MATRIX                                                                                                 \
    float m00, float m01, float m02, float m03, float m10, float m11, float m12, float m13, float m20,         \
        float m21, float m22, float m23
#define THROUGH(a, b, c)                                                                                       \
    {m00 * a + m01 * b + m02 * c + m03, m10 * a + m11 * b + m12 * c + m13, m20 * a + m21 * b + m22 * c + m23}

template <typename T>
struct Plane {
    const T *data;
    int stride, step;

    __device__ const T *row(int y) const { return data + (long long)y * stride; }
    __device__ T at(int y, int x) const { return row(y)[x * step]; }
};

__device__ inline int column() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline int line() { return blockIdx.y * blockDim.y + threadIdx.y; }

__device__ inline int clamp(int value, int low, int high) { return min(max(value, low), high); }
__device__ inline float clamp(float value, float low, float high) { return fminf(fmaxf(value, low), high); }
__device__ inline float mix(float a, float b, float t) { return a + t * (b - a); }

// Blocks of 256 threads make 256 x 16 pixels, each thread 8 x 2 and each warp the 32 x 16 of two tiles, so that
// few warps have both something to compute and something to copy.
struct Patch {
    int y, x, rows, count, tile;  // tile: which of the block's 16

    __device__ bool inside() const { return rows > 0 && count > 0; }
};

__device__ inline Patch patch(int h, int w) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int y = blockIdx.y * 16 + lane / 4 * 2, x = blockIdx.x * 256 + warp * 32 + lane % 4 * 8;
    return {y, x, min(2, h - y), min(8, w - x), warp * 2 + lane % 4 / 2};
}

// N samples that lie side by side and aligned: one load or store.
template <typename T, int N>
struct alignas(N * sizeof(T)) Run {
    T v[N];
};

// count <= N samples; the rest of out is left alone.
template <int N, typename T>
__device__ inline void load(const T *from, int step, int count, T *out) {
    if (step == 1 && count == N && (unsigned long long)from % (N * sizeof(T)) == 0) {
        const Run<T, N> run = *(const Run<T, N> *)from;
        for (int i = 0; i < N; i++) out[i] = run.v[i];
    } else {
        for (int i = 0; i < N; i++)
            if (i < count) out[i] = from[(long long)i * step];
    }
}

template <int N, typename T>
__device__ inline void store(T *to, int step, int count, const T *values) {
    if (step == 1 && count == N && (unsigned long long)to % (N * sizeof(T)) == 0) {
        Run<T, N> run;
        for (int i = 0; i < N; i++) run.v[i] = values[i];
        *(Run<T, N> *)to = run;
    } else {
        for (int i = 0; i < N; i++)
            if (i < count) to[(long long)i * step] = values[i];
    }
}

// The two samples round an output of linear interpolation, and the share of the second; in whole numbers up to
// the last division, so that it is exact. As grid.linear_table.
struct Tap {
    int low, high;
    float t;
};

__device__ inline Tap linear_tap(int i, int n_in, int n_out) {
    const int above = (2 * i + 1) * n_in - n_out, period = 2 * n_out;
    const int first = above < 0 ? -1 : above / period;
    return {max(first, 0), min(first + 1, n_in - 1), (float)(above - first * period) / (float)period};
}

// The same within a piece of length n that begins at origin; beyond it its edge is repeated.
__device__ inline Tap within(Tap tap, int origin, int n) {
    return {clamp(tap.low - origin, 0, n - 1), clamp(tap.high - origin, 0, n - 1), tap.t};
}

// linear_tap for one output after another, without a division for each.
struct Steps {
    int first, rest, step, period, n_in;
    float inverse;

    __device__ Steps(int i, int n_in, int n_out) : step(2 * n_in), period(2 * n_out), n_in(n_in) {
        const int above = (2 * i + 1) * n_in - n_out;
        first = above < 0 ? -1 : above / period;
        rest = above - first * period;
        inverse = 1.0f / (float)period;
    }

    __device__ Tap next() {
        const Tap tap = {max(first, 0), min(first + 1, n_in - 1), (float)rest * inverse};
        for (rest += step; rest >= period; rest -= period) first++;
        return tap;
    }
};

// A line across a map, w samples wide: interpolated down once for each of its columns, as long as taps go on.
struct Line {
    const float *upper, *lower;
    float t, left, right;
    int low, high;

    __device__ Line(const float *map, int w, Tap down)
        : upper(map + down.low * w), lower(map + down.high * w), t(down.t), left(0.0f), right(0.0f),
          low(-1), high(-1) {}

    __device__ float at(Tap across) {
        if (across.low != low || across.high != high) {
            low = across.low;
            high = across.high;
            left = mix(upper[low], lower[low], t);
            right = mix(upper[high], lower[high], t);
        }
        return mix(left, right, across.t);
    }
};

template <typename T>
__device__ inline float linear(const Plane<T> &plane, Tap y, Tap x) {
    const float upper = mix((float)plane.at(y.low, x.low), (float)plane.at(y.low, x.high), x.t);
    const float lower = mix((float)plane.at(y.high, x.low), (float)plane.at(y.high, x.high), x.t);
    return mix(upper, lower, y.t);
}

// The mean of what output (y, x) covers; as grid.area_weights. Overlaps are counted in parts of a sample.
template <typename T>
__device__ inline float area(const Plane<T> &plane, int h, int w, int y, int x, int to_h, int to_w) {
    const int top = y * h, bottom = top + h, left = x * w, right = left + w;
    float total = 0.0f;
    for (int j = top / to_h; j * to_h < bottom; j++) {
        const float tall = (float)(min(bottom, (j + 1) * to_h) - max(top, j * to_h));
        float sum = 0.0f;
        for (int i = left / to_w; i * to_w < right; i++) {
            const float wide = (float)(min(right, (i + 1) * to_w) - max(left, i * to_w));
            sum += wide * (float)plane.at(j, i);
        }
        total += tall * sum;
    }
    return total / ((float)h * (float)w);
}

// resize/reference.py: resize, not rounded.
template <typename T>
__device__ inline float resized(const Plane<T> &plane, int h, int w, int y, int x, int to_h, int to_w) {
    if (to_h <= h && to_w <= w) return area(plane, h, w, y, x, to_h, to_w);
    return linear(plane, linear_tap(y, h, to_h), linear_tap(x, w, to_w));
}

template <typename T>
__device__ inline T rounded(float value);
template <>
__device__ inline u8 rounded<u8>(float value) { return (u8)clamp(rintf(value), 0.0f, 255.0f); }
template <>
__device__ inline u16 rounded<u16>(float value) { return (u16)clamp(rintf(value), 0.0f, 65535.0f); }
template <>
__device__ inline f32 rounded<f32>(float value) { return value; }

// (2r+1)² window round (y, x): 1 where something is not clear, 2 where something is not solid; see
// soft_cells in kinds/reference.py.
__device__ inline int kind_round(const float *alpha, int h, int w, float snap, int radius, int y, int x) {
    const float full = 1.0f - snap;
    int found = 0;
    for (int j = max(y - radius, 0); j <= min(y + radius, h - 1); j++) {
        for (int i = max(x - radius, 0); i <= min(x + radius, w - 1); i++) {
            const float a = alpha[j * w + i];
            found |= (a > snap ? 1 : 0) | (a < full ? 2 : 0);
        }
        if (found == 3) return SOFT;
    }
    return found == 1 ? SOLID : CLEAR;
}
