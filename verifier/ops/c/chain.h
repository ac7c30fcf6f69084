/* Back-substitution through a chain of ReLUs and convolutions onto a box around the input: for every row

     out = sum over the ReLUs of (A+ lower + A- upper)  -  |A| radius

   with A carried from one ReLU to the next by `steps` (step.h). Members of a population share or have their own
   weights, lines and coefficients, by strides of 0 or more. All arrays are contiguous; rows are padded to whole tiles
   of LANES with zeros. */

struct call {
    long members, inputs, tiles;
    real *coef;             /* [member, input, position, tile, entry, LANES], the first three by these strides: */
    long coef_member, coef_input, coef_position;
    struct lines *lines;             /* one per step; [member, input, C, H, W] */
    long *lines_member;              /* 0 or inputs * C * H * W */
    real **weights;                  /* one per step */
    long *weights_member;
    real *radius;                    /* [member, input, I, H, W] */
    long radius_member;
    real *scratch;
};

/* What the steps leave behind for the gradient. */
struct pass {
    struct rows rows[STEPS + 1];     /* before each ReLU's lines, and at the end */
    vec *relaxed[STEPS];
    vec *frame[STEPS];
};

static vec *carve(real **scratch, long entries) {
    vec *piece = (vec *)*scratch;
    *scratch += entries * LANES;
    return piece;
}

static struct pass prepare(real **scratch) {
    struct pass pass;
    for (int k = 0; k < STEPS; k++) {
        const struct step *s = &steps[k];
        pass.relaxed[k] = carve(scratch, s->entries);
        pass.frame[k] = carve(scratch, s->frame);
        pass.rows[k + 1] = (struct rows){(real *)(pass.frame[k] + s->corner), (long)s->frame_plane * LANES,
                                         (long)s->frame_line * LANES, LANES};
    }
    return pass;
}

static struct lines lines_of(struct lines base, long offset) {
    return (struct lines){base.low + offset, base.up + offset, base.lower + offset, base.upper + offset};
}

static struct rows tile_at(real *coef) {
    return (struct rows){coef, (long)steps[0].rows_h * steps[0].rows_w * LANES, steps[0].rows_w * LANES, LANES};
}

static struct lines step_lines(const struct call *call, struct lines *all, int k, long member, long input) {
    return lines_of(all[k], member * call->lines_member[k] + input * steps[k].map);
}

INLINE vec all_steps(const struct call *call, struct pass *pass, long member, long input, int py, int px) {
    vec constant = {0};
    for (int k = 0; k < STEPS; k++) {
        const struct step *s = &steps[k];
        struct lines lines = step_lines(call, call->lines, k, member, input);
        constant += s->relax(pass->rows[k], lines, s->start_y + py * s->stride_y, s->start_x + px * s->stride_x,
                             pass->relaxed[k]);
        s->transpose(pass->relaxed[k], call->weights[k] + member * call->weights_member[k], pass->frame[k]);
    }
    return constant;
}

void substitute(const struct call *call, real *out) {
    real *scratch = call->scratch;
    struct pass pass = prepare(&scratch);
    long tile_size = steps[0].entries * LANES;
    for (long member = 0; member < call->members; member++)
        for (long input = 0; input < call->inputs; input++) {
            const real *radius = call->radius + member * call->radius_member + input * (END_C * END_H * END_W);
            for (int py = 0; py < POSITIONS_Y; py++)
                for (int px = 0; px < POSITIONS_X; px++)
                    for (long tile = 0; tile < call->tiles; tile++, out += LANES) {
                        long position = (long)py * POSITIONS_X + px;
                        pass.rows[0] = tile_at(call->coef + member * call->coef_member + input * call->coef_input +
                                               position * call->coef_position + tile * tile_size);
                        vec total = all_steps(call, &pass, member, input, py, px);
                        int y0 = END_START_Y + py * END_STRIDE_Y, x0 = END_START_X + px * END_STRIDE_X;
                        for (int c = 0; c < END_C; c++)
                            for (int y = y0 < 0 ? -y0 : 0; y < END_RH && y0 + y < END_H; y++)
                                for (int x = x0 < 0 ? -x0 : 0; x < END_RW && x0 + x < END_W; x++)
                                    total -= magnitude(*at(pass.rows[STEPS], c, y, x)) *
                                             radius[((long)c * END_H + y0 + y) * END_W + x0 + x];
                        *(vec *)out = total;
                    }
        }
}

/* The next rows that the gradient reaches, at most LANES from `from` on; returns how many. */
static long next_reached(const real *grad, long rows, long from, long *which) {
    long count = 0;
    for (long row = from; row < rows && count < LANES; row++) {
        which[count] = row;
        count += grad[row] != 0;
    }
    return count;
}

/* The entries of row `row` in tiles [tile, entry, LANES]. */
static real *row_at(real *coef, long row) { return coef + row / LANES * (steps[0].entries * LANES) + row % LANES; }

/* dcoef by the strides of coef, dlines and dweights one per member: all zero at the start, and added to. Only the
   rows that `grad` reaches are looked at: the bounds of a stable neuron, say, change nothing. */
void gradient(const struct call *call, const real *grad, real *dcoef, struct lines *dlines, real **dweights) {
    real *scratch = call->scratch;
    struct pass pass = prepare(&scratch);
    vec *dframe[STEPS], *drelaxed[STEPS], *dw[STEPS];
    struct rows drows[STEPS + 1];
    for (int k = 0; k < STEPS; k++) {
        const struct step *s = &steps[k];
        drelaxed[k] = carve(&scratch, s->entries);
        dframe[k] = carve(&scratch, s->frame);
        dw[k] = carve(&scratch, s->weights);
        drows[k + 1] = pass.rows[k + 1];
        drows[k + 1].base = (real *)(dframe[k] + s->corner);
    }
    vec *picked = carve(&scratch, steps[0].entries), *dpicked = carve(&scratch, steps[0].entries);
    long rows = call->tiles * LANES, which[LANES];
    for (long member = 0; member < call->members; member++) {
        for (int k = 0; k < STEPS; k++) memset(dw[k], 0, sizeof(vec) * steps[k].weights);
        for (long input = 0; input < call->inputs; input++) {
            const real *radius = call->radius + member * call->radius_member + input * (END_C * END_H * END_W);
            for (int py = 0; py < POSITIONS_Y; py++)
                for (int px = 0; px < POSITIONS_X; px++, grad += rows) {
                    long position = (long)py * POSITIONS_X + px, from = 0, count;
                    long offset = member * call->coef_member + input * call->coef_input + position * call->coef_position;
                    for (; (count = next_reached(grad, rows, from, which)); from = which[count - 1] + 1) {
                        vec g = {0};
                        memset(picked, 0, sizeof(vec) * steps[0].entries);
                        for (long l = 0; l < count; l++) {
                            real *row = row_at(call->coef + offset, which[l]), *column = (real *)picked + l;
                            for (long e = 0; e < steps[0].entries; e++) column[e * LANES] = row[e * LANES];
                            g[l] = grad[which[l]];
                        }
                        memset(dpicked, 0, sizeof(vec) * steps[0].entries);
                        pass.rows[0] = tile_at((real *)picked);
                        drows[0] = tile_at((real *)dpicked);
                        all_steps(call, &pass, member, input, py, px);
                        int y0 = END_START_Y + py * END_STRIDE_Y, x0 = END_START_X + px * END_STRIDE_X;
                        memset(dframe[STEPS - 1], 0, sizeof(vec) * steps[STEPS - 1].frame);
                        for (int c = 0; c < END_C; c++)
                            for (int y = y0 < 0 ? -y0 : 0; y < END_RH && y0 + y < END_H; y++)
                                for (int x = x0 < 0 ? -x0 : 0; x < END_RW && x0 + x < END_W; x++) {
                                    vec row = *at(pass.rows[STEPS], c, y, x);
                                    vec slope = g * radius[((long)c * END_H + y0 + y) * END_W + x0 + x];
                                    *at(drows[STEPS], c, y, x) =
                                        (vec)(((row < 0) & (bits)slope) | ((row > 0) & (bits)-slope));
                                }
                        for (int k = STEPS - 1; k >= 0; k--) {
                            const struct step *s = &steps[k];
                            struct lines lines = step_lines(call, call->lines, k, member, input);
                            /* the gradients have a part for every member, also where the lines have not */
                            struct lines to = lines_of(dlines[k], (member * call->inputs + input) * s->map);
                            s->weight_gradient(pass.relaxed[k], dframe[k], dw[k]);
                            s->convolve(dframe[k], call->weights[k] + member * call->weights_member[k], drelaxed[k]);
                            if (k > 0) memset(dframe[k - 1], 0, sizeof(vec) * steps[k - 1].frame);
                            s->relax_gradient(pass.rows[k], lines, s->start_y + py * s->stride_y,
                                              s->start_x + px * s->stride_x, drelaxed[k], g, drows[k], to);
                        }
                        for (long l = 0; l < count; l++) {
                            real *row = row_at(dcoef + offset, which[l]), *column = (real *)dpicked + l;
                            for (long e = 0; e < steps[0].entries; e++) row[e * LANES] += column[e * LANES];
                        }
                    }
                }
        }
        for (int k = 0; k < STEPS; k++)
            for (long j = 0; j < steps[k].weights; j++) dweights[k][member * steps[k].weights + j] = sum(dw[k][j]);
    }
}

/* Entries of scratch that the two functions take, in reals. */
long scratch_reals(int with_gradient) {
    long total = with_gradient ? 2 * steps[0].entries : 0;
    for (int k = 0; k < STEPS; k++)
        total += with_gradient ? 2 * (steps[k].entries + steps[k].frame) + steps[k].weights
                               : steps[k].entries + steps[k].frame;
    return total * LANES;
}
