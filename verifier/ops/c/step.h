/* One step of back-substitution: through a ReLU's lines, then through the convolution below it.

   Defined by whoever includes this file:
     NAME(x)        x with the step's number
     C, H, W        channels and extent of the ReLU's map;  RH, RW: of what the rows see of it
     I, KH, KW, SH, SW    the convolution's weight [C, I, KH, KW] and strides
     FH, FW         extent of the frame that holds the rows after it, without the padding cut off
   The rows' corner lies at (y0, x0) of the map; what lies beside the map does not count. */

#define BLOCK ((14 - KW) / SW + 1 < 1 ? 1 : (14 - KW) / SW + 1 > RW ? RW : (14 - KW) / SW + 1)
#define REST (RW % BLOCK)
#define BESIDE(y, x) ((y) < 0 || (y) >= H || (x) < 0 || (x) >= W)

/* a [C, RH, RW] = rows+ low + rows- up; returns the constants rows+ lower + rows- upper. */
static vec NAME(relax)(struct rows rows, struct lines lines, int y0, int x0, vec *a) {
    vec constant = {0};
    for (int c = 0; c < C; c++)
        for (int y = 0; y < RH; y++)
            for (int x = 0; x < RW; x++, a++) {
                if (BESIDE(y0 + y, x0 + x)) {
                    *a = (vec){0};
                    continue;
                }
                long j = ((long)c * H + y0 + y) * W + x0 + x;
                vec row = *at(rows, c, y, x), pos = positive(row), neg = row - pos;
                *a = pos * lines.low[j] + neg * lines.up[j];
                constant += pos * lines.lower[j] + neg * lines.upper[j];
            }
    return constant;
}

/* The gradient of `relax`: from that of a and of the constants to that of the rows (added) and of the lines (added). */
static void NAME(relax_gradient)(struct rows rows, struct lines lines, int y0, int x0, const vec *da, vec g,
                                 struct rows drows, struct lines dlines) {
    for (int c = 0; c < C; c++)
        for (int y = 0; y < RH; y++)
            for (int x = 0; x < RW; x++, da++) {
                if (BESIDE(y0 + y, x0 + x)) continue;
                long j = ((long)c * H + y0 + y) * W + x0 + x;
                vec row = *at(rows, c, y, x), pos = positive(row), neg = row - pos;
                dlines.low[j] += sum(*da * pos);
                dlines.up[j] += sum(*da * neg);
                dlines.lower[j] += sum(g * pos);
                dlines.upper[j] += sum(g * neg);
                *at(drows, c, y, x) +=
                    chosen(row > 0, *da * lines.low[j] + g * lines.lower[j], *da * lines.up[j] + g * lines.upper[j]);
            }
}

INLINE void NAME(scatter)(const int n, const vec *a, const real *w, int first, int last, int row, vec *frame) {
    vec sums[(BLOCK - 1) * SW + KW];
    UNROLL for (int x = 0; x < (n - 1) * SW + KW; x++) sums[x] = frame[x];
    for (int y = first; y < last; y++)
        for (int c = 0; c < C; c++) {
            const real *kernel = w + ((long)c * I * KH + row - y * SH) * KW;
            const vec *entries = a + ((long)c * RH + y) * RW;
            UNROLL for (int x = 0; x < n; x++)
                UNROLL for (int k = 0; k < KW; k++) sums[x * SW + k] += kernel[k] * entries[x];
        }
    UNROLL for (int x = 0; x < (n - 1) * SW + KW; x++) frame[x] = sums[x];
}

/* frame [I, FH, FW] = the transposed convolution of a [C, RH, RW]. */
static void NAME(transpose)(const vec *a, const real *w, vec *frame) {
    memset(frame, 0, sizeof(vec) * I * FH * FW);
    for (int i = 0; i < I; i++, w += KH * KW)
        for (int row = 0; row < (RH - 1) * SH + KH; row++, frame += FW) {
            int first = row < KH ? 0 : (row - KH) / SH + 1, last = row / SH + 1 < RH ? row / SH + 1 : RH;
            for (int x = 0; x + BLOCK <= RW; x += BLOCK) NAME(scatter)(BLOCK, a + x, w, first, last, row, frame + x * SW);
            if (REST) NAME(scatter)(REST, a + RW - REST, w, first, last, row, frame + (RW - REST) * SW);
            if (row == (RH - 1) * SH + KH - 1) frame += (FH - row - 1) * FW;
        }
}

/* da [C, RH, RW] = the convolution of a frame's gradient, the transpose of `transpose`. */
static void NAME(convolve)(const vec *d, const real *w, vec *da) {
    for (int c = 0; c < C; c++)
        for (int y = 0; y < RH; y++, da += RW) {
            vec sums[RW];
            UNROLL for (int x = 0; x < RW; x++) sums[x] = (vec){0};
            for (int i = 0; i < I; i++)
                for (int ky = 0; ky < KH; ky++) {
                    const real *kernel = w + (((long)c * I + i) * KH + ky) * KW;
                    const vec *line = d + ((long)i * FH + y * SH + ky) * FW;
                    UNROLL for (int k = 0; k < KW; k++)
                        UNROLL for (int x = 0; x < RW; x++) sums[x] += kernel[k] * line[x * SW + k];
                }
            UNROLL for (int x = 0; x < RW; x++) da[x] = sums[x];
        }
}

/* dw [C, I, KH, KW] += the gradient of `transpose` for the weight, lane by lane. */
static void NAME(weight_gradient)(const vec *a, const vec *d, vec *dw) {
    for (int c = 0; c < C; c++)
        for (int i = 0; i < I; i++, dw += KH * KW) {
            vec sums[KH * KW];
            UNROLL for (int k = 0; k < KH * KW; k++) sums[k] = dw[k];
            for (int y = 0; y < RH; y++)
                for (int x = 0; x < RW; x++) {
                    vec entry = a[((long)c * RH + y) * RW + x];
                    const vec *line = d + ((long)i * FH + y * SH) * FW + x * SW;
                    UNROLL for (int ky = 0; ky < KH; ky++)
                        UNROLL for (int k = 0; k < KW; k++) sums[ky * KW + k] += entry * line[ky * FW + k];
                }
            UNROLL for (int k = 0; k < KH * KW; k++) dw[k] = sums[k];
        }
}

#undef BLOCK
#undef REST
#undef BESIDE
#undef NAME
#undef C
#undef H
#undef W
#undef RH
#undef RW
#undef I
#undef KH
#undef KW
#undef SH
#undef SW
#undef FH
#undef FW
