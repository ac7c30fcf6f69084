/* ReLUs: images of boxes, and the triangle relaxation's lines. */

#define SPREAD(x) ((vec)((vec){0} + (real)(x)))

/* max(a, 0), where `positive` would make 0 of what is no number. */
INLINE vec relu(vec a) { return (vec)((bits)a & ~(a < 0)); }
INLINE vec sign_of(vec a) { return chosen(a > 0, SPREAD(1), chosen(a < 0, SPREAD(-1), (vec){0})); }
INLINE vec larger(vec a, vec b) { return chosen(a > b, a, b); }
INLINE vec smaller(vec a, vec b) { return chosen(a < b, a, b); }
INLINE int any(bits mask) {
    integer found = 0;
    for (int v = 0; v < LANES; v++) found |= mask[v];
    return found != 0;
}

/* Lower line low * z (of least area; a tie gives 0), upper line up * z + start. */
INLINE void lines_of(vec l, vec u, vec *low, vec *up, vec *start) {
    vec above = relu(u), below = relu(-l), width = above + below;
    *low = chosen(l + u > 0, SPREAD(1), (vec){0});
    *up = above / chosen(width > 0, width, SPREAD(1));
    *start = *up * below;
}

/* To the box from the upper line; the lower line's slope is a constant. */
INLINE void lines_gradient(vec l, vec u, vec dup, vec dstart, vec *dl, vec *du) {
    bits unstable = (l < 0) & (u > 0);
    vec inverse = 1 / chosen(unstable, u - l, SPREAD(1)); /* its square may be infinite */
    *dl += (vec)(unstable & (bits)((dup - dstart * u) * inverse * (u * inverse)));
    *du += (vec)(unstable & (bits)((dstart * l - dup) * inverse * (l * inverse)));
}
