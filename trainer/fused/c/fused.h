/* Bounds, loss and gradient of a chain of convolutions and products with ReLUs between them: LANES images side by side.

   `layers` (LAYERS of them, the last without a ReLU) and `passes` are the network's own, see layer.h. The boxes are
   IBP's, DeepPoly's, or both intersected; the rows (margins of the label) end at IBP's boxes, at the input, or both. */

enum { IBP = 1, SUBSTITUTED = 2 };
enum { STATISTICS = 9 };
#define HIDDEN (LAYERS - 1)

struct call {
    const real *lower, *upper; /* [images, entries] */
    const int64_t *labels;     /* [images] */
    const real *parameters;    /* [members, weights and biases of each layer in turn] */
    int64_t images, members;
    int64_t boxes, rows; /* IBP, SUBSTITUTED, or both */
    int64_t every;       /* whether every neuron's box counts, not only what the lines need */
    double *sums;        /* [members, 2]: loss, images proved; added to, as all that follows */
    double *statistics;  /* [members, HIDDEN, STATISTICS]; NULL: not wanted */
    double weight;       /* of the loss in what is minimised */
    const double *slopes; /* [HIDDEN, STATISTICS], of what is minimised for the statistics; NULL: they do not count */
    double *gradient;     /* as the parameters, of a single member; NULL: not wanted */
    real *kept;           /* [members, `kept(images)`]: boxes, left for a gradient to come or known to it; NULL: neither */
    char *scratch;
};

/* Maps of a layer with a ReLU: its own and, where they differ, IBP's boxes; lines; the value where rows take it, that of
   the first layer at the box's centre, else the bias; gradients. */
struct neurons {
    vec *l, *u, *li, *ui, *low, *up, *start, *value;
    vec *dl, *du, *dli, *dui, *dup, *dstart, *dvalue;
};
struct accumulated {
    vec *weight, *magnitude, *bias;
};
/* A row's way down: where the frame of its coefficients lies in a map, and the part that its entries after the ReLU
   take. */
struct spot {
    int y0, x0, fh, fw, dy, dx, rh, rw, top, bottom, left, right;
};
struct work {
    const struct call *call;
    const real *weights[LAYERS], *biases[LAYERS]; /* of the member */
    double *sums, *statistics;
    vec *centre[LAYERS], *radius[LAYERS]; /* frames: of IBP's box */
    vec *ends_centre, *ends_radius;       /* a frame: of the box that the lines below make */
    vec *dcentre, *dradius, *dz, *drad;
    vec *input, *dinput; /* the input's radius, with all that rows see beside it; of a whole frame of it */
    real *magnitudes[LAYERS];
    struct neurons neurons[LAYERS];
    struct accumulated sum[LAYERS];
    vec *frame[LAYERS + 1], *dframe[2], *relaxed[LAYERS], *dstep, *coefficients, *true_row;
    struct spot spots[LAYERS];
    vec live, *kept;
    long lanes;
};

INLINE const real *weight(const struct work *w, int k) { return w->weights[k]; }
INLINE const real *bias(const struct work *w, int k) { return w->biases[k]; }
static void clear(vec *a, long n) { memset(a, 0, sizeof(vec) * n); }

#include "lines.h"
#include "box.h"
#include "row.h"
#include "neuron.h"
#include "margins.h"
#include "memory.h"

static void load(struct work *w, long first) {
    const struct call *call = w->call;
    const struct layer *l = &layers[0];
    long entries = (long)l->c * l->h * l->w, which[LANES];
    w->lanes = call->images - first < LANES ? call->images - first : LANES;
    for (int v = 0; v < LANES; v++) {
        which[v] = (first + (v < w->lanes ? v : 0)) * entries;
        w->live[v] = v < w->lanes;
    }
    for (int c = 0; c < l->c; c++)
        for (int y = 0; y < l->h; y++)
            for (int x = 0; x < l->w; x++) {
                long i = ((long)c * l->h + y) * l->w + x, j = ((long)c * l->fh + y + l->pt) * l->fw + x + l->pl;
                vec lower, upper;
                for (int v = 0; v < LANES; v++) lower[v] = call->lower[which[v] + i], upper[v] = call->upper[which[v] + i];
                w->centre[0][j] = (lower + upper) / 2;
                w->radius[0][j] = upper - w->centre[0][j];
                w->input[((long)c * REACH_H + y + REACH_TOP) * REACH_W + x + REACH_LEFT] = w->radius[0][j];
            }
}

static void boxes(struct work *w) {
    int intervals = (w->call->boxes & IBP) || (w->call->rows & IBP);
    for (int k = 0; k < HIDDEN; k++) {
        const struct layer *l = &layers[k];
        struct neurons *n = &w->neurons[k];
        if (k == 0 || intervals) {
            interval(w, k, w->centre[k], w->radius[k], n->li, n->ui);
            for (long i = 0; i < MAP(l); i++) w->dz[i] = relu(n->li[i]);
            frame_of(w, k + 1, w->dz, n->ui, w->centre[k + 1], w->radius[k + 1]);
        }
        if (k > 0 && (w->call->boxes & SUBSTITUTED))
            neurons_of(w, k);
        else
            memcpy(n->l, n->li, sizeof(vec) * MAP(l)), memcpy(n->u, n->ui, sizeof(vec) * MAP(l));
        if (w->statistics) count(w, k);
        if (w->call->rows & SUBSTITUTED || w->call->boxes & SUBSTITUTED)
            for (long i = 0; i < MAP(l); i++) lines_of(n->l[i], n->u[i], &n->low[i], &n->up[i], &n->start[i]);
    }
}

static void boxes_gradient(struct work *w) {
    int intervals = (w->call->boxes & IBP) || (w->call->rows & IBP);
    for (int k = HIDDEN - 1; k >= 0; k--) {
        const struct layer *l = &layers[k];
        struct neurons *n = &w->neurons[k];
        for (long i = 0; i < MAP(l); i++) lines_gradient(n->l[i], n->u[i], n->dup[i], n->dstart[i], &n->dl[i], &n->du[i]);
        const long plane = (long)l->oh * l->ow;
        for (long i = 0; k > 0 && i < MAP(l); i++) w->sum[k].bias[i / plane] += n->dvalue[i];
        if (w->call->slopes) count_gradient(w, k);
        if (k > 0 && (w->call->boxes & SUBSTITUTED)) {
            if (w->call->boxes & IBP) intersection_gradient(w, k);
            substituted_gradient(w, k);
        } else
            for (long i = 0; i < MAP(l); i++) n->dli[i] += n->dl[i], n->dui[i] += n->du[i];
        if (k == 0 || intervals) interval_gradient(w, k);
    }
}

/* Takes the weights of a member. */
static void weights_of(struct work *w, long member) {
    const real *p = w->call->parameters + member * PARAMETERS;
    w->sums = w->call->sums + 2 * member;
    w->statistics = w->call->statistics ? w->call->statistics + member * HIDDEN * STATISTICS : NULL;
    for (int k = 0; k < LAYERS; k++) {
        w->weights[k] = p;
        w->biases[k] = p += WEIGHTS(&layers[k]);
        p += layers[k].o;
        for (long i = 0; i < WEIGHTS(&layers[k]); i++) w->magnitudes[k][i] = fabs(w->weights[k][i]);
        const long plane = (long)layers[k].oh * layers[k].ow;
        for (long i = 0; k > 0 && k < HIDDEN && i < MAP(&layers[k]); i++)
            w->neurons[k].value[i] = SPREAD(w->biases[k][i / plane]);
    }
}

/* Of the boxes that are kept, of LANES images. */
static long kept_entries(void) {
    long entries = 0;
    for (int k = 1; k < HIDDEN; k++) entries += 2 * MAP(&layers[k]);
    return entries;
}

/* Reals that keep the boxes of so many images. */
long kept(int64_t images) { return (images + LANES - 1) / LANES * LANES * kept_entries(); }

void run(const struct call *call) {
    struct work w = {.call = call};
    memory(&w, call->scratch);
    for (long first = 0; first < call->images; first += LANES) {
        load(&w, first);
        for (long member = 0; member < call->members; member++) {
            if (member || !first || call->members > 1) weights_of(&w, member);
            if (call->kept) w.kept = (vec *)(call->kept + member * kept(call->images)) + first / LANES * kept_entries();
            boxes(&w);
            margins(&w, call->labels + first);
            if (call->gradient) boxes_gradient(&w);
        }
    }
    if (call->gradient) give(&w);
}
