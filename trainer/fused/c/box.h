/* Interval bounds of a layer, both ways, and the sums of the warm-up regulariser. */

static void interval(struct work *w, int k, const vec *centre, const vec *radius, vec *lower, vec *upper) {
    const struct layer *l = &layers[k];
    l->convolve(centre, weight(w, k), w->dz);
    l->convolve(radius, w->magnitudes[k], w->drad);
    long plane = (long)l->oh * l->ow;
    for (int o = 0; o < l->o; o++)
        for (long i = o * plane; i < (o + 1) * plane; i++) {
            vec z = w->dz[i] + bias(w, k)[o];
            if (k == 0) w->neurons[0].value[i] = z;
            lower[i] = z - w->drad[i];
            upper[i] = z + w->drad[i];
        }
}

/* The padded map of layer k's inputs from the least that the ReLUs below it give and the greatest that enters them. */
static void frame_of(struct work *w, int k, const vec *lower, const vec *upper, vec *centre, vec *radius) {
    const struct layer *l = &layers[k];
    for (int c = 0; c < l->c; c++)
        for (int y = 0; y < l->h; y++) {
            long i = ((long)c * l->h + y) * l->w, j = ((long)c * l->fh + y + l->pt) * l->fw + l->pl;
            for (int x = 0; x < l->w; x++) {
                vec a = lower[i + x], b = relu(upper[i + x]);
                centre[j + x] = (a + b) / 2;
                radius[j + x] = (b - a) / 2;
            }
        }
}

/* From dli, dui of layer k to its weights and to those of the layer below. */
static void interval_gradient(struct work *w, int k) {
    const struct layer *l = &layers[k];
    struct neurons *n = &w->neurons[k];
    long plane = (long)l->oh * l->ow;
    for (int o = 0; o < l->o; o++) {
        vec total = {0};
        for (long i = o * plane; i < (o + 1) * plane; i++) {
            w->dz[i] = n->dli[i] + n->dui[i];
            w->drad[i] = n->dui[i] - n->dli[i];
            if (k == 0) w->dz[i] += n->dvalue[i];
            total += w->dz[i];
        }
        w->sum[k].bias[o] += total;
    }
    l->weight_gradient(w->dz, w->centre[k], w->sum[k].weight);
    l->weight_gradient(w->drad, w->radius[k], w->sum[k].magnitude);
    if (k == 0) return;
    l->transpose(w->dz, weight(w, k), w->dcentre);
    l->transpose(w->drad, w->magnitudes[k], w->dradius);
    struct neurons *below = &w->neurons[k - 1];
    for (int c = 0; c < l->c; c++)
        for (int y = 0; y < l->h; y++) {
            long i = ((long)c * l->h + y) * l->w, j = ((long)c * l->fh + y + l->pt) * l->fw + l->pl;
            for (int x = 0; x < l->w; x++) {
                vec dc = w->dcentre[j + x] / 2, dr = w->dradius[j + x] / 2;
                below->dli[i + x] += (vec)((below->li[i + x] > 0) & (bits)(dc - dr));
                below->dui[i + x] += (vec)((below->ui[i + x] > 0) & (bits)(dc + dr));
            }
        }
}

/* Of a maximum of two that are equal, each gets half. */
static void intersection_gradient(struct work *w, int k) {
    struct neurons *n = &w->neurons[k];
    for (long i = 0; i < MAP(&layers[k]); i++) {
        vec ours = chosen(n->l[i] > n->li[i], SPREAD(1), (vec){0}), theirs = chosen(n->u[i] < n->ui[i], SPREAD(1), (vec){0});
        n->dli[i] += n->dl[i] * (1 - ours);
        n->dui[i] += n->du[i] * (1 - theirs);
        n->dl[i] *= ours;
        n->du[i] *= theirs;
    }
}

typedef double wide __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double))));
#define WIDE(a) __builtin_convertvector(a, wide)

static void add(const struct work *w, const wide *parts, double *sums) {
    for (int s = 0; s < STATISTICS; s++)
        for (int v = 0; v < w->lanes; v++) sums[s] += parts[s][v];
}

/* See trainer/regulariser.py. */
static void count(struct work *w, int k) {
    struct neurons *n = &w->neurons[k];
    wide parts[STATISTICS] = {{0}};
    for (long i = 0; i < MAP(&layers[k]); i++) {
        vec one = SPREAD(1), zero = {0};
        wide l = WIDE(n->l[i]), u = WIDE(n->u[i]), c = (l + u) / 2;
        wide active = WIDE(chosen(n->l[i] > 0, one, zero)), inactive = WIDE(chosen(n->u[i] < 0, one, zero));
        parts[0] += 1.0;
        parts[1] += (u - l) / 2;
        parts[2] += c;
        parts[3] += active * c;
        parts[4] += active * c * c;
        parts[5] += active;
        parts[6] += inactive * c;
        parts[7] += inactive * c * c;
        parts[8] += inactive;
    }
    add(w, parts, w->statistics + STATISTICS * k);
}

static void count_gradient(struct work *w, int k) {
    struct neurons *n = &w->neurons[k];
    const double *slope = w->call->slopes + STATISTICS * k;
    for (long i = 0; i < MAP(&layers[k]); i++) {
        vec l = n->l[i], u = n->u[i], c2 = l + u, d = SPREAD(slope[2]), r = SPREAD(slope[1]);
        d += (vec)((l > 0) & (bits)(SPREAD(slope[3]) + c2 * (real)slope[4]));
        d += (vec)((u < 0) & (bits)(SPREAD(slope[6]) + c2 * (real)slope[7]));
        n->dl[i] += w->live * (d - r) / 2;
        n->du[i] += w->live * (d + r) / 2;
    }
}
