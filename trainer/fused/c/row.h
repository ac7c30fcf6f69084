/* Rows over the inputs of a layer, carried down to the input box:

     out = sum over the ReLUs of (A+ lower + A- upper)  -  |A| radius   */

/* Where the rows over layer k's inputs go, that begin at (y, x) of the map below. */
static void route(struct work *w, int k, int y, int x) {
    int fh = layers[k].kh, fw = layers[k].kw;
    for (int j = k - 1; j >= -1; j--) {
        struct spot *s = &w->spots[j + 1];
        int h = j < 0 ? layers[0].h : layers[j].oh, wide_ = j < 0 ? layers[0].w : layers[j].ow;
        s->y0 = y, s->x0 = x, s->fh = fh, s->fw = fw;
        s->top = y < 0 ? 0 : y, s->bottom = y + fh < h ? y + fh : h;
        s->left = x < 0 ? 0 : x, s->right = x + fw < wide_ ? x + fw : wide_;
        if (j < 0) break;
        const struct pass *p = &passes[k][j];
        s->dy = p->whole ? 0 : y, s->dx = p->whole ? 0 : x;
        s->rh = p->rh, s->rw = p->rw;
        y = s->dy * layers[j].sh - layers[j].pt, x = s->dx * layers[j].sw - layers[j].pl;
        fh = p->fh, fw = p->fw;
    }
}

#define EACH_LINE(channels, s)                                                                                       \
    for (int o = 0; o < (channels); o++)                                                                             \
        for (int y = (s)->top; y < (s)->bottom; y++)
#define IN_FRAME(s) (((long)o * (s)->fh + y - (s)->y0) * (s)->fw - (s)->x0)
#define IN_ROWS(s) (((long)o * (s)->rh + y - (s)->dy) * (s)->rw - (s)->dx)

/* Layer j's lines and where rows are in its map: copies, as for all the compiler knows a `vec` lies among the pointers. */
#define HERE(j)                                                                                                      \
    const struct layer *l = &layers[j];                                                                              \
    const struct neurons lines = w->neurons[j], *n = &lines;                                                         \
    const struct spot spot = w->spots[(j) + 1], *s = &spot;

/* Through layer j's lines; returns what they add. */
static vec relax(struct work *w, int j, const vec *frame, vec *relaxed) {
    HERE(j)
    vec starts = {0}, values = {0}; /* apart, as one addition waits for the other */
    if (s->bottom - s->top < s->rh || s->right - s->left < s->rw) clear(relaxed, (long)l->o * s->rh * s->rw);
    EACH_LINE(l->o, s) {
        const vec *from = frame + IN_FRAME(s);
        vec *to = relaxed + IN_ROWS(s);
        long i = ((long)o * l->oh + y) * l->ow;
        for (int x = s->left; x < s->right; x++) {
            vec up = positive(from[x]), down = from[x] - up, a = up * n->low[i + x] + down * n->up[i + x];
            starts += down * n->start[i + x];
            values += a * n->value[i + x];
            to[x] = a;
        }
    }
    return starts + values;
}

/* From the rows in w->relaxed[k - 1] on to the last in w->relaxed[0]; returns what the lines on the way add. */
static vec descend(struct work *w, int k) {
    vec total = {0};
    for (int j = k - 1; j > 0; j--) {
        passes[k][j].transpose(w->relaxed[j], weight(w, j), w->frame[j]);
        total += relax(w, j - 1, w->frame[j], w->relaxed[j - 1]);
    }
    return total;
}

/* Of the input's radius, where the frame begins at which the rows end. */
static const vec *radius_at(const struct work *w) {
    return w->input + (long)(w->spots[0].y0 + REACH_TOP) * REACH_W + w->spots[0].x0 + REACH_LEFT;
}

/* All that is below w->relaxed[k - 1]. */
static vec below(struct work *w, int k) {
    vec total = descend(w, k);
    return total - passes[k][0].reach(w->relaxed[0], weight(w, 0), radius_at(w));
}

/* Of w->frame[k] over the inputs of layer k, routed before. */
static vec row(struct work *w, int k) {
    vec total = relax(w, k - 1, w->frame[k], w->relaxed[k - 1]);
    return total + below(w, k);
}

/* Back through layer j's lines: from w->dstep, the gradient of the rows after them, to that of those before. */
static void relax_gradient(struct work *w, int j, vec g, vec *dframe) {
    HERE(j)
    if (s->bottom - s->top < s->fh || s->right - s->left < s->fw) clear(dframe, (long)l->o * s->fh * s->fw);
    EACH_LINE(l->o, s) {
        const vec *rows = w->frame[j + 1] + IN_FRAME(s), *a = w->relaxed[j] + IN_ROWS(s), *da = w->dstep + IN_ROWS(s);
        vec *d = dframe + IN_FRAME(s);
        long i = ((long)o * l->oh + y) * l->ow;
        for (int x = s->left; x < s->right; x++) {
            vec entry = rows[x], down = entry - positive(entry), slope = da[x] + g * n->value[i + x];
            bits up = entry > 0;
            d[x] = slope * chosen(up, n->low[i + x], n->up[i + x]) + g * (vec)(~up & (bits)n->start[i + x]);
            n->dvalue[i + x] += g * a[x];
            n->dup[i + x] += slope * down;
            n->dstart[i + x] += g * down;
        }
    }
}

/* From the gradient g of rows that went down from w->relaxed[k - 1] to that of these, in w->dstep. */
static void ascend(struct work *w, int k, vec g) {
    vec *from = passes[k][0].whole ? w->dinput : w->dframe[0];
    passes[k][0].reach_gradient(w->relaxed[0], weight(w, 0), radius_at(w), g, from);
    for (int j = 0; j < k; j++) {
        if (j) relax_gradient(w, j - 1, g, from = w->dframe[j % 2]);
        passes[k][j].convolve(from, weight(w, j), w->dstep);
        passes[k][j].weight_gradient(w->relaxed[j], from, w->sum[j].weight);
    }
}

/* The gradient g of the row in w->frame[k]; returns that of its coefficients. */
static const vec *row_gradient(struct work *w, int k, vec g) {
    relax(w, k - 1, w->frame[k], w->relaxed[k - 1]);
    descend(w, k);
    ascend(w, k, g);
    relax_gradient(w, k - 1, g, w->dframe[k % 2]);
    return w->dframe[k % 2];
}
