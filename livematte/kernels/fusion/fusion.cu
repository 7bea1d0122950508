// Equations as in reference.py. C (n, 3), F and B (n, 3), alpha (n,).
extern "C" __global__ void fuse_layers(const u8 *C, const float *F, const float *B, const float *alpha,
                                       float ratio_F, float ratio_B, float ratio_alpha, int iterations,
                                       float *out_F, float *out_B, float *out_alpha, int n) {
    const int p = column();
    if (p >= n) return;
    float a = alpha[p], c[3], f[3], b[3];
    for (int k = 0; k < 3; k++) {
        c[k] = (float)C[3 * p + k] * (1.0f / 255.0f);
        f[k] = F[3 * p + k];
        b[k] = B[3 * p + k];
    }
    for (int step = 0; step < iterations; step++) {
        float along = 0.0f, length = 0.0f;
        for (int k = 0; k < 3; k++) {
            const float error = c[k] - a * f[k] - (1.0f - a) * b[k];
            f[k] = clamp(F[3 * p + k] + ratio_F * a * error, 0.0f, 1.0f);           // eq. 4
            b[k] = clamp(B[3 * p + k] + ratio_B * (1.0f - a) * error, 0.0f, 1.0f);  // eq. 5
            const float d = f[k] - b[k];
            along += (c[k] - b[k]) * d;
            length += d * d;
        }
        a = clamp((a + ratio_alpha * along) / (1.0f + ratio_alpha * length), 0.0f, 1.0f);  // eq. 6
    }
    for (int k = 0; k < 3; k++) {
        out_F[3 * p + k] = f[k];
        out_B[3 * p + k] = b[k];
    }
    out_alpha[p] = a;
}
