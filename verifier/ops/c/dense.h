/* DeepPoly's bounds of rows over a network of dense layers and ReLUs, for many boxes of inputs: LANES boxes side by
   side, from the input box to the rows in cache. Weights are shared, so what varies from lane to lane is the lines.

     z_1 = W_1 x + b_1,   z_k = W_k relu(z_(k-1)) + b_k,   rows = W_last relu(z_last) + b_last

   Every pre-activation is the intersection of the interval image and the back-substituted bound, which only neurons
   get that the interval leaves unstable in some lane. A neuron that is dead in all lanes is passed over. */

#define ROWS 4  /* carried down together, */
#define WIDE 6  /* and so many entries below them at a time: a sum for each pair in a register */

struct layer {
    long out, in, pitch; /* weights [out, pitch] with pitch = in rounded up to WIDE, zero beyond; bias [out] */
    const real *weight, *bias;
};

/* Of one hidden layer: the box, the lines, and which neurons live. */
struct state {
    vec *lower, *upper, *low, *up, *start; /* slopes of the lower and upper line, height of the upper at 0 */
    long *live, alive;
};

struct input {
    vec *lower, *upper, *centre, *radius;
};

#define ANY_NAN(lower, upper) (((lower) - (lower)) + ((upper) - (upper))) /* 0, or no number where one is none */

INLINE vec least(vec a, vec b) { return chosen(a < b, a, b); }
INLINE vec most(vec a, vec b) { return chosen(a > b, a, b); }
INLINE int any(bits mask) {
    integer found = 0;
    for (int l = 0; l < LANES; l++) found |= mask[l];
    return found != 0;
}

static void draw_lines(struct state *s, long size) {
    const vec zero = {0};
    s->alive = 0;
    for (long j = 0; j < size; j++) {
        vec below = least(s->lower[j], zero), above = most(s->upper[j], zero);
        s->up[j] = chosen(above > 0, above / (above - below), zero);
        s->low[j] = (vec)((bits)(zero + 1) & (s->lower[j] + s->upper[j] > 0));
        s->start[j] = -s->up[j] * below;
        s->live[s->alive] = j;
        s->alive += any(above > 0);
    }
}

/* The box of an affine layer over a box below; over the ReLUs' images where that is a hidden layer's. */
static void image(const struct layer *w, const vec *lower, const vec *upper, int relu, vec *out_lower, vec *out_upper) {
    for (long j = 0; j < w->out; j++) {
        vec low = (vec){0} + w->bias[j], high = low;
        for (long i = 0; i < w->in; i++) {
            real factor = w->weight[j * w->pitch + i];
            vec l = relu ? positive(lower[i]) : lower[i], u = relu ? positive(upper[i]) : upper[i];
            low += factor * (factor > 0 ? l : u);
            high += factor * (factor > 0 ? u : l);
        }
        out_lower[j] = low;
        out_upper[j] = high;
    }
}

/* below [ROWS, pitch] = above [ROWS, w->out] W over the live entries of `above`. */
static void times(const struct layer *w, const struct state *s, const vec *above, vec *below) {
    for (long i = 0; i < w->pitch; i += WIDE) {
        vec sums[ROWS][WIDE];
        UNROLL for (int r = 0; r < ROWS; r++)
            UNROLL for (int k = 0; k < WIDE; k++) sums[r][k] = (vec){0};
        for (long n = 0; n < s->alive; n++) {
            long j = s->live[n];
            const real *weight = w->weight + j * w->pitch + i;
            UNROLL for (int r = 0; r < ROWS; r++) {
                vec entry = above[r * w->out + j];
                UNROLL for (int k = 0; k < WIDE; k++) sums[r][k] += entry * weight[k];
            }
        }
        UNROLL for (int r = 0; r < ROWS; r++)
            UNROLL for (int k = 0; k < WIDE; k++) below[r * w->pitch + i + k] = sums[r][k];
    }
}

/* Lower bounds of ROWS rows sign * (weight · relu(z_k) + bias) of layer k, by the lines below it; coef (or NULL):
   [ROWS, in_1's pitch], what is left of them over the input. a, v: scratch for ROWS rows of the widest layer. */
static void substitute_rows(const struct layer *layers, const struct state *states, const struct input *x, long k,
                            const real *const *weights, const real *sign, vec *total, vec *a, vec *v, vec *coef) {
    const struct state *s = &states[k - 1];
    long size = layers[k - 1].out;
    for (int r = 0; r < ROWS; r++)
        for (long n = 0; n < s->alive; n++) {
            long j = s->live[n];
            real factor = sign[r] * weights[r][j];
            a[r * size + j] = factor * (factor > 0 ? s->low[j] : s->up[j]);
            if (factor < 0) total[r] += factor * s->start[j];
        }
    for (long m = k - 1;; m--) {
        const struct layer *w = &layers[m];
        s = &states[m];
        for (int r = 0; r < ROWS; r++)
            for (long n = 0; n < s->alive; n++) total[r] += a[r * w->out + s->live[n]] * w->bias[s->live[n]];
        if (m == 0 && coef) v = coef;
        times(w, s, a, v);
        if (m == 0) break;
        const struct state *t = &states[m - 1];
        for (int r = 0; r < ROWS; r++)
            for (long n = 0; n < t->alive; n++) {
                long j = t->live[n];
                vec row = v[r * w->pitch + j], pos = positive(row), neg = row - pos;
                a[r * layers[m - 1].out + j] = pos * t->low[j] + neg * t->up[j];
                total[r] += neg * t->start[j];
            }
    }
    for (int r = 0; r < ROWS; r++)
        for (long i = 0; i < layers[0].in; i++) {
            vec row = v[r * layers[0].pitch + i];
            total[r] += row * x->centre[i] - magnitude(row) * x->radius[i];
        }
}

/* Narrows the box of hidden layer k for the neurons that are unstable in some lane. */
static void narrow(const struct layer *layers, struct state *states, const struct input *x, long k, vec *a, vec *v) {
    struct state *s = &states[k];
    const struct layer *w = &layers[k];
    const real *weights[ROWS], signs[ROWS] = {1, -1, 1, -1};
    for (long j = 0; j < w->out;) {
        long chosen_rows[ROWS / 2], count = 0;
        for (; j < w->out && count < ROWS / 2; j++) {
            chosen_rows[count] = j;
            count += any((s->lower[j] < 0) & (s->upper[j] > 0));
        }
        if (count == 0) break;
        vec total[ROWS];
        for (int r = 0; r < ROWS; r++) {
            long row = chosen_rows[r / 2 < count ? r / 2 : 0];
            weights[r] = w->weight + row * w->pitch;
            total[r] = (vec){0} + signs[r] * w->bias[row];
        }
        substitute_rows(layers, states, x, k, weights, signs, total, a, v, 0);
        for (long c = 0; c < count; c++) {
            long row = chosen_rows[c];
            s->lower[row] = most(total[2 * c], s->lower[row]); /* in this order what is no number changes nothing */
            s->upper[row] = least(-total[2 * c + 1], s->upper[row]);
        }
    }
}

static vec *carve(real **scratch, long entries) {
    vec *piece = (vec *)*scratch;
    *scratch += entries * LANES;
    return piece;
}

/* Entries of scratch that `bounds` takes, in reals. */
long scratch_reals(const struct layer *layers, long hidden, long rows) {
    long total = 4 * layers[0].in, widest = 0;
    for (long k = 0; k < hidden; k++) {
        total += 5 * layers[k].out + (layers[k].out * sizeof(long) + sizeof(vec) - 1) / sizeof(vec);
        widest = layers[k].out > widest ? layers[k].out : widest;
        widest = layers[k].pitch > widest ? layers[k].pitch : widest;
    }
    return (total + 3 * ROWS * (widest + WIDE)) * LANES;
}

/* lower, upper [boxes, in_1] -> out [boxes, rows], coef [boxes, rows, in_1], unstable [boxes]: neurons. */
void bounds(const struct layer *layers, long hidden, long boxes, const real *lower, const real *upper, real *out,
            real *coef, long *unstable, real *scratch) {
    long in = layers[0].in, rows = layers[hidden].out, widest = 0;
    struct state states[hidden];
    struct input x = {carve(&scratch, in), carve(&scratch, in), carve(&scratch, in), carve(&scratch, in)};
    for (long k = 0; k < hidden; k++) {
        long size = layers[k].out;
        vec **parts[] = {&states[k].lower, &states[k].upper, &states[k].low, &states[k].up, &states[k].start};
        for (int p = 0; p < 5; p++) *parts[p] = carve(&scratch, size);
        states[k].live = (long *)carve(&scratch, (size * sizeof(long) + sizeof(vec) - 1) / sizeof(vec));
        widest = size > widest ? size : widest;
        widest = layers[k].pitch > widest ? layers[k].pitch : widest;
    }
    vec *a = carve(&scratch, ROWS * widest), *v = carve(&scratch, ROWS * widest), *left = carve(&scratch, ROWS * widest);
    for (long first = 0; first < boxes; first += LANES) {
        long count = boxes - first < LANES ? boxes - first : LANES;
        for (long i = 0; i < in; i++)
            for (long l = 0; l < LANES; l++) {
                long box = first + (l < count ? l : 0);
                x.lower[i][l] = lower[box * in + i];
                x.upper[i][l] = upper[box * in + i];
            }
        for (long i = 0; i < in; i++) {
            x.centre[i] = (x.lower[i] + x.upper[i]) / 2;
            x.radius[i] = most(x.upper[i] - x.centre[i], x.centre[i] - x.lower[i]);
        }
        bits crossing = {0};
        vec poison = {0};
        for (long k = 0; k < hidden; k++) {
            struct state *s = &states[k];
            image(&layers[k], k ? states[k - 1].lower : x.lower, k ? states[k - 1].upper : x.upper, k > 0, s->lower,
                  s->upper);
            if (k > 0) narrow(layers, states, &x, k, a, v);
            draw_lines(s, layers[k].out);
            for (long j = 0; j < layers[k].out; j++) {
                crossing -= (s->lower[j] < 0) & (s->upper[j] > 0);
                poison += ANY_NAN(s->lower[j], s->upper[j]);
            }
        }
        for (long l = 0; l < count; l++) unstable[first + l] = crossing[l];
        const real *weights[ROWS], signs[ROWS] = {1, 1, 1, 1};
        for (long row = 0; row < rows; row += ROWS) {
            vec total[ROWS];
            for (int r = 0; r < ROWS; r++) {
                long here = row + r < rows ? row + r : row;
                weights[r] = layers[hidden].weight + here * layers[hidden].pitch;
                total[r] = poison + layers[hidden].bias[here];
            }
            substitute_rows(layers, states, &x, hidden, weights, signs, total, a, v, left);
            for (long r = 0; r < ROWS && row + r < rows; r++)
                for (long l = 0; l < count; l++) {
                    out[(first + l) * rows + row + r] = total[r][l];
                    for (long i = 0; i < in; i++)
                        coef[((first + l) * rows + row + r) * in + i] = left[r * layers[0].pitch + i][l];
                }
        }
    }
}
