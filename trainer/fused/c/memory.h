/* Where everything lies, and what is left of the sums at the end. */

static char *place(char **scratch, long bytes) {
    char *piece = *scratch;
    *scratch += (bytes + 63) / 64 * 64;
    return piece;
}

static vec *carve(char **scratch, long entries, int zeros) {
    vec *piece = (vec *)place(scratch, sizeof(vec) * entries);
    if (zeros && entries) clear(piece, entries);
    return piece;
}

static long most(long a, long b) { return a > b ? a : b; }

/* Lays out `w`; returns the bytes taken. With scratch NULL nothing is written. */
static long memory(struct work *w, char *scratch) {
    char *p = scratch;
    int zeros = scratch != NULL;
    long map = 0, frame = 0, kernel = 0, rows[LAYERS] = {0}, frames[LAYERS + 1] = {0}, entry = 0;
    for (int k = 0; k < LAYERS; k++) {
        map = most(map, MAP(&layers[k])), frame = most(frame, FRAME(&layers[k])), kernel = most(kernel, KERNEL(&layers[k]));
        frames[k] = most(frames[k], KERNEL(&layers[k]));
        for (int j = 0; j < k; j++) {
            rows[j] = most(rows[j], (long)layers[j].o * passes[k][j].rh * passes[k][j].rw);
            frames[j] = most(frames[j], (long)layers[j].c * passes[k][j].fh * passes[k][j].fw);
        }
    }
    for (int k = 0; k < LAYERS; k++) {
        const struct layer *l = &layers[k];
        struct neurons *n = &w->neurons[k];
        w->centre[k] = carve(&p, FRAME(l), zeros), w->radius[k] = carve(&p, FRAME(l), zeros);
        w->magnitudes[k] = (real *)place(&p, sizeof(real) * WEIGHTS(l));
        vec **parts[] = {&n->dl, &n->du, &n->dli, &n->dui, &n->dup, &n->dstart, &n->dvalue, /* these cleared at once */
                         &n->l,  &n->u,  &n->li,  &n->ui,  &n->low, &n->up,     &n->start,  &n->value};
        for (int i = 0; i < 15; i++) *parts[i] = (vec *)p, p += sizeof(vec) * MAP(l);
        w->sum[k].weight = carve(&p, WEIGHTS(l), zeros && w->call->gradient);
        w->sum[k].magnitude = carve(&p, k < HIDDEN ? WEIGHTS(l) : 0, zeros && w->call->gradient);
        w->sum[k].bias = carve(&p, l->o, zeros && w->call->gradient);
        w->frame[k] = carve(&p, frames[k], 0);
        w->relaxed[k] = carve(&p, rows[k], 0);
        entry = most(entry, most(frames[k], rows[k]));
    }
    w->ends_centre = carve(&p, frame, 0), w->ends_radius = carve(&p, frame, 0);
    w->dcentre = carve(&p, frame, 0), w->dradius = carve(&p, frame, 0);
    w->dz = carve(&p, map, 0), w->drad = carve(&p, map, 0), w->dstep = carve(&p, most(map, entry), 0);
    w->input = carve(&p, (long)layers[0].c * REACH_H * REACH_W, zeros), w->dinput = carve(&p, FRAME(&layers[0]), zeros);
    w->dframe[0] = carve(&p, most(entry, kernel), 0), w->dframe[1] = carve(&p, most(entry, kernel), 0);
    w->coefficients = carve(&p, 3 * kernel, 0), w->true_row = carve(&p, kernel, 0);
    return p - scratch;
}

long bytes(void) {
    struct work w = {0};
    return memory(&w, NULL);
}

/* Adds the gradient, lanes in their order. */
static void give(struct work *w) {
    double *to = w->call->gradient;
    for (int k = 0; k < LAYERS; k++) {
        const real *values = weight(w, k);
        for (long i = 0; i < WEIGHTS(&layers[k]); i++) {
            vec total = w->sum[k].weight[i];
            if (k < HIDDEN) total += w->sum[k].magnitude[i] * (real)((values[i] > 0) - (values[i] < 0));
            *to++ += sum(total);
        }
        for (int o = 0; o < layers[k].o; o++) *to++ += sum(w->sum[k].bias[o]);
    }
}
