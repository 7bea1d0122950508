// Alpha over time, as temporal.TemporalFilter has it. The noise of the picture and the decision whether another
// shot begins stay on the device, in `noise` and `cut`: nothing waits for them.

// (h, w, 3) uint8 at half the size, rounded up: (half_h, half_w, 3) float32, whole numbers.
extern "C" __global__ void half_size(const u8 *rgb, int h, int w, float *out, int half_h, int half_w) {
    const int x = column(), y = line();
    if (x >= half_w || y >= half_h) return;
    for (int c = 0; c < 3; c++) {
        const Plane<u8> channel = {rgb + c, 3 * w, 3};
        out[3 * (y * half_w + x) + c] = floorf(area(channel, h, w, y, x, half_h, half_w) + 0.5f);
    }
}

enum { THREADS = 1024, BINS = 16 };

// One block of 1024 threads: how much each pixel changed, the noise that the median change tells of, and
// whether another shot begins. Changes below 2 are counted in 512ths: others need no finer ones.
extern "C" __global__ void statistics(const float *before, const float *now, int h, int w, float *largest,
                                      float *noise, int *cut) {
    __shared__ int counts[THREADS], sums[THREADS], histograms[2][3][BINS], middle[2], moved;
    __shared__ unsigned long long total;
    const int lane = threadIdx.x;
    counts[lane] = 0;
    if (lane < 2 * 3 * BINS) (&histograms[0][0][0])[lane] = 0;
    if (lane == 0) {
        total = 0;
        moved = 0;
        middle[0] = middle[1] = THREADS;
    }
    __syncthreads();
    unsigned long long mine = 0;  // in 256ths, so that the order of adding does not matter
    for (int i = lane; i < h * w; i += THREADS) {
        float most = 0.0f;
        for (int c = 0; c < 3; c++) {
            const float a = before[3 * i + c], b = now[3 * i + c], change = fabsf(a - b);
            most = fmaxf(most, change);
            mine += (unsigned long long)(change * 256.0f + 0.5f);
            atomicAdd(&histograms[0][c][clamp((int)(a * (1.0f / 16.0f)), 0, BINS - 1)], 1);
            atomicAdd(&histograms[1][c][clamp((int)(b * (1.0f / 16.0f)), 0, BINS - 1)], 1);
        }
        largest[i] = most;
        if ((i / w) % 2 == 0 && (i % w) % 2 == 0) atomicAdd(&counts[min((int)(most * 512.0f), THREADS - 1)], 1);
    }
    atomicAdd(&total, mine);
    __syncthreads();
    for (int reach = 1; reach < THREADS; reach *= 2) {  // counts become sums of all up to here
        sums[lane] = counts[lane] + (lane >= reach ? counts[lane - reach] : 0);
        __syncthreads();
        counts[lane] = sums[lane];
        __syncthreads();
    }
    const int seen = counts[THREADS - 1], below = lane ? counts[lane - 1] : 0;
    for (int k = 0; k < 2; k++) {  // an even number has two middles
        const int rank = (seen - 1 + k) / 2;
        if (below <= rank && rank < counts[lane]) middle[k] = lane;
    }
    if (lane < 3 * BINS)
        atomicAdd(&moved, abs((&histograms[0][0][0])[lane] - (&histograms[1][0][0])[lane]));
    __syncthreads();
    if (lane == 0) {
        const float size = 3.0f * (float)h * (float)w;
        const float difference = (float)total / 256.0f / size;
        *noise = clamp(4.0f * (float)(middle[0] + middle[1]) / 1024.0f, 2.0f, 8.0f);
        *cut = difference > 60.0f || (difference >= 12.0f && (float)moved / size / 2.0f > 0.3f);
    }
}

// 0 still, 1 moving, where the largest change within two pixels is more than noise.
extern "C" __global__ void motion(const float *largest, const float *noise, float *moves, int h, int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    float widest = 0.0f;
    for (int j = max(y - 2, 0); j <= min(y + 2, h - 1); j++)
        for (int i = max(x - 2, 0); i <= min(x + 2, w - 1); i++) widest = fmaxf(widest, largest[j * w + i]);
    moves[y * w + x] = clamp((widest - *noise) * 0.125f, 0.0f, 1.0f);
}

__device__ inline float weight_at(float raw, float before, float raw_before, float moves, float still) {
    const float jump = fabsf(raw - before);
    const float insists = clamp((jump - 2.0f * fabsf(raw - raw_before)) * 4.0f - 0.4f, 0.0f, 1.0f);
    const float trusted = still * (1.0f - 0.8f * fminf(jump * 2.0f, 1.0f));
    return trusted + (1.0f - trusted) * fmaxf(moves, insists);
}

// Alpha over the one before, and how much of the new one was taken; all of it where another shot begins.
extern "C" __global__ void smooth_alpha(const float *raw, const float *before, const float *raw_before,
                                        const float *moves, int half_h, int half_w, float still,
                                        const int *cut, float *alpha, float *share, int h, int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    const int at = y * w + x;
    const Plane<float> map = {moves, half_w, 1};
    const float moving = linear(map, linear_tap(y, half_h, h), linear_tap(x, half_w, w));
    const float part = *cut ? 1.0f : weight_at(raw[at], before[at], raw_before[at], moving, still);
    share[at] = part;
    alpha[at] = *cut ? raw[at] : mix(before[at], raw[at], part);
}

// The picture that alpha belongs to, blended as alpha was: (half_h, half_w, 3).
extern "C" __global__ void blend_picture(const float *before, const float *now, const float *share, int h,
                                         int w, const int *cut, float *picture, int half_h, int half_w) {
    const int x = column(), y = line();
    if (x >= half_w || y >= half_h) return;
    const Plane<float> map = {share, w, 1};
    const float part = linear(map, linear_tap(y, h, half_h), linear_tap(x, w, half_w));
    for (int c = 0; c < 3; c++) {
        const int at = 3 * (y * half_w + x) + c;
        picture[at] = *cut ? now[at] : mix(before[at], now[at], part);
    }
}

extern "C" __global__ void blend_weight(const float *raw, const float *before, const float *raw_before,
                                        const float *moves, float still, float *share, int n) {
    const int i = column();
    if (i < n) share[i] = weight_at(raw[i], before[i], raw_before[i], moves[i], still);
}

// alpha and raw_before are views of larger maps, updated in place.
extern "C" __global__ void blend_refined(const float *raw, const float *share, const float *moves,
                                         const float *holds, float still, float *alpha, int alpha_stride,
                                         float *raw_before, int raw_stride, float *counts, float *taken,
                                         int h, int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    const int at = y * w + x;
    float *shown = alpha + (long long)y * alpha_stride + x, *last = raw_before + (long long)y * raw_stride + x;
    const float part =
        still < 1.0f ? 1.0f - holds[at] * (1.0f - weight_at(raw[at], *shown, *last, moves[at], still)) : 1.0f;
    const float kept = (1.0f - share[at]) * holds[at], total = share[at] + kept;
    counts[at] = total;
    taken[at] = share[at] * part;
    *shown = (share[at] * mix(*shown, raw[at], part) + kept * *shown) / fmaxf(total, 1e-6f);
    *last += share[at] * (raw[at] - *last);
}
