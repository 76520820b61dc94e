/* The limit that the fused engine is measured against: its algorithm in plain C, for one operation and two modes.

   One call trains one epoch of equation (5) in float32. Per batch: find the rows that it touches and copy them
   together, apply the element-wise networks once to each of them, go over the ratings once for scores and
   gradients, and take one Adagrad step on the touched rows (penalty `expected`) and on the predictor.

   DIM (embedding dimension) and UNITS (sigmoid units of a network) are constants, so that the compiler unrolls
   and vectorises the loops over them. With -DPHASES the seconds of each phase are added up in Model.seconds. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define NONE UINT32_MAX

enum { MULTIPLY, PLUS, MIN, MAX, CONCAT };
enum { GATHER, TOUCH, NETWORKS, RATINGS, UPDATE, PHASE_COUNT };

typedef struct {
    uint32_t row[2];
    float y;
} Rating;

typedef struct {           /* users, or items */
    float *table, *sum;    /* rows x DIM: embeddings, Adagrad's sums of squares */
    const float *share;    /* rows: training ratings / ratings of the row */
    const float *vector;   /* the network, 3 UNITS + 1 numbers; NULL is the identity */
    uint32_t *slot;        /* rows: a touched row's place in the batch's scratch memory, else NONE */
    uint32_t *touched;     /* by slot: its row; one longer than a batch */
    uint32_t *place;       /* by rating of the batch: its row, then its slot */
    uint32_t *count;       /* by slot: ratings in the batch */
    float *x, *value, *slope, *grad; /* slots x DIM: rows, the same transformed, derivative, gradient */
} Mode;

typedef struct {
    Mode mode[2];
    const Rating *ratings;
    float *y; /* by rating of the batch */
    float *w, *wsum;
    float rate, epsilon, l2;
    int32_t operation;
    double seconds[PHASE_COUNT];
} Model;

#ifdef PHASES
#include <time.h>
static double now(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
#define PHASE_START double since = now()
#define PHASE_END(phase)                   \
    do {                                   \
        const double until = now();        \
        m->seconds[phase] += until - since; \
        since = until;                     \
    } while (0)
#else
#define PHASE_START
#define PHASE_END(phase)
#endif

/* One instruction each, which fminf and fmaxf, with their care for NaN, are not. */
INLINE float least(float a, float b) { return a < b ? a : b; }
INLINE float greatest(float a, float b) { return a > b ? a : b; }

/* exp(x) = 2^n 2^f with |f| <= 1/2, 2^f by its series: relative error about 1e-7, and no call in the way of
   vectorising. */
INLINE float exponential(float x) {
    const float t = least(greatest(x, -80.0f), 80.0f) * 1.44269504f;
    const float n = rintf(t), f = t - n;
    float e = 1.54035304e-4f;
    e = e * f + 1.33335581e-3f;
    e = e * f + 9.61812911e-3f;
    e = e * f + 5.55041087e-2f;
    e = e * f + 2.40226507e-1f;
    e = e * f + 6.93147181e-1f;
    e = e * f + 1.0f;
    union { int32_t bits; float power; } scale = {.bits = ((int32_t)n + 127) << 23};
    return e * scale.power;
}

/* Copy the batch's ratings together, wherever in memory they are. */
static void gather(const Model *m, const uint32_t *restrict order, uint32_t n) {
    const Rating *restrict all = m->ratings;
    uint32_t *restrict left = m->mode[0].place, *restrict right = m->mode[1].place;
    float *restrict y = m->y;
    for (uint32_t b = 0; b < n; b++) {
        const Rating rating = all[order[b]];
        left[b] = rating.row[0];
        right[b] = rating.row[1];
        y[b] = rating.y;
    }
}

/* List the rows that the batch touches, count their ratings, copy them together. Returns their number. */
static uint32_t touch(const Mode *m, uint32_t n) {
    uint32_t *restrict slot = m->slot, *restrict touched = m->touched, *restrict place = m->place;
    uint32_t *restrict count = m->count;
    uint32_t found = 0;
    memset(count, 0, n * sizeof *count);
    for (uint32_t b = 0; b < n; b++) { /* without a branch, since whether a row is new is a coin toss */
        const uint32_t row = place[b], old = slot[row];
        const uint32_t s = old == NONE ? found : old;
        slot[row] = place[b] = s;
        touched[found] = row;
        found += old == NONE;
        count[s]++;
    }
    for (uint32_t s = 0; s < found; s++)
        memcpy(m->x + (size_t)s * DIM, m->table + (size_t)touched[s] * DIM, DIM * sizeof *m->x);
    return found;
}

/* The network of every touched element, and its derivative. */
static void transform(const Mode *m, uint32_t found) {
    const float *restrict x = m->x;
    float *restrict value = m->value, *restrict slope = m->slope;
    float v[3 * UNITS + 1];
    memcpy(v, m->vector, sizeof v);
    for (uint32_t j = 0; j < found * DIM; j++) {
        float total = v[3 * UNITS], derivative = 0.0f;
#pragma GCC unroll 16
        for (int h = 0; h < UNITS; h++) {
            const float s = 1.0f / (1.0f + exponential(-(x[j] * v[h] + v[UNITS + h])));
            const float scaled = v[2 * UNITS + h] * s;
            total += scaled;
            derivative += v[h] * scaled * (1.0f - s);
        }
        value[j] = total;
        slope[j] = derivative;
    }
}

/* Scores, residuals and gradients of a batch in one go: the rows and w move only afterwards. */
INLINE void ratings(const int op, const Model *m, const float *restrict left, const float *restrict right,
                    uint32_t n, float *restrict gw) {
    const uint32_t *restrict lu = m->mode[0].place, *restrict ri = m->mode[1].place;
    const float *restrict y = m->y;
    float *restrict gl = m->mode[0].grad, *restrict gr = m->mode[1].grad;
    const float scale = 2.0f / (float)n;
    float w[2 * DIM], first[DIM] = {0}, second[DIM] = {0};
    memcpy(w, m->w, (op == CONCAT ? 2 : 1) * DIM * sizeof *w);
    for (uint32_t b = 0; b < n; b++) {
        const size_t u = (size_t)lu[b] * DIM, v = (size_t)ri[b] * DIM;
        float score = 0.0f;
#pragma omp simd reduction(+ : score)
        for (int i = 0; i < DIM; i++) {
            const float a = left[u + i], c = right[v + i];
            score += op == MULTIPLY ? w[i] * a * c
                     : op == PLUS   ? w[i] * (a + c)
                     : op == MIN    ? w[i] * least(a, c)
                     : op == MAX    ? w[i] * greatest(a, c)
                                    : w[i] * a + w[DIM + i] * c;
        }
        const float e = scale * (score - y[b]);
#pragma omp simd
        for (int i = 0; i < DIM; i++) {
            const float a = left[u + i], c = right[v + i], ew = e * w[i];
            if (op == MULTIPLY) {
                gl[u + i] += ew * c;
                gr[v + i] += ew * a;
                first[i] += e * a * c;
            } else if (op == PLUS) {
                gl[u + i] += ew;
                gr[v + i] += ew;
                first[i] += e * (a + c);
            } else if (op == CONCAT) {
                gl[u + i] += ew;
                gr[v + i] += e * w[DIM + i];
                first[i] += e * a;
                second[i] += e * c;
            } else {
                const float is_left = (a < c) == (op == MIN) ? 1.0f : 0.0f;
                gl[u + i] += is_left * ew;
                gr[v + i] += (1.0f - is_left) * ew;
                first[i] += e * (op == MIN ? least(a, c) : greatest(a, c));
            }
        }
    }
    memcpy(gw, first, sizeof first);
    memcpy(gw + DIM, second, sizeof second);
}

INLINE float adagrad(float *sum, float gradient, float rate, float epsilon) {
    *sum += gradient * gradient;
    return rate * gradient / (sqrtf(*sum) + epsilon);
}

/* Adagrad on the touched rows, through the network's slope and with the penalty. */
INLINE void update(const Model *m, const Mode *mode, const int network, uint32_t found, uint32_t n) {
    const uint32_t *restrict touched = mode->touched;
    const float *restrict x = mode->x, *restrict grad = mode->grad, *restrict slope = mode->slope;
    float *restrict table = mode->table, *restrict sum = mode->sum;
    const float l2 = m->l2 / (float)n, rate = m->rate, epsilon = m->epsilon;
    for (uint32_t s = 0; s < found; s++) {
        const size_t row = touched[s], from = (size_t)s * DIM, to = row * DIM;
        const float shrink = l2 * (float)mode->count[s] * mode->share[row];
#pragma omp simd
        for (int i = 0; i < DIM; i++) {
            const float g = grad[from + i] * (network ? slope[from + i] : 1.0f) + shrink * x[from + i];
            table[to + i] = x[from + i] - adagrad(&sum[to + i], g, rate, epsilon);
        }
        mode->slot[row] = NONE;
    }
}

static void update_predictor(Model *m, const float *restrict gw) {
    const int width = m->operation == CONCAT ? 2 * DIM : DIM;
    float norm = 0.0f;
    for (int i = 0; i < width; i++) {
        m->w[i] -= adagrad(&m->wsum[i], gw[i], m->rate, m->epsilon);
        norm += m->w[i] * m->w[i];
    }
    if (norm > 1.0f)
        for (int i = 0; i < width; i++)
            m->w[i] /= sqrtf(norm);
}

static void train_batch(Model *m, const uint32_t *order, uint32_t n) {
    uint32_t found[2];
    const float *transformed[2];
    float gw[2 * DIM];
    PHASE_START;
    gather(m, order, n);
    PHASE_END(GATHER);
    for (int k = 0; k < 2; k++) {
        found[k] = touch(&m->mode[k], n);
        memset(m->mode[k].grad, 0, (size_t)found[k] * DIM * sizeof(float));
    }
    PHASE_END(TOUCH);
    for (int k = 0; k < 2; k++) {
        transformed[k] = m->mode[k].vector ? m->mode[k].value : m->mode[k].x;
        if (m->mode[k].vector)
            transform(&m->mode[k], found[k]);
    }
    PHASE_END(NETWORKS);
    switch (m->operation) {
    case MULTIPLY: ratings(MULTIPLY, m, transformed[0], transformed[1], n, gw); break;
    case PLUS: ratings(PLUS, m, transformed[0], transformed[1], n, gw); break;
    case MIN: ratings(MIN, m, transformed[0], transformed[1], n, gw); break;
    case MAX: ratings(MAX, m, transformed[0], transformed[1], n, gw); break;
    default: ratings(CONCAT, m, transformed[0], transformed[1], n, gw);
    }
    PHASE_END(RATINGS);
    update_predictor(m, gw);
    for (int k = 0; k < 2; k++) {
        if (m->mode[k].vector)
            update(m, &m->mode[k], 1, found[k], n);
        else
            update(m, &m->mode[k], 0, found[k], n);
    }
    PHASE_END(UPDATE);
}

/* One pass over the n ratings in the given order. */
void train_epoch(Model *m, const uint32_t *order, uint32_t n, uint32_t batch) {
    for (uint32_t start = 0; start < n; start += batch)
        train_batch(m, order + start, n - start < batch ? n - start : batch);
}

/* A random order of 0..n-1 (Fisher and Yates) from a 64-bit state (Steele's splitmix64). */
void shuffle(uint32_t *restrict order, uint32_t n, uint64_t *state) {
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        uint64_t z = *state += 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        const uint32_t j = (uint32_t)(((z >> 32) * i) >> 32), last = order[i - 1];
        order[i - 1] = order[j];
        order[j] = last;
    }
}
