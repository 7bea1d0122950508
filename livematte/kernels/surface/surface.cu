// Samples of P010 and its like lie in the high bits: shifted down they are codes, shifted up again P010.
extern "C" __global__ void shift_samples(PLANE(T, plane), int up, int down, T *out, int out_stride,
                                         int out_step, int h, int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    const Plane<T> plane = GIVEN(plane);
    out[(long long)y * out_stride + x * out_step] = (T)((plane.at(y, x) << up) >> down);
}
