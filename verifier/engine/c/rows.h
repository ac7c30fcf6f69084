/* Back-substitution of many rows through any graph of convolutions, products, sparse maps and lines, LANES rows at a
   time; and the ascent over the lower slopes and split multipliers of each row. Nothing here depends on a network: one
   program for all.

   A row is a linear form A over one value. Carried back to the end value its lower bound is

     bound = sum of what biases and lines add  +  A · centre  -  |A| · radius

   and where this minimum is taken, the values forwards along the lines that were met give the gradient. Every value has
   the part that the rows see of it (a region of its map); beside that nothing is looked at. */

#define MOST_X (LANES * sizeof(real) == 64 ? 6 : 3)

/* A map [channels, height, width] of vectors with a halo around it; before a region is filled, `reach` entries around
   it become zeros. */
struct value {
    long channels, height, width, halo_y, halo_x, reach_y, reach_x;
};

/* to[o, q · step + first] += sum over taps and i of weight · from[i, q · from_step + tap];
   weight [group, block, i, tap, `block`]. */
struct phase {
    long first_y, first_x, step_y, step_x, from_y, from_x, taps;
    const long *tap_y, *tap_x;
    const real *weight;
};

enum kind { CORRELATE, COPY, PAIRS, LINING };

struct op {
    long kind, in, out;
    /* CORRELATE */
    long groups, block_back, block_forth, backs, forths;
    const struct phase *back, *forth;
    /* PAIRS: out[to] += factor · in[from], places in the maps with their halo; COPY: factor[0] alone */
    long pairs;
    const long *to, *from;
    const real *factor;
    /* of out: none, one for each channel, or for each entry */
    long offsets;
    const real *offset;
    /* LINING: which of the call's */
    long lines;
};

struct plan {
    long values, ops, end;
    const struct value *value;
    const struct op *op;
};

/* lower: low · z + low_start, upper: up · z + up_start, [box, entry], or where they are `own` [tile, entry, LANES].
   slope: a null pointer, or each row's lower slopes of the live entries alone [tile, live, LANES], in place of low;
   slot [entry]: which of those it is, or -1.
   extra: added to the coefficients of z, [tile, entry, LANES] (a split's multiplier, signed); a null pointer for none.
   error [box, entry]: what rounding may take, by unit of the coefficient that met the lines, or a null pointer.
   For the ascent: live: entries whose lower slope may move; split: entries with a sign [tile, entry, LANES] of z. */
struct lining {
    real *low;
    const real *low_start, *up, *up_start;
    long own_low, own_up;
    real *extra;
    const real *sign;
    const long *live, *split;
    long lives, splits;
    real *slope;
    const long *slot;
    const real *error;
    /* what comes out: coefficients that met the lines, [tile, entry, LANES], or a null pointer */
    real *met;
};

struct call {
    long tiles, start;
    /* rows v_i or -v_i: neuron and sign [tile, LANES]; or `terms` rows [tile, term, entry, LANES], summed with weights
       [tile, term, LANES], offset likewise */
    const long *neuron;
    const real *sign;
    long terms;
    const real *rows, *offset;
    real *weights;
    const real *error;            /* [box, entry] of the start, by unit of a row's coefficient, or a null pointer */
    const long *box;              /* [tile] */
    struct lining *lines;
    const real *centre, *radius;  /* [box, entry], or where own [tile, entry, LANES] */
    long own_end;
    real *bound;                  /* [tile, LANES] */
    real *corner;                 /* [tile, entry, LANES] or null */
    long steps;
    double rate, decay;
    /* each of `flips` further bounds [tile, flip, LANES] has one neuron split: its lining, entry and sign (1 or -1) */
    long flips;
    const long *flip_lining, *flip_entry;
    const real *flip_sign;
    real *flip_bound;
    double seconds;               /* that the call may take; infinite: however long */
    real *scratch;
};

struct region { long y0, y1, x0, x1; };

struct work {
    const struct plan *plan;
    const struct call *call;
    long tile, flip; /* flip: -1 for none */
    vec **coef, **point;          /* of every value */
    vec error;                    /* of the rows */
    struct region *region, *seen; /* of every value; of every op, in its input */
};

INLINE long plane_of(const struct value *v) { return (v->height + 2 * v->halo_y) * (v->width + 2 * v->halo_x); }
INLINE long pitch_of(const struct value *v) { return v->width + 2 * v->halo_x; }
INLINE long place_of(const struct value *v, long c, long y, long x) {
    return c * plane_of(v) + (y + v->halo_y) * pitch_of(v) + x + v->halo_x;
}
INLINE long entries_of(const struct value *v) { return v->channels * v->height * v->width; }
INLINE long flat_place(const struct value *v, long j) {
    long spots = v->height * v->width, c = j / spots, rest = j % spots;
    return place_of(v, c, rest / v->width, rest % v->width);
}
static int empty(struct region r) { return r.y0 >= r.y1 || r.x0 >= r.x1; }
static struct region whole_of(const struct value *v) { return (struct region){0, v->height, 0, v->width}; }
static long least(long a, long b) { return a < b ? a : b; }
static long most(long a, long b) { return a > b ? a : b; }
static struct region around(struct region a, struct region b) {
    if (empty(a)) return b;
    if (empty(b)) return a;
    return (struct region){least(a.y0, b.y0), most(a.y1, b.y1), least(a.x0, b.x0), most(a.x1, b.x1)};
}
static long up_to(long a, long b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); } /* a / b, upwards */
static long down_to(long a, long b) { return -up_to(-a, b); }

/* ---- correlation ---- */

/* to[o, x] += for `ob` channels and `xb` places. */
INLINE void block_of(const int ob, const int xb, const struct phase *p, const real *w, long inputs, const vec *from,
                     long from_plane, const long *taps, vec *to, long to_plane, long left) {
    vec sums[8][6];
    UNROLL for (int b = 0; b < ob; b++)
        UNROLL for (int x = 0; x < xb; x++) sums[b][x] = (vec){0};
    for (long i = 0; i < inputs; i++, from += from_plane)
        for (long t = 0; t < p->taps; t++, w += ob) {
            const vec *seen = from + taps[t];
            vec v[6];
            UNROLL for (int x = 0; x < xb; x++) v[x] = seen[x * p->from_x];
            UNROLL for (int b = 0; b < ob; b++)
                UNROLL for (int x = 0; x < xb; x++) sums[b][x] += w[b] * v[x];
        }
    UNROLL for (int b = 0; b < ob; b++)
        if (b < left)
            UNROLL for (int x = 0; x < xb; x++) to[b * to_plane + x * p->step_x] += sums[b][x];
}

static void one_phase(const struct phase *p, long groups, long block, const struct value *fv, const vec *from,
                      const struct value *tv, vec *to, struct region r) {
    long qy0 = up_to(r.y0 - p->first_y, p->step_y), qy1 = down_to(r.y1 - 1 - p->first_y, p->step_y) + 1;
    long qx0 = up_to(r.x0 - p->first_x, p->step_x), qx1 = down_to(r.x1 - 1 - p->first_x, p->step_x) + 1;
    if (qy0 < 0) qy0 = 0;
    if (qx0 < 0) qx0 = 0;
    if (qy0 >= qy1 || qx0 >= qx1 || p->taps == 0) return;
    long inputs = fv->channels / groups, outputs = tv->channels / groups, blocks = (outputs + block - 1) / block;
    long from_plane = plane_of(fv), to_plane = plane_of(tv), pitch = pitch_of(fv);
    long taps[p->taps];
    for (long t = 0; t < p->taps; t++) taps[t] = p->tap_y[t] * pitch + p->tap_x[t];
    long width = qx1 - qx0, pieces = (width + MOST_X - 1) / MOST_X, piece = (width + pieces - 1) / pieces;
    for (long g = 0; g < groups; g++)
        for (long k = 0; k < blocks; k++) {
            const real *w = p->weight + (g * blocks + k) * inputs * p->taps * block;
            long channel = g * outputs + k * block, left = outputs - k * block;
            for (long y = qy0; y < qy1; y++)
                for (long x = qx0; x < qx1; x += piece) {
                    const vec *f = from + place_of(fv, g * inputs, y * p->from_y, x * p->from_x);
                    vec *t = to + place_of(tv, channel, y * p->step_y + p->first_y, x * p->step_x + p->first_x);
#define BLOCK(ob, xb) block_of(ob, xb, p, w, inputs, f, from_plane, taps, t, to_plane, left)
#define PIECE(ob) \
    switch (least(piece, qx1 - x)) { \
        case 1: BLOCK(ob, 1); break; \
        case 2: BLOCK(ob, 2); break; \
        case 3: BLOCK(ob, 3); break; \
        case 4: BLOCK(ob, 4); break; \
        case 5: BLOCK(ob, 5); break; \
        default: BLOCK(ob, 6); \
    }
                    if (block == 8) BLOCK(8, 1), x -= piece - 1;
                    else if (block == 4) PIECE(4)
                    else PIECE(1)
                }
        }
}

/* ---- sparse maps, either way ---- */

static void add_pairs(const struct op *op, const long *read, const vec *from, const long *written, vec *to) {
    for (long p = 0; p < op->pairs; p++) to[written[p]] += op->factor[p] * from[read[p]];
}

static void add_copy(real factor, const struct value *fv, const vec *from, const struct value *tv, vec *to,
                     struct region r) {
    for (long c = 0; c < fv->channels; c++)
        for (long y = r.y0; y < r.y1; y++)
            for (long x = r.x0; x < r.x1; x++) to[place_of(tv, c, y, x)] += factor * from[place_of(fv, c, y, x)];
}

/* ---- regions ---- */

static void span(const struct phase *p, long along, long first, long last, long *low, long *high) {
    long step = along ? p->step_x : p->step_y, start = along ? p->first_x : p->first_y;
    long from = along ? p->from_x : p->from_y;
    const long *taps = along ? p->tap_x : p->tap_y;
    long q0 = most(0, up_to(first - start, step)), q1 = down_to(last - 1 - start, step);
    if (q0 > q1) return;
    for (long t = 0; t < p->taps; t++) {
        *low = least(*low, q0 * from + taps[t]);
        *high = most(*high, q1 * from + taps[t] + 1);
    }
}

/* What an op reads for the region r of its output. */
static struct region read_by(const struct op *op, const struct value *in, struct region r) {
    if (op->kind == COPY || op->kind == LINING) return r;
    if (op->kind == PAIRS) return whole_of(in);
    struct region found = {in->height, 0, in->width, 0};
    for (long k = 0; k < op->forths; k++) {
        span(&op->forth[k], 0, r.y0, r.y1, &found.y0, &found.y1);
        span(&op->forth[k], 1, r.x0, r.x1, &found.x0, &found.x1);
    }
    return (struct region){most(0, found.y0), least(in->height, found.y1), most(0, found.x0), least(in->width, found.x1)};
}

static void clear(const struct value *v, vec *map, struct region r, long reach_y, long reach_x) {
    long y0 = most(-v->halo_y, r.y0 - reach_y), y1 = least(v->height + v->halo_y, r.y1 + reach_y);
    long x0 = most(-v->halo_x, r.x0 - reach_x), x1 = least(v->width + v->halo_x, r.x1 + reach_x);
    for (long c = 0; c < v->channels; c++)
        for (long y = y0; y < y1; y++) memset(map + place_of(v, c, y, x0), 0, (x1 - x0) * sizeof(vec));
}

/* ---- rows and lines ---- */

INLINE vec of_tile(const real *array, long own, long tile, long box, long size, long j) {
    if (own) return *(const vec *)(array + (tile * size + j) * LANES);
    return array[box * size + j] - (vec){0};
}

struct four { vec low, low_start, up, up_start; };

INLINE vec low_at(const struct lining *l, long tile, long box, long size, long j) {
    if (l->slope && l->slot[j] >= 0) return *(const vec *)(l->slope + (tile * l->lives + l->slot[j]) * LANES);
    return of_tile(l->low, l->own_low, tile, box, size, j);
}

INLINE struct four lines_at(const struct lining *l, long tile, long box, long size, long j) {
    vec none = {0};
    return (struct four){low_at(l, tile, box, size, j),
                         l->low_start ? of_tile(l->low_start, l->own_up, tile, box, size, j) : none,
                         of_tile(l->up, l->own_up, tile, box, size, j),
                         of_tile(l->up_start, l->own_up, tile, box, size, j)};
}

/* The rows of this tile over the start value; returns their own constants. */
static vec seed(struct work *w) {
    const struct call *call = w->call;
    const struct value *v = &w->plan->value[call->start];
    vec *coef = w->coef[call->start], total = {0};
    long size = entries_of(v);
    if (call->neuron) {
        const long *neuron = call->neuron + w->tile * LANES;
        const real *sign = call->sign + w->tile * LANES;
        for (int l = 0; l < LANES; l++) {
            ((real *)(coef + flat_place(v, neuron[l])))[l] += sign[l];
            if (call->error) w->error[l] += call->error[call->box[w->tile] * size + neuron[l]];
        }
        return total;
    }
    for (long m = 0; m < call->terms; m++) {
        vec weight = *(const vec *)(call->weights + (w->tile * call->terms + m) * LANES);
        const vec *row = (const vec *)(call->rows + (w->tile * call->terms + m) * size * LANES);
        total += weight * *(const vec *)(call->offset + (w->tile * call->terms + m) * LANES);
        for (long j = 0; j < size; j++) coef[flat_place(v, j)] += weight * row[j];
    }
    return total;
}

static struct region seeded(const struct work *w) {
    const struct call *call = w->call;
    const struct value *v = &w->plan->value[call->start];
    struct region found = {v->height, 0, v->width, 0};
    long size = entries_of(v), spots = v->height * v->width;
    if (spots == 1) return whole_of(v);
    for (long l = 0; call->neuron && l < LANES; l++) {
        long rest = call->neuron[w->tile * LANES + l] % spots, y = rest / v->width, x = rest % v->width;
        found = around(found, (struct region){y, y + 1, x, x + 1});
    }
    for (long m = 0; !call->neuron && m < call->terms; m++)
        for (long j = 0; j < size; j++) {
            const real *row = call->rows + ((w->tile * call->terms + m) * size + j) * LANES;
            int some = 0;
            for (int l = 0; l < LANES; l++) some |= row[l] != 0;
            long rest = j % spots, y = rest / v->width, x = rest % v->width;
            if (some) found = around(found, (struct region){y, y + 1, x, x + 1});
        }
    return found;
}

static void find_regions(struct work *w) {
    const struct plan *plan = w->plan;
    for (long k = 0; k < plan->values; k++) w->region[k] = (struct region){0, 0, 0, 0};
    w->region[w->call->start] = seeded(w);
    for (long k = plan->ops - 1; k >= 0; k--) {
        const struct op *op = &plan->op[k];
        w->seen[k] = (struct region){0, 0, 0, 0};
        if (op->kind == LINING && w->call->lines[op->lines].extra) /* also where no row would see it */
            w->region[op->out] = whole_of(&plan->value[op->out]);
        if (empty(w->region[op->out])) continue;
        if (op->kind == PAIRS) w->region[op->out] = whole_of(&plan->value[op->out]);
        w->seen[k] = read_by(op, &plan->value[op->in], w->region[op->out]);
        w->region[op->in] = around(w->region[op->in], w->seen[k]);
    }
}

/* The neurons that are split in this flip get the lines of their side; returns what the constants change by. */
static vec flipped(struct work *w, const struct op *op) {
    const struct call *call = w->call;
    const struct value *in = &w->plan->value[op->in], *out = &w->plan->value[op->out];
    long first = (w->tile * call->flips + w->flip) * LANES, size = entries_of(out);
    vec change = {0};
    for (int l = 0; l < LANES; l++) {
        if (call->flip_lining[first + l] != op->lines) continue;
        long j = call->flip_entry[first + l];
        struct four four = lines_at(&call->lines[op->lines], w->tile, call->box[w->tile], size, j);
        real row = w->coef[op->out][flat_place(out, j)][l], pos = row > 0 ? row : 0, neg = row - pos;
        w->coef[op->in][flat_place(in, j)][l] +=
            (call->flip_sign[first + l] > 0 ? row : 0) - (pos * four.low[l] + neg * four.up[l]);
        change[l] -= pos * four.low_start[l] + neg * four.up_start[l];
    }
    return change;
}

/* Rows back to the end value; returns the constants, `met` kept where it is asked for. */
static vec backwards(struct work *w) {
    const struct plan *plan = w->plan;
    const struct call *call = w->call;
    long box = call->box[w->tile];
    for (long k = 0; k < plan->values; k++)
        if (!empty(w->region[k]))
            clear(&plan->value[k], w->coef[k], w->region[k], plan->value[k].reach_y, plan->value[k].reach_x);
    vec total = seed(w);
    for (long k = plan->ops - 1; k >= 0; k--) {
        const struct op *op = &plan->op[k];
        const struct value *in = &plan->value[op->in], *out = &plan->value[op->out];
        struct region r = w->region[op->out];
        if (empty(r)) continue;
        vec *from = w->coef[op->out], *to = w->coef[op->in];
        for (long c = 0; op->offsets && c < out->channels; c++)
            for (long y = r.y0; y < r.y1; y++) {
                vec *line = from + place_of(out, c, y, 0), sums = {0};
                const real *each = op->offset + (c * out->height + y) * out->width;
                if (op->offsets == 1) {
                    for (long x = r.x0; x < r.x1; x++) sums += line[x];
                    total += sums * op->offset[c];
                } else
                    for (long x = r.x0; x < r.x1; x++) total += line[x] * each[x];
            }
        if (op->kind == CORRELATE) {
            for (long p = 0; p < op->backs; p++)
                one_phase(&op->back[p], op->groups, op->block_back, out, from, in, to, w->seen[k]);
        } else if (op->kind == PAIRS) {
            add_pairs(op, op->to, from, op->from, to);
        } else if (op->kind == COPY) {
            add_copy(op->factor[0], out, from, in, to, r);
        } else {
            const struct lining *lines = &call->lines[op->lines];
            long size = entries_of(out);
            for (long c = 0; c < out->channels; c++)
                for (long y = r.y0; y < r.y1; y++)
                    for (long x = r.x0; x < r.x1; x++) {
                        long j = (c * out->height + y) * out->width + x;
                        vec row = from[place_of(out, c, y, x)], pos = positive(row), neg = row - pos;
                        struct four four = lines_at(lines, w->tile, box, size, j);
                        vec found = pos * four.low + neg * four.up;
                        if (lines->extra) found += *(vec *)(lines->extra + (w->tile * size + j) * LANES);
                        to[place_of(in, c, y, x)] += found;
                        total += pos * four.low_start + neg * four.up_start;
                        if (lines->error) w->error += magnitude(row) * lines->error[box * size + j];
                    }
            if (w->flip >= 0) total += flipped(w, op);
        }
    }
    return total;
}

/* A · centre - |A| · radius. */
static vec at_end(struct work *w) {
    const struct call *call = w->call;
    const struct value *v = &w->plan->value[w->plan->end];
    struct region r = w->region[w->plan->end];
    vec total = {0};
    long size = entries_of(v), box = call->box[w->tile];
    for (long c = 0; !empty(r) && c < v->channels; c++)
        for (long y = r.y0; y < r.y1; y++)
            for (long x = r.x0; x < r.x1; x++) {
                long j = (c * v->height + y) * v->width + x;
                vec row = w->coef[w->plan->end][place_of(v, c, y, x)];
                vec centre = of_tile(call->centre, call->own_end, w->tile, box, size, j);
                vec radius = of_tile(call->radius, call->own_end, w->tile, box, size, j);
                total += row * centre - magnitude(row) * radius;
            }
    return total;
}

static vec bounded(struct work *w) {
    w->error = (vec){0};
    vec total = backwards(w);
    total += at_end(w);
    return total - w->error;
}

/* Of entry j of the end value: where a form with the coefficient `row` is least. */
static vec lowest(const struct work *w, long j, vec row) {
    const struct call *call = w->call;
    long size = entries_of(&w->plan->value[w->plan->end]), box = call->box[w->tile];
    vec radius = of_tile(call->radius, call->own_end, w->tile, box, size, j);
    return of_tile(call->centre, call->own_end, w->tile, box, size, j) + chosen(row > 0, -radius, radius);
}

/* Where the bound is taken, from the end value on along the lines. */
static void forwards(struct work *w) {
    const struct plan *plan = w->plan;
    const struct call *call = w->call;
    long box = call->box[w->tile];
    for (long k = 0; k < plan->values; k++)
        if (!empty(w->region[k])) clear(&plan->value[k], w->point[k], w->region[k], 0, 0);
    const struct value *v = &plan->value[plan->end];
    struct region r = w->region[plan->end];
    for (long c = 0; !empty(r) && c < v->channels; c++)
        for (long y = r.y0; y < r.y1; y++)
            for (long x = r.x0; x < r.x1; x++) {
                long j = (c * v->height + y) * v->width + x;
                w->point[plan->end][place_of(v, c, y, x)] = lowest(w, j, w->coef[plan->end][place_of(v, c, y, x)]);
            }
    for (long k = 0; k < plan->ops; k++) {
        const struct op *op = &plan->op[k];
        const struct value *in = &plan->value[op->in], *out = &plan->value[op->out];
        r = w->region[op->out];
        if (empty(r)) continue;
        vec *from = w->point[op->in], *to = w->point[op->out];
        for (long c = 0; op->offsets && c < out->channels; c++)
            for (long y = r.y0; y < r.y1; y++)
                for (long x = r.x0; x < r.x1; x++)
                    to[place_of(out, c, y, x)] +=
                        op->offset[op->offsets == 1 ? c : (c * out->height + y) * out->width + x];
        if (op->kind == CORRELATE) {
            for (long p = 0; p < op->forths; p++)
                one_phase(&op->forth[p], op->groups, op->block_forth, in, from, out, to, r);
        } else if (op->kind == PAIRS) {
            add_pairs(op, op->from, from, op->to, to);
        } else if (op->kind == COPY) {
            add_copy(op->factor[0], in, from, out, to, r);
        } else {
            const struct lining *lines = &call->lines[op->lines];
            long size = entries_of(out);
            for (long c = 0; c < out->channels; c++)
                for (long y = r.y0; y < r.y1; y++)
                    for (long x = r.x0; x < r.x1; x++) {
                        long j = (c * out->height + y) * out->width + x;
                        struct four four = lines_at(lines, w->tile, box, size, j);
                        vec z = from[place_of(in, c, y, x)], row = w->coef[op->out][place_of(out, c, y, x)];
                        to[place_of(out, c, y, x)] +=
                            chosen(row > 0, four.low * z + four.low_start, four.up * z + four.up_start);
                    }
        }
    }
}

/* ---- ascent ---- */

struct adam { real rate, mean, square; };

static struct adam adam_at(const struct call *call, long step, real share) {
    double rate = call->rate * share, first = 1, second = 1;
    for (long k = 0; k < step; k++) rate *= call->decay;
    for (long k = 0; k <= step; k++) first *= 0.9, second *= 0.999;
    return (struct adam){rate, 1 / (1 - first), 1 / (1 - second)};
}

INLINE vec root(vec a) {
    for (int l = 0; l < LANES; l++) a[l] = DOUBLE ? __builtin_sqrt(a[l]) : __builtin_sqrtf(a[l]);
    return a;
}

/* The step that Adam takes from a gradient (Kingma and Ba 2015); state: mean and square. */
INLINE vec adam_step(struct adam a, vec gradient, vec *state) {
    state[0] = state[0] * (real)0.9 + gradient * (real)0.1;
    state[1] = state[1] * (real)0.999 + gradient * gradient * (real)0.001;
    return a.rate * (state[0] * a.mean) / (root(state[1] * a.square) + (real)1e-8);
}

/* The lower slope of the live entry number n. */
INLINE vec *live_slope(const struct lining *l, long tile, long size, long n) {
    return (vec *)(l->slope ? l->slope + (tile * l->lives + n) * LANES : l->low + (tile * size + l->live[n]) * LANES);
}

/* One step for all that may move; `state` holds two vectors for each and the best found. */
static void ascend(struct work *w, long step, vec *state) {
    const struct call *call = w->call;
    const struct plan *plan = w->plan;
    struct adam full = adam_at(call, step, 1), half = adam_at(call, step, 0.5);
    vec one = (vec){0} + 1;
    for (long k = 0; k < plan->ops; k++) {
        const struct op *op = &plan->op[k];
        if (op->kind != LINING) continue;
        const struct lining *l = &call->lines[op->lines];
        const struct value *in = &plan->value[op->in], *out = &plan->value[op->out];
        long size = entries_of(out);
        struct region r = w->region[op->out];
        for (long n = 0; n < l->lives + l->splits; n++, state += 3) {
            long j = n < l->lives ? l->live[n] : l->split[n - l->lives];
            long rest = j % (out->height * out->width), y = rest / out->width, x = rest % out->width;
            if (y < r.y0 || y >= r.y1 || x < r.x0 || x >= r.x1) continue;
            vec z = w->point[op->in][flat_place(in, j)];
            if (n < l->lives) {
                vec *low = live_slope(l, w->tile, size, n);
                vec moved = *low + adam_step(full, positive(w->coef[op->out][flat_place(out, j)]) * z, state);
                moved = positive(moved);
                /* a row of its own box may know the sign of this neuron: its upper line starts at 0 */
                bits free = of_tile(l->up_start, l->own_up, w->tile, call->box[w->tile], size, j) > 0;
                *low = chosen(free, chosen(moved > one, one, moved), *low);
            } else { /* extra = -sign · multiplier, multiplier >= 0 */
                vec sign = *(const vec *)(l->sign + (w->tile * size + j) * LANES);
                vec *extra = (vec *)(l->extra + (w->tile * size + j) * LANES);
                *extra = -sign * positive(-sign * *extra + adam_step(half, -sign * z, state));
            }
        }
    }
    if (call->terms < 2 || call->neuron) return;
    const struct value *v = &plan->value[call->start];
    long size = entries_of(v);
    vec *weights = (vec *)(call->weights + w->tile * call->terms * LANES), total = {0};
    for (long m = 0; m < call->terms; m++, state += 3) {
        const vec *row = (const vec *)(call->rows + (w->tile * call->terms + m) * size * LANES);
        vec slope = *(const vec *)(call->offset + (w->tile * call->terms + m) * LANES);
        for (long j = 0; j < size; j++) slope += row[j] * w->point[call->start][flat_place(v, j)];
        vec moved = weights[m] + adam_step(half, slope, state), floor = (vec){0} + (real)1e-6;
        weights[m] = chosen(moved > floor, moved, floor);
        total += weights[m];
    }
    for (long m = 0; m < call->terms; m++) weights[m] /= total;
}

/* Copies what may move: to the state where it is `better`, or back from there. */
static void keep(struct work *w, vec *state, bits better, int back) {
    const struct call *call = w->call;
    for (long k = 0; k < w->plan->ops; k++) {
        const struct op *op = &w->plan->op[k];
        if (op->kind != LINING) continue;
        const struct lining *l = &call->lines[op->lines];
        long size = entries_of(&w->plan->value[op->out]);
        for (long n = 0; n < l->lives + l->splits; n++, state += 3) {
            vec *value = n < l->lives ? live_slope(l, w->tile, size, n)
                                      : (vec *)(l->extra + (w->tile * size + l->split[n - l->lives]) * LANES);
            if (back) *value = state[2];
            else state[2] = chosen(better, *value, state[2]);
        }
    }
    for (long m = 0; call->terms > 1 && !call->neuron && m < call->terms; m++, state += 3) {
        vec *value = (vec *)(call->weights + (w->tile * call->terms + m) * LANES);
        if (back) *value = state[2];
        else state[2] = chosen(better, *value, state[2]);
    }
}

static long moving(const struct plan *plan, const struct call *call) {
    long count = call->terms > 1 && !call->neuron ? call->terms : 0;
    for (long k = 0; k < plan->ops; k++)
        if (plan->op[k].kind == LINING) {
            const struct lining *l = &call->lines[plan->op[k].lines];
            count += l->lives + l->splits;
        }
    return count;
}

/* Entries of scratch that `substitute` takes, in reals. */
long scratch_reals(const struct plan *plan, const struct call *call) {
    long vectors = 0;
    for (long k = 0; k < plan->values; k++)
        vectors += plan->value[k].channels * plane_of(&plan->value[k]) * (call->steps ? 2 : 1);
    return (vectors + (call->steps ? 3 * moving(plan, call) : 0) + 8) * LANES;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}

/* The bounds of all tiles. steps > 0: after so many steps of ascent, with slopes, extras and weights at the best.
   Returns 1; or 0 where the time was over first, and nothing that was written counts. */
long substitute(const struct plan *plan, const struct call *call) {
    double end = now() + call->seconds;
    vec *coef[plan->values], *point[plan->values], *free = (vec *)call->scratch;
    struct region region[plan->values], seen[plan->ops + 1];
    struct work work = {plan, call, 0, -1, coef, point, {0}, region, seen};
    for (long k = 0; k < plan->values; k++) {
        long size = plan->value[k].channels * plane_of(&plan->value[k]);
        coef[k] = free, free += size;
        if (call->steps) memset(free, 0, size * sizeof(vec)), point[k] = free, free += size;
    }
    vec *state = free;
    long count = call->steps ? moving(plan, call) : 0;
    for (work.tile = 0; work.tile < call->tiles; work.tile++) {
        if (now() > end) return 0;
        find_regions(&work);
        vec best = bounded(&work);
        if (call->steps) {
            memset(state, 0, 3 * count * sizeof(vec));
            keep(&work, state, ~(bits){0}, 0);
            for (long step = 0; step < call->steps; step++) {
                int done = 1;
                for (int l = 0; l < LANES; l++) done &= best[l] > 0;
                if (done) break;
                if (now() > end) return 0;
                forwards(&work);
                ascend(&work, step, state);
                vec found = bounded(&work);
                bits better = found > best;
                best = chosen(better, found, best);
                keep(&work, state, better, 0);
            }
            keep(&work, state, ~(bits){0}, 1);
            if (call->lines->met || call->corner) best = bounded(&work);
        }
        *(vec *)(call->bound + work.tile * LANES) = best;
        for (long k = 0; k < plan->ops; k++) {
            const struct op *op = &plan->op[k];
            if (op->kind != LINING || !call->lines[op->lines].met || empty(region[op->out])) continue;
            const struct value *v = &plan->value[op->out];
            struct region r = region[op->out];
            long size = entries_of(v);
            for (long c = 0; c < v->channels; c++)
                for (long y = r.y0; y < r.y1; y++)
                    for (long x = r.x0; x < r.x1; x++)
                        ((vec *)call->lines[op->lines].met)[work.tile * size + (c * v->height + y) * v->width + x] =
                            coef[op->out][place_of(v, c, y, x)];
        }
        if (call->corner) {
            const struct value *v = &plan->value[plan->end];
            long size = entries_of(v);
            for (long j = 0; j < size; j++) {
                long rest = j % (v->height * v->width), y = rest / v->width, x = rest % v->width;
                struct region r = region[plan->end];
                int inside = y >= r.y0 && y < r.y1 && x >= r.x0 && x < r.x1;
                vec row = inside ? coef[plan->end][flat_place(v, j)] : (vec){0};
                ((vec *)call->corner)[work.tile * size + j] = lowest(&work, j, row);
            }
        }
        for (work.flip = 0; work.flip < call->flips; work.flip++) {
            if (now() > end) return 0;
            *(vec *)(call->flip_bound + (work.tile * call->flips + work.flip) * LANES) = bounded(&work);
        }
        work.flip = -1;
    }
    return 1;
}

/* Rows [order [tile, LANES], entry] as tiles [tile, entry, LANES], and back. */
void to_tiles(long tiles, long entries, const long *order, const real *rows, real *to) {
    for (long t = 0; t < tiles; t++, order += LANES) {
        const real *row[LANES];
        for (int l = 0; l < LANES; l++) row[l] = rows + order[l] * entries;
        for (long j = 0; j < entries; j++, to += LANES)
            UNROLL for (int l = 0; l < LANES; l++) to[l] = row[l][j];
    }
}

void from_tiles(long tiles, long entries, const long *order, const real *from, real *rows) {
    for (long t = 0; t < tiles; t++, order += LANES) {
        real *row[LANES];
        for (int l = 0; l < LANES; l++) row[l] = rows + order[l] * entries;
        for (long j = 0; j < entries; j++, from += LANES)
            UNROLL for (int l = 0; l < LANES; l++) row[l][j] = from[l];
    }
}
