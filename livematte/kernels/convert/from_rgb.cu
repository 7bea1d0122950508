// From RGB to the planes of a format. S: u8 or f32, of RGB in 0..255; T: u8 or u16, of the planes. RGB is
// (h, w, 3), its channels `next` samples apart.

extern "C" __global__ void codes_from_rgb(PLANE(S, rgb), int next, MATRIX, float *codes, int h, int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    const S *at = rgb_data + (long long)y * rgb_stride + x * rgb_step;
    const float r = (float)at[0], g = (float)at[next], b = (float)at[2 * next];
    const float code[3] = THROUGH(r, g, b);
    for (int c = 0; c < 3; c++) codes[(c * h + y) * w + x] = code[c];
}

// One thread a chroma sample: its luma samples and the mean of their chroma; an opaque alpha plane too where
// there is one. Both chroma planes have one stride and step.
extern "C" __global__ void planes_from_rgb(PLANE(S, rgb), int next, int h, int w, int v_shift, int h_shift,
                                           int maximum, MATRIX, T *luma, T *second, T *third,
                                           int chroma_stride, int chroma_step, int with_alpha, T *alpha,
                                           int chroma_h, int chroma_w) {
    const int cx = column(), cy = line();
    if (cx >= chroma_w || cy >= chroma_h) return;
    const int tall = 1 << v_shift, wide = 1 << h_shift;
    const float limit = (float)maximum, share = 1.0f / (float)(tall * wide);
    float sum_second = 0.0f, sum_third = 0.0f;
    for (int j = 0; j < tall; j++) {
        for (int i = 0; i < wide; i++) {
            const int y = min(cy * tall + j, h - 1), x = min(cx * wide + i, w - 1);
            const S *at = rgb_data + (long long)y * rgb_stride + x * rgb_step;
            const float r = (float)at[0], g = (float)at[next], b = (float)at[2 * next];
            const float code[3] = THROUGH(r, g, b);
            luma[y * w + x] = rounded<T>(clamp(code[0], 0.0f, limit));
            sum_second += code[1];
            sum_third += code[2];
            if (with_alpha) alpha[y * w + x] = (T)maximum;
        }
    }
    const int at = cy * chroma_stride + cx * chroma_step;
    second[at] = rounded<T>(clamp(sum_second * share, 0.0f, limit));
    third[at] = rounded<T>(clamp(sum_third * share, 0.0f, limit));
}
