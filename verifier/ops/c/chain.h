/* Back-substitution through a chain of ReLUs and convolutions onto a box around the input: for every row

     out = sum over the ReLUs of (A+ lower + A- upper)  -  |A| radius

   with A carried from one ReLU to the next by `steps` (step.h). Members of a population share or have their own
   weights, lines and coefficients, by strides of 0 or more. All arrays are contiguous; rows are padded to whole tiles
   of LANES with zeros. */

struct call {
    long members, inputs, tiles;
    real *coef;             /* [member, input, position, tile, entry, LANES], the first three by these strides: */
    long coef_member, coef_input, coef_position;
    struct lines *lines;             /* one per step; [member, input, C, H, W], see step.h for OWN */
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

/* From `offset` on, of a tile that begins with row `row`. */
static struct lines lines_of(struct lines base, long offset, long row) {
    long own = OWN ? offset * OWN + row : offset;
    return (struct lines){base.low + own, base.up + offset, base.lower + own, base.upper + offset};
}

static real *position_of(const struct call *call, real *coef, long member, long input, int py, int px) {
    long position = (long)py * POSITIONS_X + px;
    return coef + member * call->coef_member + input * call->coef_input + position * call->coef_position;
}

static struct lines step_lines(const struct call *call, int k, long member, long input, long row) {
    return lines_of(call->lines[k], member * call->lines_member[k] + input * steps[k].map, row);
}

INLINE vec all_steps(const struct call *call, struct pass *pass, long member, long input, long row, int py, int px) {
    vec constant = {0};
    for (int k = 0; k < STEPS; k++) {
        const struct step *s = &steps[k];
        struct lines lines = step_lines(call, k, member, input, row);
        constant += s->relax(pass->rows[k], lines, s->start_y + py * s->stride_y, s->start_x + px * s->stride_x,
                             pass->relaxed[k]);
        s->transpose(pass->relaxed[k], call->weights[k] + member * call->weights_member[k], pass->frame[k]);
    }
    return constant;
}

/* Tile by tile through the rows of a position: as they lie, or, where that makes fewer tiles, only those that are
   wanted (not 0), gathered. */
struct walk {
    const real *wanted; /* [tile, LANES]; NULL: all */
    long rows, next, count, which[LANES];
    int gathers;
};

static struct walk walk_over(const real *wanted, long tiles) {
    struct walk walk = {wanted, tiles * LANES, 0, LANES, {0}, 0};
    if (wanted && !OWN) {
        long count = 0;
        for (long row = 0; row < walk.rows; row++) count += wanted[row] != 0;
        walk.gathers = (count + LANES - 1) / LANES < tiles;
    }
    return walk;
}

/* Goes to the next tile, `which` of `count` rows; 0 at the end. */
static int next_tile(struct walk *walk) {
    if (!walk->gathers) {
        for (int l = 0; l < LANES; l++) walk->which[l] = walk->next + l;
        walk->next += LANES;
        return walk->next <= walk->rows;
    }
    walk->count = 0;
    for (; walk->next < walk->rows && walk->count < LANES; walk->next++) {
        walk->which[walk->count] = walk->next;
        walk->count += walk->wanted[walk->next] != 0;
    }
    return walk->count > 0;
}

static real *column_of(const struct walk *walk, real *coef, int lane) {
    long row = walk->which[lane];
    return coef + row / LANES * (steps[0].entries * LANES) + row % LANES;
}

/* The tile's rows of `coef` [tile, entry, LANES], where they lie or in `picked`. */
static struct rows tile_rows(const struct walk *walk, real *coef, vec *picked) {
    real *base = column_of(walk, coef, 0);
    if (walk->gathers) {
        base = (real *)picked;
        memset(picked, 0, sizeof(vec) * steps[0].entries);
        for (int l = 0; l < walk->count; l++) {
            const real *from = column_of(walk, coef, l);
            for (long e = 0; e < steps[0].entries; e++) base[e * LANES + l] = from[e * LANES];
        }
    }
    return (struct rows){base, (long)steps[0].rows_h * steps[0].rows_w * LANES, steps[0].rows_w * LANES, LANES};
}

/* One number for each of the tile's rows. */
static vec tile_numbers(const struct walk *walk, const real *numbers) {
    vec found = {0};
    for (int l = 0; l < walk->count; l++) found[l] = numbers[walk->which[l]];
    return found;
}

/* Rows that are not wanted are left as they are in `out`. */
void substitute(const struct call *call, const real *wanted, real *out) {
    real *scratch = call->scratch;
    struct pass pass = prepare(&scratch);
    vec *picked = carve(&scratch, steps[0].entries);
    long rows = call->tiles * LANES;
    for (long member = 0; member < call->members; member++)
        for (long input = 0; input < call->inputs; input++) {
            const real *radius = call->radius + member * call->radius_member + input * (END_C * END_H * END_W);
            for (int py = 0; py < POSITIONS_Y; py++)
                for (int px = 0; px < POSITIONS_X; px++, out += rows) {
                    struct walk walk = walk_over(wanted, call->tiles);
                    real *coef = position_of(call, call->coef, member, input, py, px);
                    while (next_tile(&walk)) {
                        pass.rows[0] = tile_rows(&walk, coef, picked);
                        vec total = all_steps(call, &pass, member, input, walk.which[0], py, px);
                        int y0 = END_START_Y + py * END_STRIDE_Y, x0 = END_START_X + px * END_STRIDE_X;
                        for (int c = 0; c < END_C; c++)
                            for (int y = y0 < 0 ? -y0 : 0; y < END_RH && y0 + y < END_H; y++)
                                for (int x = x0 < 0 ? -x0 : 0; x < END_RW && x0 + x < END_W; x++)
                                    total -= magnitude(*at(pass.rows[STEPS], c, y, x)) *
                                             radius[((long)c * END_H + y0 + y) * END_W + x0 + x];
                        for (int l = 0; l < walk.count; l++) out[walk.which[l]] = total[l];
                    }
                    if (wanted) wanted += rows;
                }
        }
}

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
    long rows = call->tiles * LANES;
    for (long member = 0; member < call->members; member++) {
        for (int k = 0; k < STEPS; k++) memset(dw[k], 0, sizeof(vec) * steps[k].weights);
        for (long input = 0; input < call->inputs; input++) {
            const real *radius = call->radius + member * call->radius_member + input * (END_C * END_H * END_W);
            for (int py = 0; py < POSITIONS_Y; py++)
                for (int px = 0; px < POSITIONS_X; px++, grad += rows) {
                    struct walk walk = walk_over(grad, call->tiles);
                    real *coef = position_of(call, call->coef, member, input, py, px);
                    real *to_coef = position_of(call, dcoef, member, input, py, px);
                    while (next_tile(&walk)) {
                        vec g = tile_numbers(&walk, grad);
                        pass.rows[0] = tile_rows(&walk, coef, picked);
                        drows[0] = tile_rows(&walk, to_coef, dpicked);
                        all_steps(call, &pass, member, input, walk.which[0], py, px);
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
                            struct lines lines = step_lines(call, k, member, input, walk.which[0]);
                            /* the gradients have a part for every member, also where the lines have not */
                            struct lines to =
                                lines_of(dlines[k], (member * call->inputs + input) * s->map, walk.which[0]);
                            s->weight_gradient(pass.relaxed[k], dframe[k], dw[k]);
                            s->convolve(dframe[k], call->weights[k] + member * call->weights_member[k], drelaxed[k]);
                            if (k > 0) memset(dframe[k - 1], 0, sizeof(vec) * steps[k - 1].frame);
                            s->relax_gradient(pass.rows[k], lines, s->start_y + py * s->stride_y,
                                              s->start_x + px * s->stride_x, drelaxed[k], g, drows[k], to);
                        }
                        for (int l = 0; walk.gathers && l < walk.count; l++) {
                            real *column = column_of(&walk, to_coef, l);
                            for (long e = 0; e < steps[0].entries; e++) column[e * LANES] = dpicked[e][l];
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
    long total = (1 + with_gradient) * steps[0].entries;
    for (int k = 0; k < STEPS; k++)
        total += with_gradient ? 2 * (steps[k].entries + steps[k].frame) + steps[k].weights
                               : steps[k].entries + steps[k].frame;
    return total * LANES;
}
