// In place: sums += weight * given, weights += weight. Windows of larger maps, so each has its own strides.
extern "C" __global__ void add_weighted(PLANE(float, weight), const float *given, float *sums,
                                        int plane_stride, int sums_stride, float *weights, int weights_stride,
                                        int channels, int h, int w) {
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
