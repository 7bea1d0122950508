// Enough of CUDA for a plain C++ compiler to run livematte's kernels on the CPU, one thread after another.
// Threads of a block that meet at __syncthreads() are fibres, which take turns from barrier to barrier.

#include <math.h>
#include <setjmp.h>
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
template <typename A, typename B>
static A atomicMin(A *at, B value) { A old = *at; *at = min(old, (A)value); return old; }
template <typename A, typename B>
static A atomicMax(A *at, B value) { A old = *at; *at = max(old, (A)value); return old; }

namespace shim {

enum { STACK = 1 << 16 };

// Every switch of swapcontext() asks the system for the mask of signals; _setjmp() and _longjmp() do not. So each
// fibre is entered with it once, and stays where it is for all launches that follow.
struct Fibre {
    ucontext_t context;
    jmp_buf here;
    char *stack = (char *)malloc(STACK);
    Index thread;
    bool begun = false, over = true;
};

static ucontext_t starter;
static jmp_buf scheduler;
static Fibre *current;
static bool met;  // some thread came to a barrier
static void (*work)(void *);
static void *payload;

static void leave(Fibre *fibre) {
    if (!_setjmp(fibre->here)) _longjmp(scheduler, 1);
}

static void wait_for_others() {
    met = true;
    if (!current) abort();  // after a first block without barriers
    leave(current);
}

static void enter() {
    Fibre *own = current;
    for (;;) {
        work(payload);
        own->over = true;
        leave(own);
    }
}

// Go on with a fibre until it waits or is over.
static void go_on(Fibre *fibre) {
    current = fibre;
    threadIdx = fibre->thread;
    if (_setjmp(scheduler)) return;
    if (fibre->begun) _longjmp(fibre->here, 1);
    fibre->begun = true;
    getcontext(&fibre->context);
    fibre->context.uc_stack.ss_sp = fibre->stack;
    fibre->context.uc_stack.ss_size = STACK;
    fibre->context.uc_link = nullptr;
    makecontext(&fibre->context, enter, 0);
    swapcontext(&starter, &fibre->context);
}

// One block whose threads may wait for one another; false where only some of them came to a barrier.
static bool run_together(unsigned threads) {
    static std::vector<Fibre *> fibres;
    while (fibres.size() < threads) fibres.push_back(new Fibre());
    for (unsigned i = 0; i < threads; i++) {
        if (!fibres[i]->over) fibres[i] = new Fibre();  // waits for ever at a barrier that others did not come to
        fibres[i]->over = false;
        fibres[i]->thread = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
    }
    for (;;) {
        unsigned over = 0;
        for (unsigned i = 0; i < threads; i++) {
            go_on(fibres[i]);
            over += fibres[i]->over;
        }
        if (over) return over == threads;
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

// 0, or 1 where threads of a block did not all come to a barrier. Where those of the first block come to none,
// the rest run without fibres, which is faster.
template <typename... P>
static int launch(void (*kernel)(P...), const unsigned *grid, const unsigned *block, void **values) {
    Call<P...> call = {kernel, values};
    work = Call<P...>::run;
    payload = &call;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    met = false;
    bool first = true;
    for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++) {
                if (met || first) {
                    first = false;
                    if (!run_together(block[0] * block[1] * block[2])) return 1;
                    continue;
                }
                current = nullptr;
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

#define __syncthreads() shim::wait_for_others()
