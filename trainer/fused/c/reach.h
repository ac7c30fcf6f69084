/* Where rows end, at the box around the input: |rows through the first layer| radius, whose frame is never written.

   Defined besides what transpose.h wants, of which this is the end: RADIUS_PLANE, RADIUS_LINE, between channels and
   lines of the radius. It begins at the frame's corner. */

#define EACH_SUM(m, DO)                                                                                              \
    if (m < PARTS) {                                                                                                 \
        vec sums[PAIR][PART];                                                                                        \
        NAME(part)(LEFT + (m) * PART, a, w + i * KH * KW, row, sums);                                                \
        UNROLL for (int b = 0; b < PAIR; b++)                                                                        \
            UNROLL for (int p = 0; p < LEAST(PART, SEEN_W - (m) * PART); p++) {                                      \
                const long column = LEFT + (m) * PART + p;                                                           \
                vec s = sums[b][p], r = radius[(i + b) * RADIUS_PLANE + row * RADIUS_LINE + column];                 \
                DO                                                                                                   \
            }                                                                                                        \
    }
#define ALL_SUMS(DO)                                                                                                 \
    for (int row = TOP; row < TOP + SEEN_H; row++)                                                                   \
        for (int i = 0; i < I; i += PAIR) {                                                                          \
            EACH_SUM(0, DO) EACH_SUM(1, DO) EACH_SUM(2, DO) EACH_SUM(3, DO)                                          \
            EACH_SUM(4, DO) EACH_SUM(5, DO) EACH_SUM(6, DO) EACH_SUM(7, DO)                                          \
        }

static vec NAME(reach)(const vec *a, const real *w, const vec *radius) {
    vec totals[4] = {{0}}; /* as one addition waits for the other */
    ALL_SUMS(totals[p % 4] += magnitude(s) * r;)
    return (totals[0] + totals[1]) + (totals[2] + totals[3]);
}

/* d [I, FH, FW] = the gradient of -g |rows| radius for the rows' frame. */
static void NAME(reach_gradient)(const vec *a, const real *w, const vec *radius, vec g, vec *d) {
    vec minus = -g;
    ALL_SUMS(d[((i + b) * FH + row) * FW + column] = (vec)((s != 0) & ((bits)(minus * r) ^ ((bits)s & SIGN_BIT)));)
}

#undef EACH_SUM
#undef ALL_SUMS
#undef RADIUS_PLANE
#undef RADIUS_LINE
