/* DeepPoly's box of every neuron of a layer: two rows each, v and -v. */

/* The row sign * v of neuron (o, y, x): without its bias. */
static vec neuron(struct work *w, int k, int o, real sign) {
    const real *kernel = weight(w, k) + o * KERNEL(&layers[k]);
    for (long i = 0; i < KERNEL(&layers[k]); i++) w->frame[k][i] = SPREAD(sign * kernel[i]);
    return row(w, k) + sign * bias(w, k)[o];
}

/* The box that a neuron would have if its rows ended at the boxes right below, where the lines lead: never better
   than DeepPoly's, so that a neuron which keeps its sign there keeps it. */
static void ended(struct work *w, int k) {
    struct neurons *n = &w->neurons[k], *below = &w->neurons[k - 1];
    for (long i = 0; i < MAP(&layers[k - 1]); i++) w->dvalue[i] = below->low[i] * below->l[i];
    const struct layer *l = &layers[k];
    for (int c = 0; c < l->c; c++)
        for (int y = 0; y < l->h; y++) {
            long i = ((long)c * l->h + y) * l->w, j = ((long)c * l->fh + y + l->pt) * l->fw + l->pl;
            for (int x = 0; x < l->w; x++) {
                vec a = w->dvalue[i + x], b = positive(below->u[i + x]);
                w->ends_centre[j + x] = (a + b) / 2;
                w->ends_radius[j + x] = (b - a) / 2;
            }
        }
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
                    if (!any((*lower < 0) & (*upper > 0))) break;
                    if ((side == 0) == first)
                        *lower = neuron(w, k, o, 1);
                    else
                        *upper = -neuron(w, k, o, -1);
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

static void neuron_gradient(struct work *w, int k, int o, real sign, vec g) {
    if (!any(g != 0)) return;
    neuron(w, k, o, sign);
    const vec *d = row_gradient(w, k, g);
    vec *total = w->sum[k].weight + o * KERNEL(&layers[k]);
    for (long i = 0; i < KERNEL(&layers[k]); i++) total[i] += sign * d[i];
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
