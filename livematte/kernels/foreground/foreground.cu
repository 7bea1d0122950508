// Colours of the person and of the old background. Planes are (3, h, w).

// One pass of blur-fusion where alpha is soft within `reach`; F and B are the picture elsewhere.
extern "C" __global__ void blur_fusion(const float *planes, const float *before_F, const float *before_B,
                                       const float *alpha, int radius, int reach, int fuse, float *F,
                                       float *B, int h, int w) {
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

// Planes are (3, n).
extern "C" __global__ void solve_background(const float *codes, const float *foreground, const float *alpha,
                                            int maximum, float *out, int n) {
    const int i = column();
    if (i >= n) return;
    const float a = alpha[i], rest = fmaxf(1.0f - a, 0.05f);
    for (int c = 0; c < 3; c++) {
        const int at = c * n + i;
        out[at] = clamp((codes[at] - a * foreground[at]) / rest, 0.0f, (float)maximum);
    }
}
