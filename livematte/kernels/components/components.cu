// Connected components of a small matte, and the small ones removed.

enum { PART = 16 };

// Components are trees of labels: each pixel has the label of its root or of a pixel nearer to the root, or -1
// outside of all components. Labels only decrease: one that is read too early is still of the same component.
__device__ inline int root(const volatile int *labels, int i) {
    for (int next = labels[i]; next != i; next = labels[i]) i = next;
    return i;
}

// After Komura 2015, "GPU-based cluster-labeling algorithm without the use of conventional iteration".
__device__ inline void unite(int *labels, int a, int b) {
    for (;;) {
        a = root(labels, a);
        b = root(labels, b);
        if (a == b) return;
        const int high = max(a, b), low = min(a, b), before = atomicMin(&labels[high], low);
        if (before == high) return;  // it was a root, and now hangs on the other
        a = before;                  // another thread was faster: its label is of the same component
        b = low;
    }
}

extern "C" __global__ void init_labels(const float *alpha, float faint, int *labels, int *cores, int *largest,
                                       int n) {
    const int i = column();
    if (i >= n) return;
    labels[i] = alpha[i] > faint ? i : -1;
    cores[i] = 0;
    if (i == 0) *largest = 0;
}

// Pixels are merged with those of the eight neighbours that come before and are not united with one another already.
extern "C" __global__ void merge_labels(int *labels, int h, int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    const int i = y * w + x;
    if (labels[i] < 0) return;
    if (y > 0 && labels[i - w] >= 0) return unite(labels, i, i - w);
    if (x > 0 && labels[i - 1] >= 0) {
        unite(labels, i, i - 1);
    } else if (x > 0 && y > 0 && labels[i - w - 1] >= 0) {
        unite(labels, i, i - w - 1);
    }
    if (x + 1 < w && y > 0 && labels[i - w + 1] >= 0) unite(labels, i, i - w + 1);
}

// Labels become roots; each root gets the number of pixels of its component above `core`, and `largest` the
// largest of these. A thread takes a part of a row: fewer threads wait for one number.
extern "C" __global__ void count_cores(const float *alpha, float core, int *labels, int *cores, int *largest,
                                       int w, int h, int parts) {
    const int part = column(), y = line();
    if (part >= parts || y >= h) return;
    int of = -1, count = 0;
    for (int i = y * w + part * PART; i < y * w + min(w, (part + 1) * PART); i++) {
        if (labels[i] < 0) continue;
        const int label = labels[i] = root(labels, i);
        if (!(alpha[i] > core)) continue;
        if (label != of) {
            if (count) atomicMax(largest, atomicAdd(&cores[of], count) + count);
            of = label;
            count = 0;
        }
        count++;
    }
    if (count) atomicMax(largest, atomicAdd(&cores[of], count) + count);
}

// Alpha within `reach` of a component with at least `least` pixels of core and a `share`th of the largest; else 0.
extern "C" __global__ void remove_small_components(const float *alpha, const int *labels, const int *cores,
                                                   const int *largest, int least, int share, int reach,
                                                   float *out, int h, int w) {
    const int x = column(), y = line();
    if (x >= w || y >= h) return;
    const int at = y * w + x;
    const long long most = *largest;
    for (int j = max(y - reach, 0); j <= min(y + reach, h - 1); j++) {
        for (int i = max(x - reach, 0); i <= min(x + reach, w - 1); i++) {
            const int label = labels[j * w + i], core = label < 0 ? 0 : cores[label];
            if (label >= 0 && core >= least && (long long)core * share >= most) {
                out[at] = alpha[at];
                return;
            }
        }
    }
    out[at] = 0.0f;
}
