/* The margins of the label against every other class, and the cross-entropy of their bounds:

     log(1 + sum exp(-bound))   */

/* The coefficients of y_t - y_j over the last layer's inputs; j = m, or m + 1 from the label on. */
static void margin(struct work *w, int m, bits beyond, vec *row) {
    const struct layer *l = &layers[HIDDEN];
    const real *one = weight(w, HIDDEN) + m * KERNEL(l), *next = one + KERNEL(l);
    for (long i = 0; i < KERNEL(l); i++) row[i] = w->true_row[i] - chosen(beyond, SPREAD(next[i]), SPREAD(one[i]));
}

static vec margin_interval(struct work *w, const vec *row) {
    vec centre = {0}, spread = {0};
    for (long i = 0; i < KERNEL(&layers[HIDDEN]); i++) {
        centre += row[i] * w->centre[HIDDEN][i];
        spread += magnitude(row[i]) * w->radius[HIDDEN][i];
    }
    return centre - spread;
}

/* Adds to the gradient of the row's coefficients. */
static void margin_interval_gradient(struct work *w, const vec *row, vec g, vec *drow) {
    struct neurons *n = &w->neurons[HIDDEN - 1];
    const vec *c = w->centre[HIDDEN], *r = w->radius[HIDDEN];
    for (long i = 0; i < KERNEL(&layers[HIDDEN]); i++) {
        vec sign = sign_of(row[i]), dc = g * row[i] / 2, dr = -g * magnitude(row[i]) / 2;
        drow[i] += g * (c[i] - sign * r[i]);
        n->dli[i] += (vec)((n->li[i] > 0) & (bits)(dc - dr));
        n->dui[i] += (vec)((n->ui[i] > 0) & (bits)(dc + dr));
    }
}

static void margins_gradient(struct work *w, vec labels, const vec *dinterval, const vec *drows) {
    const long size = KERNEL(&layers[HIDDEN]);
    struct accumulated *sum = &w->sum[HIDDEN];
    vec *drow = w->coefficients + size, *dtrue = drow + size;
    clear(dtrue, size);
    route(w, HIDDEN, 0, 0);
    for (int m = 0; m < layers[HIDDEN].o - 1; m++) {
        bits beyond = labels <= (real)m;
        clear(drow, size);
        margin(w, m, beyond, w->coefficients);
        if (w->call->rows & IBP) margin_interval_gradient(w, w->coefficients, dinterval[m], drow);
        if (w->call->rows & SUBSTITUTED) {
            memcpy(w->frame[HIDDEN], w->coefficients, sizeof(vec) * size);
            const vec *d = row_gradient(w, HIDDEN, drows[m]);
            for (long i = 0; i < size; i++) drow[i] += d[i];
        }
        vec g = dinterval[m] + drows[m], *one = sum->weight + m * size, *next = one + size;
        for (long i = 0; i < size; i++) {
            dtrue[i] += drow[i];
            one[i] -= (vec)(~beyond & (bits)drow[i]);
            next[i] -= (vec)(beyond & (bits)drow[i]);
        }
        sum->bias[m] -= (vec)(~beyond & (bits)g);
        sum->bias[m + 1] -= (vec)(beyond & (bits)g);
        for (int c = 0; c < layers[HIDDEN].o; c++) sum->bias[c] += (vec)((labels == (real)c) & (bits)g);
    }
    for (int c = 0; c < layers[HIDDEN].o; c++) {
        bits is = labels == (real)c;
        if (!any(is)) continue;
        vec *total = sum->weight + c * size;
        for (long i = 0; i < size; i++) total[i] += (vec)(is & (bits)dtrue[i]);
    }
}

/* Bounds, loss and images proved; with a gradient wanted, back to the boxes. */
static void margins(struct work *w, const int64_t *which) {
    enum { ROWS = CLASSES - 1 };
    const long size = KERNEL(&layers[HIDDEN]);
    vec labels, offset, bounds[ROWS], dinterval[ROWS], drows[ROWS];
    for (int v = 0; v < LANES; v++) {
        long t = which[v < w->lanes ? v : 0];
        const real *kernel = weight(w, HIDDEN) + t * size;
        labels[v] = t;
        for (long i = 0; i < size; i++) w->true_row[i][v] = kernel[i];
        offset[v] = bias(w, HIDDEN)[t];
    }
    route(w, HIDDEN, 0, 0);
    for (int m = 0; m < ROWS; m++) {
        bits beyond = labels <= (real)m;
        vec below = offset - chosen(beyond, SPREAD(bias(w, HIDDEN)[m + 1]), SPREAD(bias(w, HIDDEN)[m])), one = SPREAD(1);
        margin(w, m, beyond, w->frame[HIDDEN]);
        dinterval[m] = drows[m] = (vec){0};
        if (w->call->rows == IBP) {
            bounds[m] = margin_interval(w, w->frame[HIDDEN]);
            dinterval[m] = one;
        } else {
            bounds[m] = row(w, HIDDEN);
            drows[m] = one;
        }
        if (w->call->rows == (IBP | SUBSTITUTED)) {
            vec other = margin_interval(w, w->frame[HIDDEN]);
            drows[m] = chosen(bounds[m] > other, one, (vec){0});
            dinterval[m] = one - drows[m];
            bounds[m] = larger(bounds[m], other);
        }
        bounds[m] += below;
    }
    for (int v = 0; v < LANES; v++) {
        double most = 0, total, terms[ROWS];
        for (int m = 0; m < ROWS; m++) most = -bounds[m][v] > most ? -bounds[m][v] : most;
        total = exp(-most);
        int proved = 1;
        for (int m = 0; m < ROWS; m++) {
            total += terms[m] = exp(-bounds[m][v] - most);
            proved &= bounds[m][v] > 0;
        }
        if (v < w->lanes) w->sums[0] += most + log(total), w->sums[1] += proved;
        for (int m = 0; m < ROWS; m++) {
            real g = v < w->lanes ? -w->call->weight * terms[m] / total : 0;
            dinterval[m][v] *= g, drows[m][v] *= g;
        }
    }
    if (!w->call->gradient) return;
    for (int k = 0; k < HIDDEN; k++) clear(w->neurons[k].dl, 7 * MAP(&layers[k]));
    margins_gradient(w, labels, dinterval, drows);
}
