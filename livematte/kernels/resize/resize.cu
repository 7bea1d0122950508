// One plane at another size, whole or in part. T: u8, u16 or f32.

extern "C" __global__ void resize(PLANE(T, plane), int h, int w, T *out, int to_h, int to_w) {
    const int x = column(), y = line();
    if (x >= to_w || y >= to_h) return;
    const Plane<T> plane = GIVEN(plane);
    out[y * to_w + x] = rounded<T>(resized(plane, h, w, y, x, to_h, to_w));
}

extern "C" __global__ void area_crop(PLANE(T, plane), int h, int w, int to_h, int to_w, int top, int left,
                                     float *out, int out_h, int out_w) {
    const int x = column(), y = line();
    if (x >= out_w || y >= out_h) return;
    const Plane<T> plane = GIVEN(plane);
    out[y * out_w + x] = area(plane, h, w, top + y, left + x, to_h, to_w);
}

// The plane is a piece, beginning at (origin_y, origin_x), of a map of (h, w) that is enlarged to (to_h, to_w).
extern "C" __global__ void linear_crop(PLANE(T, plane), int piece_h, int piece_w, int origin_y, int origin_x,
                                       int h, int w, int to_h, int to_w, int top, int left, float *out,
                                       int out_h, int out_w) {
    const int x = column(), y = line();
    if (x >= out_w || y >= out_h) return;
    const Plane<T> plane = GIVEN(plane);
    const Tap down = within(linear_tap(top + y, h, to_h), origin_y, piece_h);
    const Tap across = within(linear_tap(left + x, w, to_w), origin_x, piece_w);
    out[y * out_w + x] = linear(plane, down, across);
}

extern "C" __global__ void block_mean(PLANE(T, plane), int h, int w, int v_shift, int h_shift, float *out,
                                      int out_h, int out_w) {
    const int x = column(), y = line();
    if (x >= out_w || y >= out_h) return;
    const Plane<T> plane = GIVEN(plane);
    float sum = 0.0f;
    for (int j = 0; j < 1 << v_shift; j++)
        for (int i = 0; i < 1 << h_shift; i++)
            sum += (float)plane.at(min((y << v_shift) + j, h - 1), min((x << h_shift) + i, w - 1));
    out[y * out_w + x] = sum / (float)(1 << (v_shift + h_shift));
}
