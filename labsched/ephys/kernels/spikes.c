/* The inner loops of spike detection, which give klusta's own bits: every sum in its order, in its precision, and no
 * product joined with a sum (setup.py says so to the compiler). spikes.py says what each does; nothing here knows of
 * Python.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 4, SIDE = 8, ORDER = 33 };
typedef double vd __attribute__((vector_size(32), aligned(8), may_alias));
typedef float vh __attribute__((vector_size(16), aligned(4), may_alias));
typedef int16_t v4s __attribute__((vector_size(8), aligned(2), may_alias));
#define ALL(v) ((vd){(v), (v), (v), (v)})
#define INLINE static inline __attribute__((always_inline))

/* One row of up to 8 channels as doubles; lanes past the last channel are 0. */
INLINE void row(const char *from, const int wide, long channels, vd *x)
{
    double wanted[SIDE] = {0};
    if (channels >= SIDE && !wide) {
        v4s low, high;
        memcpy(&low, from, sizeof low);
        memcpy(&high, from + sizeof low, sizeof high);
        x[0] = __builtin_convertvector(low, vd);
        x[1] = __builtin_convertvector(high, vd);
        return;
    }
    for (long c = 0; c < SIDE && c < channels; c++) {
        if (wide) {
            memcpy(wanted + c, from + c * sizeof(double), sizeof(double));
        } else {
            int16_t value;
            memcpy(&value, from + c * sizeof value, sizeof value);
            wanted[c] = value;
        }
    }
    memcpy(x, wanted, sizeof wanted);
}

/* One step of the transposed direct form II, for two vectors of channels. */
#define STEP(TAPS)                                                                                                     \
    for (int v = 0; v < 2; v++) {                                                                                      \
        vd in = x[v], y = z[0][v] + ALL(b[0]) * in;                                                                    \
        _Pragma("GCC unroll 32") for (int k = 0; k < (TAPS) - 2; k++)                                                  \
            z[k][v] = z[k + 1][v] + in * ALL(b[k + 1]) - y * ALL(a[k + 1]);                                            \
        z[(TAPS) - 2][v] = in * ALL(b[(TAPS) - 1]) - y * ALL(a[(TAPS) - 1]);                                           \
        x[v] = y;                                                                                                      \
    }

#define BOTH_WAYS(TAPS)                                                                                                \
    do {                                                                                                               \
        vd z[ORDER][2], x[2];                                                                                          \
        row(raw, wide, left, x);                                                                                       \
        for (int k = 0; k < (TAPS) - 1; k++)                                                                           \
            for (int v = 0; v < 2; v++)                                                                                \
                z[k][v] = ALL(zi[k]) * x[v];                                                                           \
        for (long t = 0; t < n; t++) {                                                                                 \
            row(raw + t * across, wide, left, x);                                                                      \
            STEP(TAPS)                                                                                                 \
            memcpy(kept + t * SIDE, x, sizeof x);                                                                      \
        }                                                                                                              \
        for (int k = 0; k < (TAPS) - 1; k++)                                                                           \
            for (int v = 0; v < 2; v++)                                                                                \
                z[k][v] = ALL(zi[k]) * x[v];                                                                           \
        for (long t = n - 1; t >= edge; t--) {                                                                         \
            memcpy(x, kept + t * SIDE, sizeof x);                                                                      \
            STEP(TAPS)                                                                                                 \
            if (t >= n - edge)                                                                                         \
                continue;                                                                                              \
            float *to = out + (t - edge) * channels + c;                                                               \
            vh half[2] = {__builtin_convertvector(x[0], vh), __builtin_convertvector(x[1], vh)};                       \
            memcpy(to, half, sizeof(float) * (size_t)(left < SIDE ? left : SIDE));                                     \
        }                                                                                                              \
    } while (0)

INLINE void filter(const char *raw0, int wide, long n, long channels, long edge, long taps, const double *b,
                   const double *a, const double *zi, double *kept, float *out)
{
    const ptrdiff_t size = wide ? sizeof(double) : sizeof(int16_t), across = channels * size;
    for (long c = 0; c < channels; c += SIDE) {
        const char *raw = raw0 + c * size;
        const long left = channels - c;
        if (taps == 7)
            BOTH_WAYS(7);
        else
            BOTH_WAYS(taps);
    }
}

static void filter_plain(const char *raw, int wide, long n, long channels, long edge, long taps, const double *b,
                         const double *a, const double *zi, double *kept, float *out)
{
    filter(raw, wide, n, channels, edge, taps, b, a, zi, kept, out);
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"))) static void filter_avx2(const char *raw, int wide, long n, long channels, long edge,
                                                        long taps, const double *b, const double *a, const double *zi,
                                                        double *kept, float *out)
{
    filter(raw, wide, n, channels, edge, taps, b, a, zi, kept, out);
}
#endif

int ls_filter(const void *raw, int wide, long n, long channels, long edge, long taps, const double *b, const double *a,
              const double *zi, double *kept, float *out)
{
    if (taps < 3 || taps > ORDER)
        return 1;
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) {
        filter_avx2(raw, wide, n, channels, edge, taps, b, a, zi, kept, out);
        return 0;
    }
#endif
    filter_plain(raw, wide, n, channels, edge, taps, b, a, zi, kept, out);
    return 0;
}

INLINE float turned(float x, int mode)
{
    return mode == 0 ? x : mode == 1 ? -x : fabsf(x);
}

/* Places (row * channels + channel, rising) above the channel's threshold; how many there are, stored up to `room`. */
long ls_crossings(const float *x, long n, long channels, int mode, const float *over, int32_t *found, long room)
{
    long count = 0;
    for (long t = 0; t < n; t++) {
        const float *at = x + t * channels;
        for (long c = 0; c < channels; c++)
            if (turned(at[c], mode) > over[c]) {
                if (count < room)
                    found[count] = (int32_t)(t * channels + c);
                count++;
            }
    }
    return count;
}

INLINE int32_t root(int32_t *parent, int32_t label)
{
    while (parent[label] != label)
        label = parent[label] = parent[parent[label]];
    return label;
}

/* Join crossings that touch: see spikes.py. `labels` is (n, channels) of zeros. next, tail and the others are scratch
 * of `points` + 1. */
long ls_components(const float *x, long channels, int mode, const float *strong, const int32_t *found, long points,
                   const int32_t *first, const int32_t *near, long join, int32_t *labels, int32_t *parent,
                   int32_t *head, int32_t *tail, int32_t *next, uint8_t *is_strong, int32_t *ordered, int32_t *ends)
{
    int32_t last = 0;
    for (int32_t p = 0; p < points; p++) {
        const long here = found[p], t = here / channels, c = here % channels;
        const int loud = turned(x[here], mode) > strong[c];
        next[p] = -1;
        for (long s = t - join < 0 ? 0 : t - join; s <= t; s++)
            for (int32_t k = first[c]; k < first[c + 1]; k++) {
                int32_t other = labels[s * channels + near[k]], mine;
                if (!other)
                    continue;
                other = root(parent, other);
                mine = labels[here] ? root(parent, labels[here]) : 0;
                if (!mine) {
                    labels[here] = other;
                    next[tail[other]] = p;
                    tail[other] = p;
                    continue; /* whether it is strong is asked only when it meets another, or itself */
                }
                if (mine != other) {
                    parent[other] = mine;
                    next[tail[mine]] = head[other];
                    tail[mine] = tail[other];
                    is_strong[mine] |= is_strong[other];
                }
                is_strong[mine] |= loud;
            }
        if (!labels[here]) {
            labels[here] = ++last;
            parent[last] = last;
            head[last] = tail[last] = p;
            is_strong[last] = loud;
        }
    }
    long kept = 0, at = 0;
    for (int32_t label = 1; label <= last; label++) {
        if (parent[label] != label || !is_strong[label])
            continue;
        for (int32_t p = head[label]; p >= 0; p = next[p])
            ordered[at++] = found[p];
        ends[kept++] = (int32_t)at;
    }
    return kept;
}

/* numpy's sum of contiguous doubles: halves down to 128, in each of them eight sums side by side. */
static double pairwise(const double *x, long n)
{
    if (n < 8) {
        double sum = -0.0;
        for (long i = 0; i < n; i++)
            sum += x[i];
        return sum;
    }
    if (n <= 128) {
        double r[8];
        long i = 8;
        memcpy(r, x, sizeof r);
        for (; i < n - n % 8; i += 8)
            for (int k = 0; k < 8; k++)
                r[k] += x[i + k];
        double sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
        for (; i < n; i++)
            sum += x[i];
        return sum;
    }
    long half = n / 2;
    half -= half % 8;
    return pairwise(x, half) + pairwise(x + half, n - half);
}

double ls_pairwise(const double *x, long n)
{
    return pairwise(x, n);
}

/* The rows that a component is looked at in: 3 before its first and 4 after its last, within the n rows. */
void ls_spans(const int32_t *ordered, const int32_t *ends, long count, long n, long channels, int32_t *spans)
{
    long at = 0;
    for (long k = 0; k < count; k++) {
        long low = INT32_MAX, high = 0;
        for (; at < ends[k]; at++) {
            long t = ordered[at] / channels;
            low = t < low ? t : low;
            high = t > high ? t : high;
        }
        spans[2 * k] = (int32_t)(low - 3 < 0 ? 0 : low - 3);
        spans[2 * k + 1] = (int32_t)(high + 4 > n ? n : high + 4);
    }
}

/* The time of each component, weighed by `power`, and its greatest `height` on each channel (`still` elsewhere).
 * `waves` is scratch of twice the longest span times the channels. */
void ls_times(const int32_t *ordered, const int32_t *ends, const int32_t *spans, long count, long channels,
              const double *height, const double *power, double still_power, const double *still, double *waves,
              double *times, float *masks)
{
    long at = 0;
    for (long k = 0; k < count; k++) {
        const long low = spans[2 * k], rows = spans[2 * k + 1] - low, size = rows * channels;
        double *wave = waves, *moment = waves + size;
        float *mask = masks + k * channels;
        for (long i = 0; i < size; i++)
            wave[i] = still_power;
        for (long t = 0; t < rows; t++)
            for (long c = 0; c < channels; c++)
                moment[t * channels + c] = still_power * (double)t;
        for (long c = 0; c < channels; c++)
            mask[c] = (float)still[c];
        for (; at < ends[k]; at++) {
            const long t = ordered[at] / channels - low, c = ordered[at] % channels;
            wave[t * channels + c] = power[at];
            moment[t * channels + c] = power[at] * (double)t;
            if (!((float)height[at] <= mask[c]))
                mask[c] = (float)height[at];
        }
        times[k] = pairwise(moment, size) / pairwise(wave, size) + (double)low;
    }
}

/* The waveforms of `count` spikes on `wanted` channels, `rows` samples each from `before` + 1 before the whole sample
 * of its time on, 0 outside of the data: one column (a right-hand side) after the other. */
void ls_cut(const float *x, long n, long channels, const double *times, long count, const int32_t *columns, long wanted,
            long before, long rows, double *out)
{
    for (long k = 0; k < count; k++) {
        const long from = (long)times[k] - before - 1;
        for (long r = 0; r < rows; r++) {
            const long t = from + r;
            const float *at = x + t * channels;
            double *to = out + k * wanted * rows + r;
            if (t < 0 || t >= n)
                for (long c = 0; c < wanted; c++)
                    to[c * rows] = 0.0;
            else
                for (long c = 0; c < wanted; c++)
                    to[c * rows] = at[columns[c]];
        }
    }
}

/* The four cubic B-splines that are not 0 at x, knots[at] <= x < knots[at + 1] (de Boor's recursion). */
static void basis(const double *knots, double x, long at, double *h)
{
    double old[4];
    h[0] = 1.0;
    for (int j = 1; j <= 3; j++) {
        memcpy(old, h, sizeof old);
        h[0] = 0.0;
        for (int i = 1; i <= j; i++) {
            const double right = knots[at + i], left = knots[at + i - j];
            if (right == left) {
                h[i] = 0.0;
                continue;
            }
            const double w = old[i - 1] / (right - left);
            h[i - 1] += w * (right - x);
            h[i] = w * (x - left);
        }
    }
}

static long interval(const double *knots, long rows, double x, long at)
{
    while (x < knots[at] && at != 3)
        at--;
    while (x >= knots[at + 1] && at != rows - 1)
        at++;
    return at;
}

/* The basis at the whole numbers 0 .. rows - 1: (rows, 4), and the first of its columns. */
void ls_basis(const double *knots, long rows, double *values, int32_t *column)
{
    long at = 3;
    for (long i = 0; i < rows; i++) {
        at = interval(knots, rows, (double)i, at);
        basis(knots, (double)i, at, values + 4 * i);
        column[i] = (int32_t)(at - 3);
    }
}

/* The splines with these coefficients at each spike's own times: out is (count, samples, wanted). */
void ls_align(const double *coefficients, const double *knots, const double *times, long count, long wanted,
              long before, long rows, long samples, float *out)
{
    for (long k = 0; k < count; k++) {
        const long whole = (long)times[k];
        const double *of = coefficients + k * wanted * rows, shift = times[k] - (double)whole;
        const double origin = (double)(whole - before - 1);
        long at = 3;
        for (long i = 0; i < samples; i++) {
            double h[4], x = ((double)(whole - before + i) + shift) - origin;
            float *to = out + (k * samples + i) * wanted;
            at = interval(knots, rows, x, at);
            basis(knots, x, at, h);
            for (long c = 0; c < wanted; c++) {
                const double *q = of + c * rows + at - 3;
                double sum = 0.0;
                sum = sum + q[0] * h[0];
                sum = sum + q[1] * h[1];
                sum = sum + q[2] * h[2];
                sum = sum + q[3] * h[3];
                to[c] = (float)sum;
            }
        }
    }
}

/* How many of n magnitudes (`step` apart) fall into each of 65536 bins of their upper half; with `upper` >= 0, how
 * many of those in that bin fall into each bin of their lower half. The bits of positive floats rise with them. */
void ls_bins(const float *x, long n, long step, long upper, int64_t *bins)
{
    for (long i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i * step, sizeof bits);
        bits &= 0x7fffffffu;
        if (upper < 0)
            bins[bits >> 16]++;
        else if ((long)(bits >> 16) == upper)
            bins[bits & 0xffffu]++;
    }
}
