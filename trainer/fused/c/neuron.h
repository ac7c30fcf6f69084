/* DeepPoly's box of every neuron of a layer: two rows each, v and -v. */

/* The row sign * v of the neuron at the spot in channel `out` through the lines below it, where its coefficients have the same sign in every
   lane; returns what the lines add. */
static vec neuron_relax(struct work *w, int k, int out, real sign) {
    HERE(k - 1)
    const real *kernel = weight(w, k) + out * KERNEL(&layers[k]);
    vec starts = {0}, values = {0}, *relaxed = w->relaxed[k - 1];
    if (s->bottom - s->top < s->rh || s->right - s->left < s->rw) clear(relaxed, (long)l->o * s->rh * s->rw);
    EACH_LINE(l->o, s) {
        const real *entries = kernel + IN_FRAME(s);
        vec *to = relaxed + IN_ROWS(s);
        long i = ((long)o * l->oh + y) * l->ow;
        for (int x = s->left; x < s->right; x++) {
            real entry = sign * entries[x];
            to[x] = entry * (entry > 0 ? n->low : n->up)[i + x];
            values += to[x] * n->value[i + x];
            if (entry < 0) starts += entry * n->start[i + x];
        }
    }
    return starts + values;
}

/* The row: without its bias. */
static vec neuron(struct work *w, int k, int o, real sign) {
    vec total = neuron_relax(w, k, o, sign);
    return total + below(w, k) + sign * bias(w, k)[o];
}

/* What the ReLUs' boxes make of the rows in `frame` over layer j's ReLUs, where the lines lead: never better than
   going on. */
static vec ended_row(struct work *w, int j, const vec *frame) {
    HERE(j)
    vec above = {0}, under = {0};
    EACH_LINE(l->o, s) {
        const vec *from = frame + IN_FRAME(s);
        long i = ((long)o * l->oh + y) * l->ow;
        for (int x = s->left; x < s->right; x++) {
            vec up = positive(from[x]);
            above += up * (n->low[i + x] * n->l[i + x]);
            under += (from[x] - up) * relu(n->u[i + x]);
        }
    }
    return above + under;
}

/* The row, or on its way a bound that is positive in all lanes that are open. */
static vec neuron_sign(struct work *w, int k, int o, real sign, bits open) {
    vec total = neuron_relax(w, k, o, sign) + sign * bias(w, k)[o];
    for (int j = k - 1; j > 0; j--) {
        passes[k][j].transpose(w->relaxed[j], weight(w, j), w->frame[j]);
        vec bound = total + ended_row(w, j - 1, w->frame[j]);
        if (!any(open & (bound < 0))) return bound;
        total += relax(w, j - 1, w->frame[j], w->relaxed[j - 1]);
    }
    return total - passes[k][0].reach(w->relaxed[0], weight(w, 0), radius_at(w));
}

/* The box that a neuron would have if its rows ended at the boxes right below, where the lines lead: never better
   than DeepPoly's, so that a neuron which keeps its sign there keeps it. */
static void ended(struct work *w, int k) {
    struct neurons *n = &w->neurons[k], *below = &w->neurons[k - 1];
    for (long i = 0; i < MAP(&layers[k - 1]); i++) w->dz[i] = below->low[i] * below->l[i];
    frame_of(w, k, w->dz, below->u, w->ends_centre, w->ends_radius);
    interval(w, k, w->ends_centre, w->ends_radius, n->l, n->u);
}

static void substituted(struct work *w, int k) {
    const struct layer *l = &layers[k];
    struct neurons *n = &w->neurons[k];
    if (!w->call->every) {
        clear(w->ends_centre, FRAME(l)), clear(w->ends_radius, FRAME(l));
        ended(w, k);
    }
    for (int y = 0; y < l->oh; y++)
        for (int x = 0; x < l->ow; x++) {
            route(w, k, y * l->sh - l->pt, x * l->sw - l->pl);
            for (int o = 0; o < l->o; o++) {
                long i = ((long)o * l->oh + y) * l->ow + x;
                vec *lower = &n->l[i], *upper = &n->u[i];
                if (w->call->every) {
                    *lower = neuron(w, k, o, 1), *upper = -neuron(w, k, o, -1);
                    continue;
                }
                int first = sum(*lower + *upper) > 0; /* the likelier to show a sign */
                for (int side = 0; side < 2; side++) {
                    bits open = (*lower < 0) & (*upper > 0);
                    if (!any(open)) break;
                    if ((side == 0) == first)
                        *lower = larger(*lower, neuron_sign(w, k, o, 1, open));
                    else
                        *upper = smaller(*upper, -neuron_sign(w, k, o, -1, open));
                }
            }
        }
}

/* The boxes of a layer that `substituted` leaves, or IBP's intersected with them; or those known from before. */
static void neurons_of(struct work *w, int k) {
    struct neurons *n = &w->neurons[k];
    const long size = MAP(&layers[k]);
    vec *kept = w->kept;
    if (kept) w->kept += 2 * size;
    if (kept && w->call->gradient) {
        memcpy(n->l, kept, sizeof(vec) * size), memcpy(n->u, kept + size, sizeof(vec) * size);
        return;
    }
    substituted(w, k);
    if (w->call->boxes & IBP)
        for (long i = 0; i < size; i++) {
            n->l[i] = larger(n->l[i], n->li[i]);
            n->u[i] = smaller(n->u[i], n->ui[i]);
        }
    if (kept) memcpy(kept, n->l, sizeof(vec) * size), memcpy(kept + size, n->u, sizeof(vec) * size);
}

/* Back through the lines, from w->dstep. */
static void neuron_relax_gradient(struct work *w, int k, int out, real sign, vec g) {
    HERE(k - 1)
    const long first = out * KERNEL(&layers[k]);
    const real *kernel = weight(w, k) + first;
    vec *total = w->sum[k].weight + first;
    EACH_LINE(l->o, s) {
        const real *entries = kernel + IN_FRAME(s);
        const vec *a = w->relaxed[k - 1] + IN_ROWS(s), *da = w->dstep + IN_ROWS(s);
        vec *d = total + IN_FRAME(s);
        long i = ((long)o * l->oh + y) * l->ow;
        for (int x = s->left; x < s->right; x++) {
            real entry = sign * entries[x];
            vec slope = da[x] + g * n->value[i + x];
            n->dvalue[i + x] += g * a[x];
            if (entry > 0) {
                d[x] += sign * (slope * n->low[i + x]);
            } else {
                d[x] += sign * (slope * n->up[i + x] + g * n->start[i + x]);
                n->dup[i + x] += slope * entry;
                n->dstart[i + x] += g * entry;
            }
        }
    }
}

static void neuron_gradient(struct work *w, int k, int o, real sign, vec g) {
    if (!any(g != 0)) return;
    neuron_relax(w, k, o, sign);
    descend(w, k);
    ascend(w, k, g);
    neuron_relax_gradient(w, k, o, sign, g);
    w->sum[k].bias[o] += sign * g;
}

static void substituted_gradient(struct work *w, int k) {
    const struct layer *l = &layers[k];
    struct neurons *n = &w->neurons[k];
    for (int y = 0; y < l->oh; y++)
        for (int x = 0; x < l->ow; x++) {
            route(w, k, y * l->sh - l->pt, x * l->sw - l->pl);
            for (int o = 0; o < l->o; o++) {
                long i = ((long)o * l->oh + y) * l->ow + x;
                neuron_gradient(w, k, o, 1, n->dl[i]);
                neuron_gradient(w, k, o, -1, -n->du[i]);
            }
        }
}
