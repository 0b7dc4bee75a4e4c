/* The loops themselves, written for vectors of 8 channels: see __init__.py for what each does. Included several times,
 * with other instructions each time; there is no include guard on purpose.
 *
 * x is always float, n rows (samples) of `width` channels, width a multiple of 8; what lies past the last channel is
 * computed along and not looked at.
 */
#ifndef LANES
#define LANES 8
typedef float vf __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(32)));
typedef int16_t vs __attribute__((vector_size(16), aligned(2), may_alias));
enum { INT16, INT32, FLOAT32, FLOAT64 };
#define EVERY(v) ((vf){(v), (v), (v), (v), (v), (v), (v), (v)})
#define INLINE static inline __attribute__((always_inline))
#endif

/* raw numbers -> units less the base, time-major; 1 where one of them is NaN or infinite. `across` and `along` are
 * the bytes from channel to channel and from sample to sample. The arithmetic is that of double (int16 without ratio
 * is exact in float, and the base a whole number then). */
#define LOADER(TYPE, LABEL)                                                                                            \
    INLINE int NAME(load_##LABEL)(const char *raw, ptrdiff_t across, ptrdiff_t along, long n, long channels,           \
                                  long width, const double *ratio, const double *base, float *out)                    \
    {                                                                                                                  \
        double odd = 0;                                                                                                \
        for (long first = 0; first < n; first += 32) {                                                                 \
            long last = first + 32 < n ? first + 32 : n;                                                               \
            for (long c = 0; c < channels; c++) {                                                                      \
                const char *from = raw + c * across;                                                                   \
                double b = base[c], r = ratio ? ratio[c] : 1.0;                                                        \
                for (long t = first; t < last; t++) {                                                                  \
                    TYPE value;                                                                                        \
                    memcpy(&value, from + t * along, sizeof value);                                                    \
                    double d = (double)value * r - b;                                                                  \
                    odd += d - d;                                                                                      \
                    out[t * width + c] = (float)d;                                                                     \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        return odd != 0;                                                                                               \
    }
LOADER(int32_t, int32)
LOADER(float, float32)
LOADER(double, float64)

/* int16 without a ratio, by far the most frequent: in float, which is exact here. */
INLINE void NAME(load_int16)(const char *raw, ptrdiff_t across, ptrdiff_t along, long n, long channels, long width,
                             const float *base, float *out)
{
    if (across == sizeof(int16_t)) {
        for (long t = 0; t < n; t++) {
            const char *from = raw + t * along;
            float *to = out + t * width;
            long c = 0;
            for (; c + LANES <= channels; c += LANES) {
                vs value;
                memcpy(&value, from + c * sizeof(int16_t), sizeof value);
                *(vf *)(to + c) = __builtin_convertvector(value, vf) - *(const vf *)(base + c);
            }
            for (; c < channels; c++) {
                int16_t value;
                memcpy(&value, from + c * sizeof(int16_t), sizeof value);
                to[c] = (float)value - base[c];
            }
        }
        return;
    }
    for (long first = 0; first < n; first += 32) {
        long last = first + 32 < n ? first + 32 : n;
        for (long c = 0; c < channels; c++) {
            const char *from = raw + c * across;
            for (long t = first; t < last; t++) {
                int16_t value;
                memcpy(&value, from + t * along, sizeof value);
                out[t * width + c] = (float)value - base[c];
            }
        }
    }
}
LOADER(int16_t, scaled16)

static int NAME(load)(const void *raw, int kind, ptrdiff_t across, ptrdiff_t along, long n, long channels, long width,
                      const double *ratio, const double *base, float *out)
{
    if (kind == INT16 && !ratio) {
        float low[channels + LANES];
        for (long c = 0; c < channels; c++)
            low[c] = (float)base[c];
        NAME(load_int16)(raw, across, along, n, channels, width, low, out);
        return 0;
    }
    switch (kind) {
    case INT16:
        return NAME(load_scaled16)(raw, across, along, n, channels, width, ratio, base, out);
    case INT32:
        return NAME(load_int32)(raw, across, along, n, channels, width, ratio, base, out);
    case FLOAT32:
        return NAME(load_float32)(raw, across, along, n, channels, width, ratio, base, out);
    default:
        return NAME(load_float64)(raw, across, along, n, channels, width, ratio, base, out);
    }
}

/* out[t] = sum over k of weights[k] * x[t + k], each channel with weights of its own: weights is taps x width. */
static void NAME(fir)(const float *x, long n, long width, long taps, const float *weights, float *out)
{
    enum { ROWS = 8 };
    for (long first = 0; first < n; first += ROWS) {
        long rows = n - first < ROWS ? n - first : ROWS;
        for (long c = 0; c < width; c += LANES) {
            const float *from = x + first * width + c;
            const float *h = weights + c;
            if (rows == ROWS) {
                vf sum[ROWS];
#pragma GCC unroll 8
                for (int i = 0; i < ROWS; i++)
                    sum[i] = (vf){0};
                for (long k = 0; k < taps; k++) {
                    vf weight = *(const vf *)(h + k * width);
#pragma GCC unroll 8
                    for (int i = 0; i < ROWS; i++)
                        sum[i] += weight * *(const vf *)(from + (k + i) * width);
                }
                for (int i = 0; i < ROWS; i++)
                    *(vf *)(out + (first + i) * width + c) = sum[i];
            } else {
                for (long i = 0; i < rows; i++) {
                    vf sum = {0};
                    for (long k = 0; k < taps; k++)
                        sum += *(const vf *)(h + k * width) * *(const vf *)(from + (k + i) * width);
                    *(vf *)(out + (first + i) * width + c) = sum;
                }
            }
        }
    }
}

/* One way through `sections` biquads (transposed direct form II), for `VECTORS` x 8 channels, in place; `step` is
 * width or -width. It begins as if the first row had been there for ever. */
INLINE void NAME(one_way)(float *x, long n, long step, const int sections, const int vectors, const float *sos,
                          const float *zi)
{
    vf s1[8][2], s2[8][2];
    for (int v = 0; v < vectors; v++) {
        vf start = *(const vf *)(x + v * LANES);
        for (int s = 0; s < sections; s++) {
            s1[s][v] = start * zi[2 * s];
            s2[s][v] = start * zi[2 * s + 1];
        }
    }
    vf b0[8], b1[8], b2[8], a1[8], a2[8];
    for (int s = 0; s < sections; s++) {
        const float *of = sos + 5 * s;
        b0[s] = EVERY(of[0]);
        b1[s] = EVERY(of[1]);
        b2[s] = EVERY(of[2]);
        a1[s] = EVERY(-of[3]);
        a2[s] = EVERY(-of[4]);
    }
    for (long t = 0; t < n; t++, x += step) {
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
            vf in = *(vf *)(x + v * LANES);
#pragma GCC unroll 8
            for (int s = 0; s < sections; s++) {
                vf y = b0[s] * in + s1[s][v];
                s1[s][v] = b1[s] * in + (a1[s] * y + s2[s][v]);
                s2[s][v] = b2[s] * in + a2[s] * y;
                in = y;
            }
            *(vf *)(x + v * LANES) = in;
        }
    }
}

#define BOTH(SECTIONS)                                                                                                 \
    case SECTIONS:                                                                                                     \
        for (; c + 2 * LANES <= width; c += 2 * LANES) {                                                               \
            NAME(one_way)(x + c, n, width, SECTIONS, 2, sos, zi);                                                      \
            NAME(one_way)(x + c + (n - 1) * width, n, -width, SECTIONS, 2, sos, zi);                                   \
        }                                                                                                              \
        for (; c < width; c += LANES) {                                                                                \
            NAME(one_way)(x + c, n, width, SECTIONS, 1, sos, zi);                                                      \
            NAME(one_way)(x + c + (n - 1) * width, n, -width, SECTIONS, 1, sos, zi);                                   \
        }                                                                                                              \
        return 0;

static int NAME(zero_phase)(float *x, long n, long width, long sections, const float *sos, const float *zi)
{
    long c = 0;
    if (n < 1)
        return 0;
    switch (sections) {
        BOTH(1)
        BOTH(2)
        BOTH(3)
        BOTH(4)
        BOTH(5)
        BOTH(6)
        BOTH(7)
        BOTH(8)
    }
    return 1;
}
#undef BOTH

/* What becomes of 8 results: rounded to the nearest (even) whole number, clipped, counted where that changed them. */
INLINE void NAME(settle)(vf y, int16_t *to, long wanted, vi *over)
{
    const vf most = EVERY(32767.0f), least = EVERY(-32768.0f), far = EVERY(40000.0f);
    const vf magic = EVERY(12582912.0f); /* 1.5 * 2^23: adding it rounds to a whole number */
    vi big = y > far, small = y < -far;
    y = (vf)(((vi)y & ~(big | small)) | ((vi)far & big) | ((vi)(-far) & small));
    y = (y + magic) - magic;
    big = y > most, small = y < least;
    *over -= big | small;
    y = (vf)(((vi)y & ~(big | small)) | ((vi)most & big) | ((vi)least & small));
    vs bits = __builtin_convertvector(__builtin_convertvector(y, vi), vs);
    if (wanted >= LANES)
        memcpy(to, &bits, sizeof bits);
    else
        memcpy(to, &bits, (size_t)wanted * sizeof(int16_t));
}

/* `rows` rows times one panel of `vectors` x 8 outputs. */
INLINE void NAME(tile)(const float *x, const int rows, long width, long channels, const float *panel,
                       const float *bias, const int vectors, long out, long wanted, int16_t *y, vi *over)
{
    vf sum[6][2];
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[i][v] = *(const vf *)(bias + v * LANES);
    for (long c = 0; c < channels; c++) {
        vf m[2];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            m[v] = *(const vf *)(panel + (c * vectors + v) * LANES);
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            vf value = EVERY(x[i * width + c]);
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                sum[i][v] += value * m[v];
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            NAME(settle)(sum[i][v], y + i * out + v * LANES, wanted - v * LANES, over + v);
}

/* y = round(M x + bias), int16; panels holds M by panels of 16 outputs (the last one may have 8), channel by channel. */
static void NAME(product)(const float *x, long n, long width, long channels, const float *panels, const float *bias,
                          long out, int16_t *y, int64_t *clipped)
{
    enum { ROWS = 6 };
    for (long o = 0; o < out; o += 2 * LANES) {
        const int two = out - o > LANES;
        vi over[2] = {{0}, {0}};
        long t = 0;
        for (; t + ROWS <= n; t += ROWS) {
            if (two)
                NAME(tile)(x + t * width, ROWS, width, channels, panels, bias + o, 2, out, out - o, y + t * out + o, over);
            else
                NAME(tile)(x + t * width, ROWS, width, channels, panels, bias + o, 1, out, out - o, y + t * out + o, over);
        }
        for (; t < n; t++) {
            if (two)
                NAME(tile)(x + t * width, 1, width, channels, panels, bias + o, 2, out, out - o, y + t * out + o, over);
            else
                NAME(tile)(x + t * width, 1, width, channels, panels, bias + o, 1, out, out - o, y + t * out + o, over);
        }
        for (long v = 0; v < (two ? 2 : 1); v++)
            for (long i = 0; i < LANES && o + v * LANES + i < out; i++)
                clipped[o + v * LANES + i] += over[v][i];
        panels += channels * (two ? 2 : 1) * LANES;
    }
}
#undef LOADER
