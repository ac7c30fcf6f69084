/* What fused.h has to know of a layer: convolutions, and products as those whose kernel is the whole map. */

struct layer {
    int c, h, w;         /* of the map below */
    int o, oh, ow;       /* of its own map */
    int kh, kw, sh, sw;  /* of its kernel, in entries of the map below */
    int pt, pl, fh, fw;  /* padding at the top and left, and the padded map's extent */
    void (*transpose)(const vec *, const real *, vec *); /* of the whole map, see transpose.h */
    void (*convolve)(const vec *, const real *, vec *);
    void (*weight_gradient)(const vec *, const vec *, vec *);
};

/* Rows over neurons of a later layer on their way through this one: a part of its map, or all of it. */
struct pass {
    int whole, rh, rw, fh, fw; /* of the rows over its own map, and of the frame over the map below */
    void (*transpose)(const vec *, const real *, vec *);
    void (*convolve)(const vec *, const real *, vec *);
    void (*weight_gradient)(const vec *, const vec *, vec *);
    vec (*reach)(const vec *, const real *, const vec *); /* of the first layer, see reach.h */
    void (*reach_gradient)(const vec *, const real *, const vec *, vec, vec *);
};

#define MAP(l) ((long)(l)->o * (l)->oh * (l)->ow)
#define FRAME(l) ((long)(l)->c * (l)->fh * (l)->fw)
#define KERNEL(l) ((long)(l)->c * (l)->kh * (l)->kw)
#define WEIGHTS(l) ((l)->o * KERNEL(l))
