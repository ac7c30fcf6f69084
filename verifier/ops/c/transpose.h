/* The convolution below a ReLU, from the side of back-substituted rows: its transpose, and the gradients of that.

   Defined by whoever includes this file: NAME(x), C, RH, RW, I, KH, KW, SH, SW, FH, FW, see step.h; and, where not all
   of the frame counts, TOP, LEFT, SEEN_H, SEEN_W: the part that does. `forget.h` ends the definitions. */

#ifndef TOP
#define TOP 0
#define LEFT 0
#define SEEN_H FH
#define SEEN_W FW
#endif

#define REGISTERS (sizeof(vec) == 64 ? 28 : 14) /* for sums */
#define LEAST(a, b) ((a) < (b) ? (a) : (b))
/* A line of the frame in parts of as many sums as registers hold; of a short one, two inputs' at a time. */
#define PARTS LEAST((SEEN_W + REGISTERS - 1) / REGISTERS, 8)
#define PART ((SEEN_W + PARTS - 1) / PARTS)
#define PAIR (I % 2 == 0 && 2 * PART <= REGISTERS ? 2 : 1)
/* Channels at a time: as many sums as registers hold. */
#define GROUP(sums) (C % 8 == 0 && 8 * (sums) <= REGISTERS ? 8 : C % 4 == 0 && 4 * (sums) <= REGISTERS ? 4 : \
                     C % 2 == 0 && 2 * (sums) <= REGISTERS ? 2 : 1)
#define DEEP (GROUP(KW) * KW * KH <= REGISTERS ? KH : KH % 2 == 0 && GROUP(KW) * KW * 2 <= REGISTERS ? 2 : 1)
/* of a large frame, lines that stay in the first cache */
#define LINES (FH * FW * sizeof(vec) <= 24576 ? RH : (int)(16384 / (FW * SH * sizeof(vec))) + 1)

/* The sums of a line's entries from column `left` on, for PAIR inputs; `w` is the kernel of the first of them. */
INLINE void NAME(part)(const int left, const vec *a, const real *w, int row, vec (*sums)[PART]) {
    int first = row < KH ? 0 : (row - KH) / SH + 1, last = LEAST(row / SH + 1, RH);
    UNROLL for (int b = 0; b < PAIR; b++)
        UNROLL for (int p = 0; p < PART; p++) sums[b][p] = (vec){0};
    for (int y = first; y < last; y++)
        for (int c = 0; c < C; c++) {
            const real *kernel = w + ((long)c * I * KH + row - y * SH) * KW;
            const vec *entries = a + ((long)c * RH + y) * RW;
            UNROLL for (int x = 0; x < RW; x++)
                UNROLL for (int k = 0; k < KW; k++) {
                    const int p = x * SW + k - left;
                    if (p < 0 || p >= PART) continue;
                    UNROLL for (int b = 0; b < PAIR; b++) sums[b][p] += kernel[b * KH * KW + k] * entries[x];
                }
        }
}

/* frame [I, FH, FW] = the transposed convolution of a [C, RH, RW], where it counts; the rest is left. */
static void NAME(transpose)(const vec *a, const real *w, vec *frame) {
    for (int row = TOP; row < TOP + SEEN_H; row++)
        for (int i = 0; i < I; i += PAIR) {
            vec *line = frame + ((long)i * FH + row) * FW + LEFT;
#define PUT(m)                                                                                                    \
    if (m < PARTS) {                                                                                                 \
        vec sums[PAIR][PART];                                                                                        \
        NAME(part)(LEFT + (m) * PART, a, w + i * KH * KW, row, sums);                                               \
        UNROLL for (int b = 0; b < PAIR; b++)                                                                        \
            UNROLL for (int p = 0; p < LEAST(PART, SEEN_W - (m) * PART); p++)                                       \
                line[b * FH * FW + (m) * PART + p] = sums[b][p];                                                    \
    }
            PUT(0) PUT(1) PUT(2) PUT(3) PUT(4) PUT(5) PUT(6) PUT(7)
#undef PUT
        }
}

/* da [C, RH, RW] = the convolution of a frame's gradient, the transpose of `transpose`. */
static void NAME(convolve)(const vec *d, const real *w, vec *da) {
    for (int y = 0; y < RH; y++)
        for (int c = 0; c < C; c += GROUP(RW)) {
            vec sums[GROUP(RW)][RW];
            UNROLL for (int b = 0; b < GROUP(RW); b++)
                UNROLL for (int x = 0; x < RW; x++) sums[b][x] = (vec){0};
            for (int i = 0; i < I; i++)
                for (int ky = 0; ky < KH; ky++) {
                    const real *kernel = w + (((long)c * I + i) * KH + ky) * KW;
                    const vec *line = d + ((long)i * FH + y * SH + ky) * FW;
                    UNROLL for (int k = 0; k < KW; k++)
                        UNROLL for (int x = 0; x < RW; x++)
                            UNROLL for (int b = 0; b < GROUP(RW); b++)
                                sums[b][x] += kernel[b * I * KH * KW + k] * line[x * SW + k];
                }
            UNROLL for (int b = 0; b < GROUP(RW); b++)
                UNROLL for (int x = 0; x < RW; x++) da[((c + b) * RH + y) * RW + x] = sums[b][x];
        }
}

/* dw [C, I, KH, KW] += the gradient of `transpose` for the weight, lane by lane; LINES of the rows at a time. */
static void NAME(weight_gradient)(const vec *a, const vec *d, vec *dw) {
    for (int top = 0; top < RH; top += LINES)
        for (int c = 0; c < C; c += GROUP(KW))
            for (int i = 0; i < I; i++)
                for (int ky = 0; ky < KH; ky += DEEP) {
                    vec sums[GROUP(KW)][DEEP * KW], *total = dw + ((c * I + i) * KH + ky) * KW;
                    UNROLL for (int b = 0; b < GROUP(KW); b++)
                        UNROLL for (int k = 0; k < DEEP * KW; k++) sums[b][k] = total[b * I * KH * KW + k];
                    for (int y = top; y < top + LINES && y < RH; y++)
                        _Pragma("GCC unroll 4") for (int x = 0; x < RW; x++) {
                            const vec *entry = a + ((long)c * RH + y) * RW + x;
                            const vec *line = d + ((long)i * FH + y * SH + ky) * FW + x * SW;
                            UNROLL for (int dy = 0; dy < DEEP; dy++)
                                UNROLL for (int k = 0; k < KW; k++)
                                    UNROLL for (int b = 0; b < GROUP(KW); b++)
                                        sums[b][dy * KW + k] += entry[b * RH * RW] * line[dy * FW + k];
                        }
                    UNROLL for (int b = 0; b < GROUP(KW); b++)
                        UNROLL for (int k = 0; k < DEEP * KW; k++) total[b * I * KH * KW + k] = sums[b][k];
                }
}
