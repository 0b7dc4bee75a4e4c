/* The loops themselves, for groups of 8 spikes: see mixture.c for the rules of the sums, which are KlustaKwik2's.
 * Included several times, with other instructions each time; there is no include guard on purpose.
 */
#ifndef MIXTURE_ONCE
#define MIXTURE_ONCE
typedef double vd __attribute__((vector_size(32), aligned(8), may_alias));
#define INLINE static inline __attribute__((always_inline))
enum { LANES = 8, ROWS = 4 };
#define EVERY(v) ((vd){(v), (v), (v), (v)})
#endif

/* x and terms (features, 8): the features of 8 spikes, dense, and their correction terms. Past `n` the first repeats. */
static void NAME(gather)(const mixture_data *d, const int64_t *spikes, long first, long n, double *x, double *terms)
{
    const long features = d->features;
    for (long lane = 0; lane < LANES; lane++) {
        const long at = lane < n ? first + lane : first, p = spikes ? spikes[at] : at;
        for (long i = 0; i < features; i++) {
            x[i * LANES + lane] = d->noise_mean[i];
            terms[i * LANES + lane] = d->noise_variance[i];
        }
        const int64_t *which = d->unmasked + d->ustart[p];
        const long count = d->uend[p] - d->ustart[p], from = d->vstart[p];
        for (long k = 0; k < count; k++) {
            x[which[k] * LANES + lane] = d->values[from + k];
            terms[which[k] * LANES + lane] = d->terms[from + k];
        }
    }
}

/* -log p of 8 spikes in one cluster; 0 where it gave up because each of them exceeds its `limit` for certain. */
INLINE int NAME(eight)(const mixture_cluster *c, long features, const double *x, const double *terms,
                       const double *limit, double *root, double *out)
{
    const long rows = c->count;
    const int64_t *which = c->unmasked;
    const double *mean = c->mean;
    vd far0 = {0}, far1 = {0};
    vd most0 = {0}, most1 = {0};
    long i = 0, m = 0;
    if (limit) {
        most0 = *(const vd *)limit;
        most1 = *(const vd *)(limit + 4);
    }
    for (long row = 0; row < rows; row += ROWS) {
        const long some = rows - row < ROWS ? rows - row : ROWS;
        vd s[ROWS][2];
        const double *line[ROWS];
        for (long r = 0; r < ROWS; r++) {
            const long k = r < some ? row + r : row, f = which[k];
            line[r] = c->root + k * (k + 1) / 2;
            s[r][0] = *(const vd *)(x + f * LANES) - EVERY(mean[f]);
            s[r][1] = *(const vd *)(x + f * LANES + 4) - EVERY(mean[f]);
        }
        for (long k = 0; k < row; k++) {
            const vd r0 = *(const vd *)(root + k * LANES), r1 = *(const vd *)(root + k * LANES + 4);
#pragma GCC unroll 4
            for (int r = 0; r < ROWS; r++) {
                const vd of = EVERY(line[r][k]);
                s[r][0] -= of * r0;
                s[r][1] -= of * r1;
            }
        }
        for (long r = 0; r < some; r++) {
            for (long k = 0; k < r; k++) {
                const vd of = EVERY(line[r][row + k]);
                s[r][0] -= of * *(const vd *)(root + (row + k) * LANES);
                s[r][1] -= of * *(const vd *)(root + (row + k) * LANES + 4);
            }
            const vd by = EVERY(line[r][row + r]);
            const vd q0 = s[r][0] / by, q1 = s[r][1] / by;
            *(vd *)(root + (row + r) * LANES) = q0;
            *(vd *)(root + (row + r) * LANES + 4) = q1;
            for (; i < which[row + r]; i++, m++) {
                const vd a = EVERY(mean[i]), w = EVERY(c->diagonal[m]);
                const vd p0 = (*(const vd *)(x + i * LANES) - a) / w, p1 = (*(const vd *)(x + i * LANES + 4) - a) / w;
                far0 += p0 * p0;
                far1 += p1 * p1;
            }
            far0 += q0 * q0;
            far1 += q1 * q1;
            i++;
        }
        if (limit) {
            int all = 1;
            for (int lane = 0; lane < 4; lane++)
                all &= (far0[lane] > most0[lane]) & (far1[lane] > most1[lane]);
            if (all)
                return 0;
        }
    }
    for (; i < features; i++, m++) {
        const vd a = EVERY(mean[i]), w = EVERY(c->diagonal[m]);
        const vd p0 = (*(const vd *)(x + i * LANES) - a) / w, p1 = (*(const vd *)(x + i * LANES + 4) - a) / w;
        far0 += p0 * p0;
        far1 += p1 * p1;
    }
    for (i = 0; i < features; i++) {
        const vd w = EVERY(c->inverse[i]);
        far0 += w * *(const vd *)(terms + i * LANES);
        far1 += w * *(const vd *)(terms + i * LANES + 4);
    }
    const vd half = EVERY(2.0), add = EVERY(c->addition);
    *(vd *)out = far0 / half + add;
    *(vd *)(out + 4) = far1 / half + add;
    return 1;
}

static void NAME(likelihood)(const mixture_data *d, const mixture_cluster *c, const int64_t *spikes, long first,
                             long last, double *room, double *out)
{
    double *x = room, *terms = x + d->features * LANES, *root = terms + d->features * LANES, found[LANES];
    for (long at = first; at < last; at += LANES) {
        const long n = last - at < LANES ? last - at : LANES;
        NAME(gather)(d, spikes, at, n, x, terms);
        NAME(eight)(c, d->features, x, terms, 0, root, found);
        for (long lane = 0; lane < n; lane++)
            out[spikes ? spikes[at + lane] : at + lane] = found[lane];
    }
}

static void NAME(assign)(const mixture_data *d, const mixture_cluster *clusters, long count, long first, long last,
                         int second, int early, const double *bound, double *room, double *best, double *next,
                         int64_t *which, int64_t *other)
{
    enum { BLOCK = 8 }; /* groups of 8 at once: their features stay in the cache while the clusters pass by */
    const long each = d->features * LANES;
    double *root = room + 2 * BLOCK * each, found[LANES], limit[LANES];
    for (long start = first; start < last; start += BLOCK * LANES) {
        const long end = last - start < BLOCK * LANES ? last : start + BLOCK * LANES;
        const long groups = (end - start + LANES - 1) / LANES;
        for (long g = 0; g < groups; g++)
            NAME(gather)(d, 0, start + g * LANES, end - start - g * LANES, room + 2 * g * each,
                         room + (2 * g + 1) * each);
        for (long k = 0; k < count; k++) {
            const mixture_cluster *c = clusters + k;
            for (long g = 0; g < groups; g++) {
                const long at = start + g * LANES, n = end - at < LANES ? end - at : LANES;
                if (early)
                    for (long lane = 0; lane < LANES; lane++) {
                        const long p = lane < n ? at + lane : at;
                        double top = second ? next[p] : best[p];
                        if (bound && bound[p] < top)
                            top = bound[p];
                        const double size = (top < 0 ? -top : top) + (c->addition < 0 ? -c->addition : c->addition);
                        limit[lane] = 2.0 * (top - c->addition + SAFE * size) * (1.0 + SAFE);
                        if (!(limit[lane] > 0))
                            limit[lane] = SAFE * size;
                    }
                if (!NAME(eight)(c, d->features, room + 2 * g * each, room + (2 * g + 1) * each, early ? limit : 0,
                                 root, found))
                    continue;
                for (long lane = 0; lane < n; lane++)
                    settle(at + lane, found[lane], c->number, best, next, which, other);
            }
        }
    }
}

/* block (count, count) += the outer products of the spikes' distances from the mean, spike after spike; terms too. */
static void NAME(covariance)(const mixture_data *d, const int64_t *spikes, long n, const double *mean,
                             const int64_t *unmasked, long count, double *room, double *block)
{
    enum { MANY = 32 };
    const long width = (count + 3) / 4 * 4;
    double *dense = room, *terms = dense + d->features, *far = terms + d->features, *add = far + MANY * width;
    double *sum = add + MANY * width;
    for (long k = 0; k < width * width; k++)
        sum[k] = 0;
    for (long first = 0; first < n; first += MANY) {
        const long some = n - first < MANY ? n - first : MANY;
        for (long s = 0; s < some; s++) {
            const long p = spikes[first + s];
            for (long i = 0; i < d->features; i++) {
                dense[i] = d->noise_mean[i] - mean[i];
                terms[i] = d->noise_variance[i];
            }
            const int64_t *which = d->unmasked + d->ustart[p];
            for (long k = 0; k < d->uend[p] - d->ustart[p]; k++) {
                dense[which[k]] = d->values[d->vstart[p] + k] - mean[which[k]];
                terms[which[k]] = d->terms[d->vstart[p] + k];
            }
            for (long k = 0; k < width; k++) {
                far[s * width + k] = k < count ? dense[unmasked[k]] : 0;
                add[s * width + k] = k < count ? terms[unmasked[k]] : 0;
            }
        }
        for (long i = 0; i < width; i += 4) {
            for (long j = 0; j < i; j += 4) {
                vd a0 = *(vd *)(sum + i * width + j), a1 = *(vd *)(sum + (i + 1) * width + j);
                vd a2 = *(vd *)(sum + (i + 2) * width + j), a3 = *(vd *)(sum + (i + 3) * width + j);
                for (long s = 0; s < some; s++) {
                    const double *f = far + s * width;
                    const vd v = *(const vd *)(f + j);
                    a0 += EVERY(f[i]) * v;
                    a1 += EVERY(f[i + 1]) * v;
                    a2 += EVERY(f[i + 2]) * v;
                    a3 += EVERY(f[i + 3]) * v;
                }
                *(vd *)(sum + i * width + j) = a0;
                *(vd *)(sum + (i + 1) * width + j) = a1;
                *(vd *)(sum + (i + 2) * width + j) = a2;
                *(vd *)(sum + (i + 3) * width + j) = a3;
            }
            /* on the diagonal the spike's correction term follows its square at once */
            vd a[4];
            for (int r = 0; r < 4; r++)
                a[r] = *(vd *)(sum + (i + r) * width + i);
            for (long s = 0; s < some; s++) {
                const double *f = far + s * width, *t = add + s * width;
                const vd v = *(const vd *)(f + i);
#pragma GCC unroll 4
                for (int r = 0; r < 4; r++) {
                    a[r] += EVERY(f[i + r]) * v;
                    a[r][r] += t[i + r];
                }
            }
            for (int r = 0; r < 4; r++)
                *(vd *)(sum + (i + r) * width + i) = a[r];
        }
    }
    for (long i = 0; i < count; i++)
        for (long j = 0; j <= i; j++)
            block[i * count + j] = block[j * count + i] = sum[i * width + j];
}
