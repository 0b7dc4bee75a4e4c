/* The inner loops of stage 1, for whatever the processor offers.
 *
 * loops.h is compiled once for any processor of the architecture and, on x86-64, once more for those with AVX2 and
 * FMA (all since about 2015); which of the two runs is decided when the library is loaded. Nothing here knows of
 * Python: labsched/ephys/kernels/__init__.py calls it through ctypes, which lets other threads run meanwhile.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)
#define NAME(what) JOIN(what, VARIANT)

#define VARIANT plain
#include "loops.h"
#undef VARIANT

#if defined(__x86_64__) && defined(__GNUC__)
#define WIDE 1
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define VARIANT wide
#include "loops.h"
#undef VARIANT
#pragma GCC pop_options
#endif

static int has_wide(void)
{
#ifdef WIDE
    static int known = -1;
    if (known < 0) {
        __builtin_cpu_init();
        known = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    }
    return known;
#else
    return 0;
#endif
}

#ifdef WIDE
#define CALL(what, ...) (has_wide() ? what##_wide(__VA_ARGS__) : what##_plain(__VA_ARGS__))
#else
#define CALL(what, ...) what##_plain(__VA_ARGS__)
#endif

int ls_load(const void *raw, int kind, ptrdiff_t across, ptrdiff_t along, long n, long channels, long width,
            const double *ratio, const double *base, float *out)
{
    return CALL(load, raw, kind, across, along, n, channels, width, ratio, base, out);
}

void ls_fir(const float *x, long n, long width, long taps, const float *weights, float *out)
{
    CALL(fir, x, n, width, taps, weights, out);
}

int ls_zero_phase(float *x, long n, long width, long sections, const float *sos, const float *zi)
{
    return CALL(zero_phase, x, n, width, sections, sos, zi);
}

void ls_product(const float *x, long n, long width, long channels, const float *panels, const float *bias, long out,
                int16_t *y, int64_t *clipped)
{
    CALL(product, x, n, width, channels, panels, bias, out, y, clipped);
}
