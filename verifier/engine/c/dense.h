/* DeepPoly's bounds of rows over a network of dense layers and ReLUs, box of inputs after box, LANES rows side by side:

     z_1 = W_1 x + b_1,   z_k = W_k relu(z_(k-1)) + b_k,   rows = W_last relu(z_last) + b_last

   Every pre-activation is the intersection of the interval image and the back-substituted bound, which only neurons
   get that the interval leaves unstable, both widened by what may have rounded. What is known of a neuron's sign, from a box around this one, spares it that
   too. Dead neurons are passed over. */

#define MOST 4  /* vectors of rows that go down together */
#define WIDE 6  /* entries below them at a time, twice as many for fewer vectors: each pair a sum in a register */

struct layer {
    long out, in, pitch; /* weights [out, pitch], zero from `in` on, pitch a multiple of 2 * WIDE; bias [out] */
    const real *weight, *bias;
    const real *noise, *floor; /* [out, in], [out], or NULL: what the network rounds is noise |inputs| + floor */
};

/* Of one hidden layer: the box, the lines, and which neurons live. */
struct state {
    real *lower, *upper, *low, *up, *start; /* slopes of the lower and upper line, height of the upper at 0 */
    real *noise;                            /* what the network rounds */
    long *live, alive;
};

struct input {
    const real *lower, *upper;
    real *centre, *radius;
};

static void draw_lines(struct state *s, long size) {
    s->alive = 0;
    for (long j = 0; j < size; j++) {
        real below = s->lower[j] < 0 ? s->lower[j] : 0, above = s->upper[j] > 0 ? s->upper[j] : 0;
        s->up[j] = above > 0 ? above / (above - below) : 0;
        s->low[j] = s->lower[j] + s->upper[j] > 0;
        s->start[j] = -s->up[j] * below;
        s->live[s->alive] = j;
        s->alive += above > 0;
    }
}

/* The box of an affine layer over entries centre ± radius [in]. */
static void image(const struct layer *w, const real *centre, const real *radius, real *lower, real *upper) {
    for (long j = 0; j < w->out; j++) {
        const real *weight = w->weight + j * w->pitch;
        real middle = w->bias[j], spread = 0;
        for (long i = 0; i < w->in; i++) {
            middle += weight[i] * centre[i];
            spread += (weight[i] < 0 ? -weight[i] : weight[i]) * radius[i];
        }
        lower[j] = middle - spread;
        upper[j] = middle + spread;
    }
}

/* What the network itself rounds in a layer of entries centre ± radius. */
static void rounding(const struct layer *w, const real *centre, const real *radius, real *noise) {
    for (long j = 0; j < w->out; j++) {
        real total = w->noise ? w->floor[j] : 0;
        for (long i = 0; w->noise && i < w->in; i++)
            total += w->noise[j * w->in + i] * ((centre[i] < 0 ? -centre[i] : centre[i]) + radius[i]);
        noise[j] = total;
    }
}

/* below [pitch, n] = (above [out, n])^T W over the live entries of `above`; n vectors of rows. */
INLINE void times(const int n, const int wide, const struct layer *w, const struct state *s, const vec *above,
                  vec *below) {
    for (long i = 0; i < w->pitch; i += wide) {
        vec sums[2 * MOST * WIDE];
        UNROLL for (int k = 0; k < n * wide; k++) sums[k] = (vec){0};
        for (long c = 0; c < s->alive; c++) {
            long j = s->live[c];
            const real *weight = w->weight + j * w->pitch + i;
            UNROLL for (int k = 0; k < wide; k++)
                UNROLL for (int r = 0; r < n; r++) sums[k * n + r] += above[j * n + r] * weight[k];
        }
        UNROLL for (int k = 0; k < n * wide; k++) below[i * n + k] = sums[k];
    }
}

/* Rows of layer k, with a sign each: what `count` of them are at least over the box is written to `found`, less what
   the network rounds in the layers below it. Rows beyond them repeat the last. coef (or NULL) [count, in_1]: what is
   left of them over the input. */
INLINE void some_rows(const int n, const struct layer *layers, const struct state *states, const struct input *x,
                      long k, const long *rows, const real *signs, long count, vec *a, vec *v, real *found,
                      real *coef) {
    const struct state *s = &states[k - 1];
    const struct layer *w = &layers[k];
    vec total[MOST];
    for (int r = 0; r < n; r++) {
        const real *weights[LANES];
        vec sign;
        for (long l = 0; l < LANES; l++) {
            long place = r * LANES + l < count ? r * LANES + l : count - 1;
            weights[l] = w->weight + rows[place] * w->pitch;
            sign[l] = signs[place];
            total[r][l] = signs[place] * w->bias[rows[place]];
        }
        for (long c = 0; c < s->alive; c++) {
            long j = s->live[c];
            vec row;
            UNROLL for (int l = 0; l < LANES; l++) row[l] = weights[l][j];
            row *= sign;
            vec pos = positive(row), neg = row - pos;
            a[j * n + r] = pos * s->low[j] + neg * s->up[j];
            total[r] += neg * s->start[j];
        }
    }
    for (long m = k - 1;; m--) {
        w = &layers[m];
        s = &states[m];
        for (long c = 0; c < s->alive; c++)
            UNROLL for (int r = 0; r < n; r++) {
                vec row = a[s->live[c] * n + r];
                total[r] += row * w->bias[s->live[c]] - magnitude(row) * s->noise[s->live[c]];
            }
        times(n, n > 2 ? WIDE : 2 * WIDE, w, s, a, v);
        if (m == 0) break;
        s = &states[m - 1];
        for (long c = 0; c < s->alive; c++) {
            long j = s->live[c];
            UNROLL for (int r = 0; r < n; r++) {
                vec row = v[j * n + r], pos = positive(row), neg = row - pos;
                a[j * n + r] = pos * s->low[j] + neg * s->up[j];
                total[r] += neg * s->start[j];
            }
        }
    }
    for (long i = 0; i < layers[0].in; i++)
        UNROLL for (int r = 0; r < n; r++)
            total[r] += v[i * n + r] * x->centre[i] - magnitude(v[i * n + r]) * x->radius[i];
    for (long place = 0; place < count; place++) {
        found[place] = total[place / LANES][place % LANES];
        for (long i = 0; coef && i < layers[0].in; i++)
            coef[place * layers[0].in + i] = v[i * n + place / LANES][place % LANES];
    }
}

/* As many rows as there are. */
static void all_rows(const struct layer *layers, const struct state *states, const struct input *x, long k,
                     const long *rows, const real *signs, long count, vec *a, vec *v, real *found, real *coef) {
    for (long first = 0; first < count;) {
        long left = count - first, inputs = layers[0].in;
        real *to = coef ? coef + first * inputs : 0;
#define TAKE(n) \
    some_rows(n, layers, states, x, k, rows + first, signs + first, left < (n) * LANES ? left : (n) * LANES, a, v, \
              found + first, to), first += (n) * LANES
        if (left > 2 * LANES) TAKE(MOST);
        else if (left > LANES) TAKE(2);
        else TAKE(1);
    }
}

/* Narrows the box of hidden layer k for its unstable neurons, by all_rows; error [out]. */
static void narrow(const struct layer *layers, struct state *states, const struct input *x, long k, const real *error,
                   vec *a, vec *v, long *rows, real *signs, real *found) {
    struct state *s = &states[k];
    long count = 0;
    for (long j = 0; j < layers[k].out; j++)
        if (s->lower[j] < 0 && s->upper[j] > 0)
            for (int end = 1; end >= -1; end -= 2) rows[count] = j, signs[count++] = end;
    all_rows(layers, states, x, k, rows, signs, count, a, v, found, 0);
    for (long c = 0; c < count; c += 2) { /* what is no number changes nothing */
        real off = error[rows[c]] + s->noise[rows[c]], least = found[c] - off, most = off - found[c + 1];
        if (least > s->lower[rows[c]]) s->lower[rows[c]] = least;
        if (most < s->upper[rows[c]]) s->upper[rows[c]] = most;
    }
}

static real *carve(real **scratch, long entries) {
    real *piece = *scratch;
    *scratch += (entries + LANES - 1) / LANES * LANES;
    return piece;
}

static long widest(const struct layer *layers, long hidden) {
    long most = 0;
    for (long k = 0; k <= hidden; k++) {
        most = layers[k].out > most ? layers[k].out : most;
        most = layers[k].pitch > most ? layers[k].pitch : most;
    }
    return most;
}

/* Entries of scratch that `bounds` takes, in reals. */
long scratch_reals(const struct layer *layers, long hidden) {
    long most = widest(layers, hidden), total = 0;
    for (long k = 0; k < hidden; k++) total += 6 * (layers[k].out + LANES) + layers[k].out * (sizeof(long) / sizeof(real) + 1);
    return total + (2 * MOST * LANES + 3 + 4 + 2 * (sizeof(long) / sizeof(real) + 1)) * (most + LANES) + 64 * LANES;
}

/* lower, upper [boxes, in_1] -> out [boxes, rows], coef [boxes, rows, in_1]. error [boxes, neurons]: of the bounds of
   pre-activations. signs [boxes, neurons]: of every ReLU's input 1 (never negative), -1 (never positive) or 0 (not
   known), on the way in and, of these boxes, out. */
void bounds(const struct layer *layers, long hidden, long boxes, const real *lower, const real *upper,
            const real *error, real *out, real *coef, signed char *signs, real *scratch) {
    long in = layers[0].in, rows = layers[hidden].out, most = widest(layers, hidden);
    struct state states[hidden];
    for (long k = 0; k < hidden; k++) {
        long size = layers[k].out;
        real **parts[] = {&states[k].lower, &states[k].upper, &states[k].low, &states[k].up, &states[k].start,
                          &states[k].noise};
        for (int p = 0; p < 6; p++) *parts[p] = carve(&scratch, size);
        states[k].live = (long *)carve(&scratch, size * (sizeof(long) / sizeof(real) + 1));
    }
    real *centre = carve(&scratch, most), *radius = carve(&scratch, most), *found = carve(&scratch, 2 * most);
    real *ends = carve(&scratch, 2 * most), *noise = carve(&scratch, most);
    long *chosen_rows = (long *)carve(&scratch, 2 * most * (sizeof(long) / sizeof(real) + 1));
    struct input x = {0, 0, carve(&scratch, in), carve(&scratch, in)};
    vec *a = (vec *)carve(&scratch, MOST * LANES * most), *v = (vec *)carve(&scratch, MOST * LANES * most);
    for (long box = 0; box < boxes; box++, lower += in, upper += in) {
        for (long i = 0; i < in; i++) {
            real middle = (lower[i] + upper[i]) / 2, below = middle - lower[i], above = upper[i] - middle;
            x.centre[i] = centre[i] = middle;
            x.radius[i] = radius[i] = below > above ? below : above;
        }
        real poison = 0;
        for (long k = 0; k < hidden; k++) {
            struct state *s = &states[k];
            long size = layers[k].out;
            image(&layers[k], centre, radius, s->lower, s->upper);
            rounding(&layers[k], centre, radius, s->noise);
            for (long j = 0; j < size; j++) {
                s->lower[j] -= error[j] + s->noise[j];
                s->upper[j] += error[j] + s->noise[j];
                poison += (s->lower[j] - s->lower[j]) + (s->upper[j] - s->upper[j]); /* 0, or no number */
                if (signs[j] > 0 && s->lower[j] < 0) s->lower[j] = 0;
                if (signs[j] < 0 && s->upper[j] > 0) s->upper[j] = 0;
            }
            if (k > 0) narrow(layers, states, &x, k, error, a, v, chosen_rows, ends, found);
            draw_lines(s, size);
            error += size;
            for (long j = 0; j < size; j++, signs++) {
                real l = s->lower[j] > 0 ? s->lower[j] : 0, u = s->upper[j] > 0 ? s->upper[j] : 0;
                *signs = (s->lower[j] >= 0) - (s->upper[j] <= 0);
                centre[j] = (l + u) / 2;
                radius[j] = u - centre[j];
            }
        }
        for (long row = 0; row < rows; row++) chosen_rows[row] = row, ends[row] = 1;
        all_rows(layers, states, &x, hidden, chosen_rows, ends, rows, a, v, out, coef);
        rounding(&layers[hidden], centre, radius, noise);
        for (long row = 0; row < rows; row++) out[row] += poison - noise[row];
        out += rows;
        coef += rows * in;
    }
}
