/* One step of back-substitution: through a ReLU's lines, then through the convolution below it.

   Defined by whoever includes this file:
     NAME(x)        x with the step's number
     C, H, W        channels and extent of the ReLU's map;  RH, RW: of what the rows see of it
     I, KH, KW, SH, SW    the convolution's weight [C, I, KH, KW] and strides
     FH, FW         extent of the frame that holds the rows after it, without the padding cut off
     OWN            0, or rows where each has a lower line of its own: lines.low and lines.lower are [C, H, W, OWN]
   The rows' corner lies at (y0, x0) of the map; what lies beside the map does not count. */

#if OWN
#define LOWER(part, j) (*(vec *)((part) + (j) * OWN))
#else
#define LOWER(part, j) ((part)[j])
#endif
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
                *a = pos * LOWER(lines.low, j) + neg * lines.up[j];
                constant += pos * LOWER(lines.lower, j) + neg * lines.upper[j];
            }
    return constant;
}

/* The gradient of `relax`: from that of a and of the constants to that of the rows (added) and of the lines (added). */
static void NAME(relax_gradient)(struct rows rows, struct lines lines, int y0, int x0, const vec *da, vec g,
                                 struct rows drows, struct lines dlines) {
    vec parts[(4 * RW + LANES - 1) / LANES * LANES] = {{0}};
    real sums[sizeof(parts) / sizeof(vec)];
    int first = x0 < 0 ? -x0 : 0, last = x0 + RW > W ? W - x0 : RW;
    for (int c = 0; c < C; c++)
        for (int y = 0; y < RH; y++, da += RW) {
            if (y0 + y < 0 || y0 + y >= H) continue;
            long j = ((long)c * H + y0 + y) * W + x0;
            for (int x = first; x < last; x++) {
                vec row = *at(rows, c, y, x), pos = positive(row), neg = row - pos;
                parts[x] = da[x] * pos;
                parts[RW + x] = da[x] * neg;
                parts[2 * RW + x] = g * pos;
                parts[3 * RW + x] = g * neg;
                *at(drows, c, y, x) +=
                    chosen(row > 0, da[x] * LOWER(lines.low, j + x) + g * LOWER(lines.lower, j + x),
                           da[x] * lines.up[j + x] + g * lines.upper[j + x]);
#if OWN
                LOWER(dlines.low, j + x) += da[x] * pos;
                LOWER(dlines.lower, j + x) += g * pos;
#endif
            }
            for (int i = 0; i < 4 * RW; i += LANES) *(vec *)(sums + i) = sums_of(parts + i);
            for (int x = first; x < last; x++) {
#if !OWN
                dlines.low[j + x] += sums[x];
                dlines.lower[j + x] += sums[2 * RW + x];
#endif
                dlines.up[j + x] += sums[RW + x];
                dlines.upper[j + x] += sums[3 * RW + x];
            }
        }
}

#include "transpose.h"
#include "forget.h"

#undef BESIDE
#undef LOWER
#undef H
#undef W
