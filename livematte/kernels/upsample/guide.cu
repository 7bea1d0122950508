// How full-size alpha follows from coefficients: for upsample.cu and composite.cu.

// Slope and offset (h, w), a piece of maps, and their position over the picture, as for upsample_alpha.
struct Guide {
    const float *slope, *offset;
    int h, w, origin_y, origin_x, map_h, map_w, whole_h, whole_w, top, left;

    __device__ Tap down(int y) const { return within(linear_tap(top + y, map_h, whole_h), origin_y, h); }
    __device__ Tap across(int x) const { return within(linear_tap(left + x, map_w, whole_w), origin_x, w); }

    // CLEAR or SOLID where all coefficients of these pixels are so, else SOFT.
    __device__ int kind(const Patch &at) const {
        const int last_row = down(at.y + at.rows - 1).high, last_column = across(at.x + at.count - 1).high;
        const int first_row = down(at.y).low, first_column = across(at.x).low;
        const float level = offset[first_row * w + first_column];
        if (level != 0.0f && level != 1.0f) return SOFT;
        for (int j = first_row; j <= last_row; j++)
            for (int i = first_column; i <= last_column; i++)
                if (slope[j * w + i] != 0.0f || offset[j * w + i] != level) return SOFT;
        return level == 0.0f ? CLEAR : SOLID;
    }
};

// Alpha of a row of pixels from x on, one after another.
struct GuidedRow {
    Line slope, offset;
    Steps steps;
    int origin, w;
    float limit;

    __device__ GuidedRow(const Guide &guide, int y, int x, int maximum)
        : slope(guide.slope, guide.w, guide.down(y)), offset(guide.offset, guide.w, guide.down(y)),
          steps(guide.left + x, guide.map_w, guide.whole_w), origin(guide.origin_x), w(guide.w),
          limit((float)maximum) {}

    __device__ T next(T luma) {
        const Tap across = within(steps.next(), origin, w);
        const float value = slope.at(across) * (float)luma + limit * offset.at(across);
        return (T)(clamp(value, 0.0f, limit) + 0.5f);
    }
};
