// A blurred background from the frame itself. Maps are (c, h, w) float32, one under another: `line()` goes
// through all of their rows. T: u8 or u16, of the planes that are made.

// Alpha dilated by two pixels and multiplied by four: a half covered pixel is no background.
extern "C" __global__ void dilate_alpha(const float *alpha, float *out, int h, int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    float most = 0.0f;
    for (int j = max(y - 2, 0); j <= min(y + 2, h - 1); j++)
        for (int i = max(x - 2, 0); i <= min(x + 2, w - 1); i++) most = fmaxf(most, alpha[j * w + i]);
    out[y * w + x] = fminf(most * 4.0f, 1.0f);
}

// (4, h, w): the three planes multiplied by 1 - person, and 1 - person.
extern "C" __global__ void weight_planes(const float *planes, const float *person, float *out, int n) {
    const int i = column();
    if (i >= n) return;
    const float weight = 1.0f - person[i];
    for (int c = 0; c < 3; c++) out[c * n + i] = planes[c * n + i] * weight;
    out[3 * n + i] = weight;
}

// One of the two passes of a Gaussian: down or across.
extern "C" __global__ void gaussian(const float *maps, const float *weights, int radius, int down, float *out,
                                    int h, int lines, int w) {
    const int x = column(), row = line();
    if (x >= w || row >= lines) return;
    const int y = row % h, first = (row - y) * w;
    float sum = 0.0f;
    for (int k = -radius; k <= radius; k++) {
        const int j = down ? clamp(y + k, 0, h - 1) : y, i = down ? x : clamp(x + k, 0, w - 1);
        sum += weights[k + radius] * maps[first + j * w + i];
    }
    out[row * w + x] = sum;
}

extern "C" __global__ void shrink_maps(const float *maps, int h, int w, float *out, int to_h, int lines,
                                       int to_w) {
    const int x = column(), row = line();
    if (x >= to_w || row >= lines) return;
    const Plane<float> map = {maps + (long long)(row / to_h) * h * w, w, 1};
    out[row * to_w + x] = area(map, h, w, row % to_h, x, to_h, to_w);
}

// Each wider mean weighs a thousandth of the one before; where there is none of a map it is 1.
extern "C" __global__ void fill_maps(const float *maps, const float *wide, int count, int wide_h, int wide_w,
                                     float *out, int h, int lines, int w) {
    const int x = column(), row = line();
    if (x >= w || row >= lines) return;
    float more = 1.0f;
    if (row / h < count) {
        const Plane<float> map = {wide + row / h * wide_h * wide_w, wide_w, 1};
        more = linear(map, linear_tap(row % h, wide_h, h), linear_tap(x, wide_w, w));
    }
    out[row * w + x] = maps[row * w + x] + 1e-3f * more;
}

// The small code of one plane: its sum over the sum of weights.
__device__ inline float code_at(const float *sums, const float *weights, int at, float limit) {
    return rintf(clamp(sums[at] / weights[at], 0.0f, limit));
}

// One plane at its full size.
extern "C" __global__ void enlarge_plane(const float *sums, const float *weights, int small_h, int small_w,
                                         int maximum, T *out, int stride, int step, int h, int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    const Tap down = linear_tap(y, small_h, h), across = linear_tap(x, small_w, w);
    const float limit = (float)maximum;
    const int upper = down.low * small_w, lower = down.high * small_w;
    const float above = mix(code_at(sums, weights, upper + across.low, limit),
                            code_at(sums, weights, upper + across.high, limit), across.t);
    const float below = mix(code_at(sums, weights, lower + across.low, limit),
                            code_at(sums, weights, lower + across.high, limit), across.t);
    out[(long long)y * stride + (long long)x * step] = (T)(mix(above, below, down.t) + 0.5f);
}
