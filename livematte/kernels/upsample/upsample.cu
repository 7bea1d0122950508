// Alpha from the network's size to the frame's. T: u8 or u16, of full-size alpha.

// The slope of alpha over luma in 3 x 3 windows of soft cells, 0 elsewhere.
extern "C" __global__ void guided_slopes(const float *alpha, const float *luma, float epsilon, float snap,
                                         float *slope, u8 *kinds, int h, int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    const int at = y * w + x, kind = kind_round(alpha, h, w, snap, 1, y, x);
    kinds[at] = (u8)kind;
    slope[at] = 0.0f;
    if (kind != SOFT) return;
    const float ninth = 1.0f / 9.0f;
    float sum_y = 0.0f, sum_a = 0.0f, sum_ya = 0.0f, sum_yy = 0.0f;
    for (int j = -1; j <= 1; j++) {
        for (int i = -1; i <= 1; i++) {
            const int k = clamp(y + j, 0, h - 1) * w + clamp(x + i, 0, w - 1);
            const float a = alpha[k], v = luma[k];
            sum_y += v;
            sum_a += a;
            sum_ya += v * a;
            sum_yy += v * v;
        }
    }
    const float mean_y = sum_y * ninth;
    const float variance = fmaxf(sum_yy * ninth - mean_y * mean_y, 0.0f);
    slope[at] = (sum_ya * ninth - mean_y * sum_a * ninth) / (variance + epsilon);
}

// The mean slope of a soft cell's 3 x 3 window, 0 elsewhere.
__device__ inline float mean_slope(const float *slope, const u8 *kinds, int h, int w, int y, int x) {
    if (kinds[y * w + x] != SOFT) return 0.0f;
    float total = 0.0f;
    for (int j = -1; j <= 1; j++)
        for (int i = -1; i <= 1; i++) total += slope[clamp(y + j, 0, h - 1) * w + clamp(x + i, 0, w - 1)];
    return total * (1.0f / 9.0f);
}

// Keys' weights, a = -0.75, of cells -2..2 for the left or upper half of a cell; reversed for the other half.
__constant__ float CUBIC[5] = {-0.03515625f, 0.26171875f, 0.87890625f, -0.10546875f, 0.0f};

// Slope (linear) and offset (cubic) of the four halves of a cell, stretched by snap; 0 and 0 or 1 where flat.
extern "C" __global__ void guided_fine(const float *alpha, const float *luma, const float *raw,
                                       const u8 *kinds, float snap, float *slope, float *offset, int h,
                                       int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    const int kind = kinds[y * w + x];
    if (kind != SOFT) {
        for (int k = 0; k < 4; k++) {
            const int at = (2 * y + (k >> 1)) * 2 * w + 2 * x + (k & 1);
            slope[at] = 0.0f;
            offset[at] = (float)kind;
        }
        return;
    }
    float slopes[3][3];
    for (int j = 0; j < 3; j++)
        for (int i = 0; i < 3; i++)
            slopes[j][i] = mean_slope(raw, kinds, h, w, clamp(y + j - 1, 0, h - 1), clamp(x + i - 1, 0, w - 1));
    float sum_a[2][2] = {}, sum_y[2][2] = {};
    for (int j = 0; j < 5; j++) {
        float line_a[2] = {}, line_y[2] = {};
        for (int i = 0; i < 5; i++) {
            const int k = clamp(y + j - 2, 0, h - 1) * w + clamp(x + i - 2, 0, w - 1);
            for (int half = 0; half < 2; half++) {
                const float weight = CUBIC[half ? 4 - i : i];
                line_a[half] += weight * alpha[k];
                line_y[half] += weight * luma[k];
            }
        }
        for (int k = 0; k < 4; k++) {
            const float weight = CUBIC[k >> 1 ? 4 - j : j];
            sum_a[k >> 1][k & 1] += weight * line_a[k & 1];
            sum_y[k >> 1][k & 1] += weight * line_y[k & 1];
        }
    }
    const float stretch = 1.0f / (1.0f - 2.0f * snap);
    for (int j = 0; j < 2; j++) {
        for (int i = 0; i < 2; i++) {
            const float near = mix(slopes[1][1], slopes[1][2 * i], 0.25f);
            const float far = mix(slopes[2 * j][1], slopes[2 * j][2 * i], 0.25f);
            const float s = mix(near, far, 0.25f);
            const int at = (2 * y + j) * 2 * w + 2 * x + i;
            slope[at] = s * stretch;
            offset[at] = (sum_a[j][i] - s * sum_y[j][i] - snap) * stretch;
        }
    }
}

// Coefficients are the piece that begins at (origin_y, origin_x) of maps of (map_h, map_w), laid over a picture
// of (whole_h, whole_w); the output is the (h, w) of it from (top, left) on, and luma begins there. Luma is
// read only where coefficients are not flat.
extern "C" __global__ void upsample_alpha(PLANE(T, luma), const float *slope, const float *offset,
                                          int piece_h, int piece_w, int origin_y, int origin_x, int map_h,
                                          int map_w, int whole_h, int whole_w, int top, int left, int maximum,
                                          T *alpha, u8 *kinds, int h, int w) {
    __shared__ unsigned found[16];
    begin_kinds(found);
    const Patch at = patch(h, w);
    if (at.inside()) {
        const Guide guide = {slope, offset, piece_h, piece_w, origin_y, origin_x,
                             map_h, map_w, whole_h, whole_w, top, left};
        const Plane<T> plane = GIVEN(luma);
        const int kind = guide.kind(at);
        T *out = alpha + (long long)at.y * w + at.x;
        unsigned bits = 0;
        if (kind == SOFT) {
            for (int j = 0; j < at.rows; j++) {
                GuidedRow row(guide, at.y + j, at.x, maximum);
#pragma unroll 1
                for (int i = 0; i < at.count; i++) {
                    const T value = row.next(plane.at(at.y + j, at.x + i));
                    out[(long long)j * w + i] = value;
                    bits |= difference(value, maximum);
                }
            }
        } else {
            T values[8];
            for (int i = 0; i < 8; i++) values[i] = kind == SOLID ? (T)maximum : (T)0;
            bits = difference(values[0], maximum);
            for (int j = 0; j < at.rows; j++) store<8>(out + (long long)j * w, 1, at.count, values);
        }
        atomicOr(&found[at.tile], bits);
    }
    end_kinds(found, kinds, w);
}
