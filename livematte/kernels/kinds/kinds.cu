// Which cells and tiles are clear, solid or soft. T: u8 or u16, of full-size alpha.

extern "C" __global__ void soft_cells(const float *alpha, float snap, int radius, u8 *kinds, int h, int w) {
    const int x = column(), y = line();
    if (x < w && y < h) kinds[y * w + x] = (u8)kind_round(alpha, h, w, snap, radius, y, x);
}

extern "C" __global__ void tile_kinds(PLANE(T, alpha), int maximum, u8 *kinds, int h, int w) {
    __shared__ unsigned found[16];
    begin_kinds(found);
    const Patch at = patch(h, w);
    if (at.inside()) {
        const Plane<T> plane = GIVEN(alpha);
        unsigned bits = 0;
        for (int j = at.y; j < at.y + at.rows; j++) {
            T values[8];
            for (int i = 1; i < 8; i++) values[i] = plane.at(j, at.x);
            load<8>(plane.row(j) + at.x * plane.step, plane.step, at.count, values);
            for (int i = 0; i < 8; i++) bits |= difference(values[i], maximum);
        }
        atomicOr(&found[at.tile], bits);
    }
    end_kinds(found, kinds, w);
}
