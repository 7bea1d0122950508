// From the frame's planes to small pictures and RGB. T: u8 or u16.

__device__ inline u8 code8(float value) { return (u8)(clamp(value, 0.0f, 255.0f) + 0.5f); }

// Codes at one size, their RGB, or both, in one pass over the frame.
extern "C" __global__ void small_pictures(PLANE(T, first), PLANE(T, second), PLANE(T, third), int H, int W,
                                          int chroma_h, int chroma_w, MATRIX, int want_codes, float *codes,
                                          int want_rgb, u8 *rgb, int h, int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    const Plane<T> first = GIVEN(first), second = GIVEN(second), third = GIVEN(third);
    const float a = resized(first, H, W, y, x, h, w);
    const float b = resized(second, chroma_h, chroma_w, y, x, h, w);
    const float c = resized(third, chroma_h, chroma_w, y, x, h, w);
    const int at = y * w + x, n = h * w;
    if (want_codes) {
        codes[at] = a;
        codes[n + at] = b;
        codes[2 * n + at] = c;
    }
    if (want_rgb) {
        const float colour[3] = THROUGH(a, b, c);
        for (int k = 0; k < 3; k++) rgb[3 * at + k] = code8(colour[k]);
    }
}

extern "C" __global__ void rgb_from_codes(const float *codes, MATRIX, u8 *rgb, int n) {
    const int i = column();
    if (i >= n) return;
    const float colour[3] = THROUGH(codes[i], codes[n + i], codes[2 * n + i]);
    for (int k = 0; k < 3; k++) rgb[3 * i + k] = code8(colour[k]);
}
