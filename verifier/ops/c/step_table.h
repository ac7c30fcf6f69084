/* What chain.h has to know of a step; extents in vectors. */
struct step {
    vec (*relax)(struct rows, struct lines, int, int, vec *);
    void (*relax_gradient)(struct rows, struct lines, int, int, const vec *, vec, struct rows, struct lines);
    void (*transpose)(const vec *, const real *, vec *);
    void (*convolve)(const vec *, const real *, vec *);
    void (*weight_gradient)(const vec *, const vec *, vec *);
    long entries, frame, weights, map; /* of the rows before it, the frame after it, the weight, the lines' map */
    long corner, frame_plane, frame_line; /* of the rows in the frame after it */
    int rows_h, rows_w, start_y, start_x, stride_y, stride_x; /* of what the rows see of the map */
};
