// Enough of CUDA for a plain C++ compiler to run livematte's kernels on the CPU, one thread after another.
// Threads of a block that meet at __syncthreads() are fibres, which take turns from barrier to barrier.

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <ucontext.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __constant__ static const
#define __shared__ static

struct Index {
    unsigned x, y, z;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

using std::max;
using std::min;

template <typename A, typename B>
static A atomicOr(A *at, B value) { A old = *at; *at |= (A)value; return old; }
template <typename A, typename B>
static A atomicAdd(A *at, B value) { A old = *at; *at += (A)value; return old; }

namespace shim {

struct Fibre {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 16);
    Index thread;
    bool over;
};

static ucontext_t scheduler;
static Fibre *current;
static void (*work)(void *);
static void *payload;

static void enter() {
    work(payload);
    current->over = true;
    swapcontext(&current->context, &scheduler);
}

// One block whose threads wait for one another; false where only some of them came to a barrier.
static bool run_together(std::vector<Fibre> &fibres) {
    for (unsigned i = 0; i < fibres.size(); i++) {
        Fibre &f = fibres[i];
        f.over = false;
        f.thread = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.data();
        f.context.uc_stack.ss_size = f.stack.size();
        f.context.uc_link = &scheduler;
        makecontext(&f.context, enter, 0);
    }
    for (;;) {
        unsigned over = 0;
        for (Fibre &f : fibres) {
            current = &f;
            threadIdx = f.thread;
            swapcontext(&scheduler, &f.context);
            over += f.over;
        }
        if (over) return over == fibres.size();
    }
}

template <typename... P>
struct Call {
    void (*kernel)(P...);
    void **values;
    template <size_t... I>
    void with(std::index_sequence<I...>) { kernel(*(P *)values[I]...); }
    static void run(void *self) { ((Call *)self)->with(std::index_sequence_for<P...>()); }
};

// 0, or 1 where threads of a block did not all come to a barrier.
template <typename... P>
static int launch(void (*kernel)(P...), const unsigned *grid, const unsigned *block, void **values,
                  bool barriers) {
    Call<P...> call = {kernel, values};
    work = Call<P...>::run;
    payload = &call;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    std::vector<Fibre> fibres(barriers ? block[0] * block[1] * block[2] : 0);
    for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++) {
                if (barriers) {
                    if (!run_together(fibres)) return 1;
                    continue;
                }
                for (threadIdx.z = 0; threadIdx.z < block[2]; threadIdx.z++)
                    for (threadIdx.y = 0; threadIdx.y < block[1]; threadIdx.y++)
                        for (threadIdx.x = 0; threadIdx.x < block[0]; threadIdx.x++) work(payload);
            }
    return 0;
}

template <typename P> struct Name;
template <> struct Name<int> { static std::string of() { return "int32"; } };
template <> struct Name<unsigned> { static std::string of() { return "uint32"; } };
template <> struct Name<float> { static std::string of() { return "float32"; } };
template <> struct Name<unsigned char> { static std::string of() { return "uint8"; } };
template <> struct Name<unsigned short> { static std::string of() { return "uint16"; } };
template <typename P> struct Name<const P> { static std::string of() { return "const " + Name<P>::of(); } };
template <typename P> struct Name<P *> { static std::string of() { return Name<P>::of() + "*"; } };

template <typename... P>
static const char *signature(void (*)(P...)) {
    static std::string text;
    text.clear();
    for (const std::string &name : {Name<P>::of()...}) text += name + ",";
    return text.c_str();
}

}  // namespace shim

#define __syncthreads() swapcontext(&shim::current->context, &shim::scheduler)
