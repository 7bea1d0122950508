// Colours of the person and of the old room, and what explains a picture together.

// One pass of blur-fusion where alpha is soft within `reach`; F and B are the picture elsewhere.
extern "C" __global__ void blur_fusion(const float *planes, const float *before_F, const float *before_B,
                                       const float *alpha, int radius, int reach, int fuse, float *F, float *B,
                                       int h, int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    const int at = y * w + x, n = h * w;
    if (kind_round(alpha, h, w, 0.0f, reach, y, x) != SOFT) {
        for (int c = 0; c < 3; c++) F[c * n + at] = B[c * n + at] = planes[c * n + at];
        return;
    }
    float sum = 0.0f, sum_F[3] = {}, sum_B[3] = {};
    for (int j = -radius; j <= radius; j++) {
        for (int i = -radius; i <= radius; i++) {
            const int k = clamp(y + j, 0, h - 1) * w + clamp(x + i, 0, w - 1);
            const float a = alpha[k];
            sum += a;
            for (int c = 0; c < 3; c++) {
                sum_F[c] += a * before_F[c * n + k];
                sum_B[c] += (1.0f - a) * before_B[c * n + k];
            }
        }
    }
    const float share = 1.0f / (float)((2 * radius + 1) * (2 * radius + 1));
    const float a = alpha[at], front = sum * share, back = 1.0f - front;
    const float per_front = share / (front + 1e-4f), per_back = share / (back + 1e-4f);
    for (int c = 0; c < 3; c++) {
        const float value = planes[c * n + at];
        float f = front > 1e-3f ? sum_F[c] * per_front : value;
        float b = back > 1e-3f ? sum_B[c] * per_back : value;
        if (fuse) {
            const float rest = value - a * f - (1.0f - a) * b;
            f += a * rest;
            b += (1.0f - a) * rest;
        }
        F[c * n + at] = f;
        B[c * n + at] = b;
    }
}

// See fusion.fuse_layers_reference: C (n, 3), F and B (n, 3), alpha (n,).
extern "C" __global__ void fuse_layers(const u8 *C, const float *F, const float *B, const float *alpha,
                                       float ratio_F, float ratio_B, float ratio_alpha, int iterations,
                                       float *out_F, float *out_B, float *out_alpha, int n) {
    const int p = column();
    if (p >= n) return;
    float a = alpha[p], c[3], f[3], b[3];
    for (int k = 0; k < 3; k++) {
        c[k] = (float)C[3 * p + k] * (1.0f / 255.0f);
        f[k] = F[3 * p + k];
        b[k] = B[3 * p + k];
    }
    for (int step = 0; step < iterations; step++) {
        float along = 0.0f, length = 0.0f;
        for (int k = 0; k < 3; k++) {
            const float error = c[k] - a * f[k] - (1.0f - a) * b[k];
            f[k] = clamp(F[3 * p + k] + ratio_F * a * error, 0.0f, 1.0f);           // eq. 4
            b[k] = clamp(B[3 * p + k] + ratio_B * (1.0f - a) * error, 0.0f, 1.0f);  // eq. 5
            const float d = f[k] - b[k];
            along += (c[k] - b[k]) * d;
            length += d * d;
        }
        a = clamp((a + ratio_alpha * along) / (1.0f + ratio_alpha * length), 0.0f, 1.0f);  // eq. 6
    }
    for (int k = 0; k < 3; k++) {
        out_F[3 * p + k] = f[k];
        out_B[3 * p + k] = b[k];
    }
    out_alpha[p] = a;
}

// In place: sums += weight * given, weights += weight. Windows of larger maps, so each has its own strides.
extern "C" __global__ void add_weighted(PLANE(float, weight), const float *given, float *sums, int plane_stride,
                                        int sums_stride, float *weights, int weights_stride, int channels, int h,
                                        int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    const Plane<float> weight = GIVEN(weight);
    const float share = weight.at(y, x);
    weights[(long long)y * weights_stride + x] += share;
    for (int c = 0; c < channels; c++) {
        float *target = sums + (long long)c * plane_stride + (long long)y * sums_stride + x;
        *target += share * given[(c * h + y) * w + x];
    }
}

// (3, n): see windows.explaining_background.
extern "C" __global__ void explaining_background(const float *codes, const float *foreground, const float *alpha,
                                                 int maximum, float *out, int n) {
    const int i = column();
    if (i >= n) return;
    const float a = alpha[i], rest = fmaxf(1.0f - a, 0.05f);
    for (int c = 0; c < 3; c++) {
        const int at = c * n + i;
        out[at] = clamp((codes[at] - a * foreground[at]) / rest, 0.0f, (float)maximum);
    }
}
