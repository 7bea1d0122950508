// An ordinary picture among HDR video. Tables: light of sRGB codes (256,), and codes (steps,) over the root of
// light.

extern "C" __global__ void sdr_to_hdr(const u8 *rgb, const float *light_table, const float *code_table,
                                      int steps, int wide, int scene, MATRIX, float *out, int n) {
    const int i = column();
    if (i >= n) return;
    const float r = light_table[rgb[3 * i]], g = light_table[rgb[3 * i + 1]], b = light_table[rgb[3 * i + 2]];
    const float as_2020[3] = THROUGH(r, g, b), as_given[3] = {r, g, b};
    const float *light = wide ? as_2020 : as_given;
    const float luminance = 0.2627f * light[0] + 0.678f * light[1] + 0.0593f * light[2];
    // The display's own gamma is taken off where codes speak of the scene's light.
    const float gain = scene ? powf(fmaxf(luminance, 1e-6f), 1.0f / 1.2f - 1.0f) : 1.0f;
    for (int c = 0; c < 3; c++) {
        const float root = sqrtf(light[c] * gain);
        out[3 * i + c] = code_table[clamp((int)(root * (float)(steps - 1) * 0.5f + 0.5f), 0, steps - 1)];
    }
}
