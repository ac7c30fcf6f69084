/* The convolution below a ReLU, from the side of back-substituted rows: its transpose, and the gradients of that.

   Defined by whoever includes this file: NAME(x), C, RH, RW, I, KH, KW, SH, SW, FH, FW, see step.h. */

#define BLOCK ((14 - KW) / SW + 1 < 1 ? 1 : (14 - KW) / SW + 1 > RW ? RW : (14 - KW) / SW + 1)
#define REST (RW % BLOCK)
/* as many sums as registers hold; of a large frame, a part that stays in the first cache */
#define GROUP (C % 8 == 0 && RW <= 3 ? 8 : C % 4 == 0 && RW <= 6 ? 4 : C % 2 == 0 && RW <= 12 ? 2 : 1)
#define LINES (FH * FW * sizeof(vec) <= 24576 ? RH : (int)(16384 / (FW * SH * sizeof(vec))) + 1)

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
    for (int row = 0; row < (RH - 1) * SH + KH; row++) {
        int first = row < KH ? 0 : (row - KH) / SH + 1, last = row / SH + 1 < RH ? row / SH + 1 : RH;
        for (int i = 0; i < I; i++) {
            vec *line = frame + ((long)i * FH + row) * FW;
            const real *kernel = w + i * KH * KW;
            for (int x = 0; x + BLOCK <= RW; x += BLOCK)
                NAME(scatter)(BLOCK, a + x, kernel, first, last, row, line + x * SW);
            if (REST) NAME(scatter)(REST, a + RW - REST, kernel, first, last, row, line + (RW - REST) * SW);
        }
    }
}

/* da [C, RH, RW] = the convolution of a frame's gradient, the transpose of `transpose`; GROUP channels at a time. */
static void NAME(convolve)(const vec *d, const real *w, vec *da) {
    for (int y = 0; y < RH; y++)
        for (int c = 0; c < C; c += GROUP) {
            vec sums[GROUP][RW];
            UNROLL for (int b = 0; b < GROUP; b++)
                UNROLL for (int x = 0; x < RW; x++) sums[b][x] = (vec){0};
            for (int i = 0; i < I; i++)
                for (int ky = 0; ky < KH; ky++) {
                    const real *kernel = w + (((long)c * I + i) * KH + ky) * KW;
                    const vec *line = d + ((long)i * FH + y * SH + ky) * FW;
                    UNROLL for (int k = 0; k < KW; k++)
                        UNROLL for (int x = 0; x < RW; x++)
                            UNROLL for (int b = 0; b < GROUP; b++)
                                sums[b][x] += kernel[b * I * KH * KW + k] * line[x * SW + k];
                }
            UNROLL for (int b = 0; b < GROUP; b++)
                UNROLL for (int x = 0; x < RW; x++) da[((c + b) * RH + y) * RW + x] = sums[b][x];
        }
}

/* dw [C, I, KH, KW] += the gradient of `transpose` for the weight, lane by lane; LINES of the rows at a time. */
static void NAME(weight_gradient)(const vec *a, const vec *d, vec *dw) {
    for (int top = 0; top < RH; top += LINES)
        for (int c = 0; c < C; c++)
            for (int i = 0; i < I; i++) {
                vec sums[KH * KW], *total = dw + (c * I + i) * KH * KW;
                UNROLL for (int k = 0; k < KH * KW; k++) sums[k] = total[k];
                for (int y = top; y < top + LINES && y < RH; y++)
                    for (int x = 0; x < RW; x++) {
                        vec entry = a[((long)c * RH + y) * RW + x];
                        const vec *line = d + ((long)i * FH + y * SH) * FW + x * SW;
                        UNROLL for (int ky = 0; ky < KH; ky++)
                            UNROLL for (int k = 0; k < KW; k++) sums[ky * KW + k] += entry * line[ky * FW + k];
                    }
                UNROLL for (int k = 0; k < KH * KW; k++) total[k] = sums[k];
            }
}

#undef GROUP
#undef LINES
#undef BLOCK
#undef REST
#undef NAME
#undef C
#undef RH
#undef RW
#undef I
#undef KH
#undef KW
#undef SH
#undef SW
#undef FH
#undef FW
