/* The inner loops of clustering: a mixture of Gaussians in which each spike has masked features, as KlustaKwik2 has it.
 *
 * Every sum is formed in the order in which KlustaKwik2 0.2.6 forms it, and no product is fused with a sum (setup.py
 * turns that off), so that each result is the same to the last bit. What is faster: 8 spikes at a time, each in a lane
 * of its own; a covariance is computed once for each pair of features, many spikes at a time; and a sum ends early
 * once it is certain that the spike goes to other clusters.
 *
 * mixture.h is compiled once for any processor of the architecture and, on x86-64, once more for those with AVX2.
 * Nothing here knows of Python: labsched/ephys/kernels/mixture.py calls it through ctypes.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The spikes: those of spike p lie at values[vstart[p]...], of the features unmasked[ustart[p]...uend[p]], rising. */
typedef struct {
    int64_t spikes, features;
    const int64_t *unmasked, *ustart, *uend, *vstart;
    const double *values, *masks, *terms, *noise_mean, *noise_variance;
} mixture_data;

/* A cluster: `root` holds the rows of its Cholesky factor, one after the other, each up to its diagonal. */
typedef struct {
    int64_t number, count;
    const int64_t *unmasked;
    const double *mean, *root, *diagonal, *inverse;
    double addition;
} mixture_cluster;

/* How much a sum must exceed its limit, relatively, to be certain in spite of rounding: far more than it can err. */
#define SAFE 1e-9

static inline void settle(long p, double value, int64_t cluster, double *best, double *next, int64_t *which,
                          int64_t *other)
{
    if (value < best[p]) {
        next[p] = best[p];
        other[p] = which[p];
        best[p] = value;
        which[p] = cluster;
    } else if (value < next[p]) {
        next[p] = value;
        other[p] = cluster;
    }
}

#define JOIN2(a, b) a##_##b
#define JOIN(a, b) JOIN2(a, b)
#define NAME(what) JOIN(what, VARIANT)

#define VARIANT plain
#include "mixture.h"
#undef VARIANT

#if defined(__x86_64__) && defined(__GNUC__)
#define WIDE 1
#pragma GCC push_options
#pragma GCC target("avx2")
#define VARIANT wide
#include "mixture.h"
#undef VARIANT
#pragma GCC pop_options
#endif

static int has_wide(void)
{
#ifdef WIDE
    static int known = -1;
    if (known < 0) {
        __builtin_cpu_init();
        known = __builtin_cpu_supports("avx2") != 0;
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

/* out[p] = -log p of the spikes first..last-1 of the list (without a list: of all spikes) in cluster c. */
int mixture_likelihood(const mixture_data *d, const mixture_cluster *c, const int64_t *spikes, long first, long last,
                       double *out)
{
    double *room = malloc(sizeof(double) * (size_t)(3 * d->features * LANES + LANES));
    if (!room)
        return 1;
    CALL(likelihood, d, c, spikes, first, last, room, out);
    free(room);
    return 0;
}

/* The E step of spikes first..last-1: best and next best cluster of each among `count` clusters and what is there. */
int mixture_assign(const mixture_data *d, const mixture_cluster *clusters, long count, long first, long last,
                   int second, int early, const double *bound, double *best, double *next, int64_t *which,
                   int64_t *other)
{
    double *room = malloc(sizeof(double) * (size_t)(17 * d->features * LANES + LANES));
    if (!room)
        return 1;
    CALL(assign, d, clusters, count, first, last, second, early, bound, room, best, next, which, other);
    free(room);
    return 0;
}

/* One cluster's likelihoods, taken into account for the spikes of a list (without one: for all). */
void mixture_settle(const int64_t *spikes, long n, const double *likelihood, int64_t cluster, double *best,
                    double *next, int64_t *which, int64_t *other)
{
    for (long k = 0; k < n; k++) {
        const long p = spikes ? spikes[k] : k;
        settle(p, likelihood[p], cluster, best, next, which, other);
    }
}

int mixture_covariance(const mixture_data *d, const int64_t *spikes, long n, const double *mean,
                       const int64_t *unmasked, long count, double *block)
{
    const size_t width = (size_t)(count + 3) / 4 * 4;
    double *room = malloc(sizeof(double) * (2 * (size_t)d->features + 64 * width + width * width));
    if (!room)
        return 1;
    CALL(covariance, d, spikes, n, mean, unmasked, count, room, block);
    free(room);
    return 0;
}

/* Sums of the masks, and the mean, of a cluster's spikes; `counted` (features) is room to work in, zeros. */
void mixture_moments(const mixture_data *d, const int64_t *spikes, long n, double prior, double *masks, double *mean,
                     int64_t *counted)
{
    for (long k = 0; k < n; k++) {
        const long p = spikes[k], from = d->vstart[p];
        const int64_t *which = d->unmasked + d->ustart[p];
        for (long u = 0; u < d->uend[p] - d->ustart[p]; u++) {
            masks[which[u]] += d->masks[from + u];
            mean[which[u]] += d->values[from + u];
            counted[which[u]]++;
        }
    }
    if (n)
        for (long i = 0; i < d->features; i++) {
            mean[i] += d->noise_mean[i] * (double)(n - counted[i]);
            mean[i] += prior * d->noise_mean[i];
            mean[i] /= (double)n + prior;
        }
}

/* The diagonal of the inverse is summed from these: rows of the inverse factor (count, features), from LAPACK. */
typedef void trtrs(const char *uplo, const char *trans, const char *diag, const int *n, const int *nrhs, double *a,
                   const int *lda, double *b, const int *ldb, int *info);

int mixture_inverse(trtrs *solve, double *factor, long count, const int64_t *unmasked, long features, double *room,
                    double *rows)
{
    const int n = (int)count, one = 1;
    int info = 0;
    for (long i = 0; i < count && !info; i++) {
        for (long k = 0; k < count; k++)
            room[k] = k == i;
        /* the factor's rows lie one after the other: to LAPACK, which goes by columns, it is the transposed one */
        solve("U", "T", "N", &n, &one, factor, &n, room, &n, &info);
        for (long k = 0; k < count; k++)
            rows[i * features + unmasked[k]] = room[k] * room[k];
    }
    return info;
}

static inline double parameters(double unmasked)
{
    return unmasked * (unmasked + 1) / 2.0 + unmasked + 1.0;
}

static void penalty(double *sums, const int64_t *members, long count, double k, double k_log_n, double log_n)
{
    for (long c = 0; c < count; c++) {
        const double mean = sums[c] / (double)(members[c] ? members[c] : 1);
        sums[c] = k * mean * 2 + k_log_n * mean * log_n / 2;
    }
}

/* out[c] = the penalty for cluster c; `members` (count) is room to work in, zeros. */
void mixture_penalties(const int64_t *clusters, const double *unmasked, long n, double k, double k_log_n, long count,
                       int64_t *members, double *out)
{
    for (long p = 0; p < n; p++) {
        out[clusters[p]] += parameters(unmasked[p]);
        members[clusters[p]]++;
    }
    penalty(out, members, count, k, k_log_n, log((double)n));
}

/* For each cluster from..to-1: the penalties (count) were it deleted, its spikes gone to their next best clusters, and
 * how many clusters there would be by the highest number in use. A next best below 0 is none: its sum is not counted. */
int mixture_deletions(const int64_t *clusters, const int64_t *other, const double *unmasked, long n, double k,
                      double k_log_n, long count, long from, long to, double *out, int64_t *highest)
{
    int64_t *members = malloc(sizeof(int64_t) * (size_t)count);
    if (!members)
        return 1;
    const double log_n = log((double)n);
    for (long c = from; c < to; c++) {
        double *sums = out + (c - from) * count;
        int64_t top = -1;
        for (long i = 0; i < count; i++)
            sums[i] = members[i] = 0;
        for (long p = 0; p < n; p++) {
            const int64_t to_which = clusters[p] == c ? other[p] : clusters[p];
            if (to_which < 0 || to_which >= count)
                continue;
            sums[to_which] += parameters(unmasked[p]);
            members[to_which]++;
            if (to_which > top)
                top = to_which;
        }
        penalty(sums, members, count, k, k_log_n, log_n);
        highest[c - from] = top + 1;
    }
    free(members);
    return 0;
}

/* deletion[c] = what the raw score would lose, spike by spike. */
void mixture_losses(const int64_t *clusters, const double *best, const double *next, long n, double *out)
{
    for (long p = 0; p < n; p++)
        out[clusters[p]] += next[p] - best[p];
}

/* features_masks (n, features, 2) as klusta keeps it, to sparse arrays and the sums over what is masked; how many
 * values there are. `values` and so on have room for all that are unmasked. */
long mixture_sparse(const float *both, long n, long features, const double *low, const double *span, double *values,
                    double *masks, int64_t *unmasked, int64_t *offsets, double *sum, double *square, double *count)
{
    long at = 0;
    for (long p = 0; p < n; p++) {
        offsets[p] = at;
        for (long i = 0; i < features; i++) {
            const float *of = both + (p * features + i) * 2;
            const double value = ((double)of[0] - low[i]) / span[i];
            if (of[1] > 0) {
                values[at] = value;
                masks[at] = of[1];
                unmasked[at++] = i;
            } else if (of[1] == 0) {
                sum[i] += value;
                square[i] += value * value;
                count[i]++;
            }
        }
    }
    offsets[n] = at;
    return at;
}
