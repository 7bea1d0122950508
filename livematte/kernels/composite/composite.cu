// The compositing equation on planes, one at a time or a whole frame in one pass. T: u8 or u16.

enum { MIX = 0, FUSE = 1, STRAIGHT = 2, MASKED = 3 };

// The background of a plane; a single code with STRAIGHT and MASKED.
struct Behind {
    Plane<T> plane;
    T code;
    bool flat;

    __device__ T at(int y, int x) const { return flat ? code : plane.at(y, x); }
};

// Smooth colours of one plane, (small_h, small_w) each, spread over a plane of (h, w).
struct Colors {
    const float *F, *B;
    int small_h, small_w, h, w;

    __device__ Tap down(int y) const { return linear_tap(y, small_h, h); }
};

// A row of samples from x on, one after another.
struct BlendedRow {
    int mode;
    float full, maximum;
    Line F, B;
    Steps steps;

    __device__ BlendedRow(int mode, const Colors &colors, int y, int x, float full, float maximum)
        : mode(mode), full(full), maximum(maximum), F(colors.F, colors.small_w, colors.down(y)),
          B(colors.B, colors.small_w, colors.down(y)), steps(x, colors.small_w, colors.w) {}

    // `sum` is alpha over the pixels that the sample covers, `full` what that is where all are solid.
    __device__ T next(T front, T back, int sum) {
        if (mode == MASKED) return sum == 0 ? back : front;
        const float a = (float)sum / full, rest = 1.0f - a;
        if (mode == MIX) return (T)(a * (float)front + rest * (float)back + 0.5f);
        const Tap across = steps.next();
        const float f_hat = F.at(across), b_hat = B.at(across);
        const float f = clamp(f_hat + a * ((float)front - a * f_hat - rest * b_hat), 0.0f, maximum);
        if (mode == STRAIGHT) return sum == 0 ? back : (T)(f + 0.5f);
        return (T)(a * f + rest * (float)back + 0.5f);
    }
};

// Up to N samples of a row that are all clear or all solid: only the one side is read.
template <int N>
__device__ inline void copy_run(int kind, const Plane<T> &plane, const Behind &behind, int y, int x, int count,
                                T *out, int out_step) {
    T values[N];
    if (kind == CLEAR && behind.flat) {
        for (int i = 0; i < N; i++) values[i] = behind.code;
    } else {
        const Plane<T> &from = kind == SOLID ? plane : behind.plane;
        load<N>(from.row(y) + x * from.step, from.step, count, values);
    }
    store<N>(out, out_step, count, values);
}

// One plane, 8 samples a thread. Alpha and kinds are full-size, contiguous.
extern "C" __global__ void blend_plane(int mode, PLANE(T, plane), PLANE(T, behind), int black, const T *alpha,
                                       const u8 *kinds, int whole_h, int whole_w, const float *F,
                                       const float *B, int small_h, int small_w, int v_shift, int h_shift,
                                       int maximum, T *out, int h, int w) {
    const int x = column() * 8, y = line();
    if (x >= w || y >= h) return;
    const Plane<T> plane = GIVEN(plane), opacity = {alpha, whole_w, 1};
    const Behind behind = {GIVEN(behind), (T)black, mode == STRAIGHT || mode == MASKED};
    const int count = min(8, w - x), tiles = (whole_w + TILE - 1) / TILE;
    const int kind = kinds[((y << v_shift) / TILE) * tiles + (x << h_shift) / TILE];
    T *target = out + (long long)y * w + x;
    if (kind != SOFT) return copy_run<8>(kind, plane, behind, y, x, count, target, 1);
    const Colors colors = {F, B, small_h, small_w, h, w};
    const float full = (float)(maximum << (v_shift + h_shift));
    BlendedRow row(mode, colors, y, x, full, (float)maximum);
#pragma unroll 1
    for (int i = 0; i < count; i++) {
        int sum = 0;
        for (int k = 0; k < 1 << v_shift; k++)
            for (int l = 0; l < 1 << h_shift; l++)
                sum += opacity.at(min((y << v_shift) + k, whole_h - 1),
                                  min(((x + i) << h_shift) + l, whole_w - 1));
        target[i] = row.next(plane.at(y, x + i), behind.at(y, x + i), sum);
    }
}

// A whole frame: 8 x 2 pixels a thread, and the chroma that lies over them. Alpha is given with its kinds, or
// made here from coefficients and never stored.
struct Job {
    int mode, given, maximum, v_shift, h_shift, chroma_stride, chroma_step, h, w, small_h, small_w;
    Plane<T> planes[3];
    Behind behind[3];
    const T *alpha;
    const u8 *kinds;
    const float *F, *B;
    T *out[3];

    __device__ int kind(const Guide &guide, const Patch &at) const {
        if (!given) return guide.kind(at);
        return kinds[(at.y / TILE) * ((w + TILE - 1) / TILE) + at.x / TILE];
    }

    // N samples of a chroma plane's row lie over 8 pixels.
    template <int N>
    __device__ void copy_chroma(int kind, int y, int x, int count) const {
        const long long at = (long long)y * chroma_stride + x * chroma_step;
        const Plane<T> &u = kind == SOLID ? planes[1] : behind[1].plane;
        const Plane<T> &v = kind == SOLID ? planes[2] : behind[2].plane;
        const bool flat = kind == CLEAR && behind[1].flat;
        if (v.data == u.data + 1 && u.step == 2 && chroma_step == 2 && count == N && !flat) {  // pairs
            T values[2 * N];
            load<2 * N>(u.row(y) + x * 2, 1, 2 * N, values);
            store<2 * N>(out[1] + at, 1, 2 * N, values);
            return;
        }
        for (int c = 1; c < 3; c++)
            copy_run<N>(kind, planes[c], behind[c], y, x, count, out[c] + at, chroma_step);
    }

    __device__ void copy(int kind, const Patch &at) const {
        for (int j = at.y; j < at.y + at.rows; j++)
            copy_run<8>(kind, planes[0], behind[0], j, at.x, at.count, out[0] + (long long)j * w + at.x, 1);
        const int count = (at.count + h_shift) >> h_shift, x = at.x >> h_shift;
        const int top = at.y >> v_shift, bottom = top + ((at.rows + v_shift) >> v_shift);
        for (int y = top; y < bottom; y++) {
            if (h_shift) {
                copy_chroma<4>(kind, y, x, count);
            } else {
                copy_chroma<8>(kind, y, x, count);
            }
        }
    }

    __device__ Colors colors(int c, int plane_h, int plane_w) const {
        const int first = c * small_h * small_w;
        return {F + first, B + first, small_h, small_w, plane_h, plane_w};
    }

    __device__ void blend(const Guide &guide, const Patch &at) const {
        T values[16];
        for (int j = 0; j < at.rows; j++) {
            const int y = at.y + j;
            const long long first = (long long)y * w + at.x;
            BlendedRow row(mode, colors(0, h, w), y, at.x, (float)maximum, (float)maximum);
            GuidedRow guided(guide, y, at.x, maximum);
#pragma unroll 1
            for (int i = 0; i < at.count; i++) {
                const T front = planes[0].at(y, at.x + i), back = behind[0].at(y, at.x + i);
                const T a = given ? alpha[first + i] : guided.next(front);
                values[8 * j + i] = a;
                out[0][first + i] = row.next(front, back, a);
            }
        }
        const int count = (at.count + h_shift) >> h_shift, rows = (at.rows + v_shift) >> v_shift;
        const float full = (float)(maximum << (v_shift + h_shift));
        const int plane_h = (h + v_shift) >> v_shift, plane_w = (w + h_shift) >> h_shift;
        for (int j = 0; j < rows; j++) {
            const int y = (at.y >> v_shift) + j, x = at.x >> h_shift;
            const long long first = (long long)y * chroma_stride + x * chroma_step;
            BlendedRow us(mode, colors(1, plane_h, plane_w), y, x, full, (float)maximum);
            BlendedRow vs(mode, colors(2, plane_h, plane_w), y, x, full, (float)maximum);
#pragma unroll 1
            for (int i = 0; i < count; i++) {
                int sum = 0;
                for (int l = 0; l < 1 << v_shift; l++)
                    for (int m = 0; m < 1 << h_shift; m++)
                        sum += values[8 * min((j << v_shift) + l, at.rows - 1) +
                                      min((i << h_shift) + m, at.count - 1)];
                const long long to = first + i * chroma_step;
                out[1][to] = us.next(planes[1].at(y, x + i), behind[1].at(y, x + i), sum);
                out[2][to] = vs.next(planes[2].at(y, x + i), behind[2].at(y, x + i), sum);
            }
        }
    }
};

extern "C" __global__ void blend_frame(int mode, PLANE(T, y), PLANE(T, u), PLANE(T, v), PLANE(T, behind_y),
                                       PLANE(T, behind_u), PLANE(T, behind_v), int black_y, int black_u,
                                       int black_v, int given, const T *alpha, const u8 *kinds,
                                       const float *slope, const float *offset, int map_h, int map_w,
                                       const float *F, const float *B, int small_h, int small_w, int v_shift,
                                       int h_shift, int maximum, T *out_y, T *out_u, T *out_v,
                                       int chroma_stride, int chroma_step, int h, int w) {
    const Patch at = patch(h, w);
    if (!at.inside()) return;
    const bool flat = mode == STRAIGHT || mode == MASKED;
    const Job job = {mode, given, maximum, v_shift, h_shift, chroma_stride, chroma_step, h, w, small_h, small_w,
                     {GIVEN(y), GIVEN(u), GIVEN(v)},
                     {{GIVEN(behind_y), (T)black_y, flat},
                      {GIVEN(behind_u), (T)black_u, flat},
                      {GIVEN(behind_v), (T)black_v, flat}},
                     alpha, kinds, F, B, {out_y, out_u, out_v}};
    const Guide guide = {slope, offset, map_h, map_w, 0, 0, map_h, map_w, h, w, 0, 0};
    const int kind = job.kind(guide, at);
    if (kind == SOFT) {
        job.blend(guide, at);
    } else {
        job.copy(kind, at);
    }
}
