/* LANES rows of a form side by side, one entry of each: what every loop here works on. */
#include <stdint.h>
#include <string.h>

#if DOUBLE
typedef double real;
typedef int64_t integer;
#define SIGN_BIT INT64_MIN
#else
typedef float real;
typedef int32_t integer;
#define SIGN_BIT INT32_MIN
#endif

#define VECTOR vector_size(LANES * sizeof(real)), aligned(sizeof(real)), may_alias
typedef real vec __attribute__((VECTOR));
typedef integer bits __attribute__((VECTOR));

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 64")

INLINE vec chosen(bits mask, vec yes, vec no) { return (vec)((mask & (bits)yes) | (~mask & (bits)no)); }
INLINE vec positive(vec a) { return (vec)((bits)a & (a > 0)); }
INLINE vec magnitude(vec a) { return (vec)((bits)a & ~SIGN_BIT); }

INLINE real sum(vec a) {
    real total = 0;
    for (int l = 0; l < LANES; l++) total += a[l];
    return total;
}

/* Entries of some rows: entry (c, y, x) at base[c * plane + y * line + x * entry]. */
struct rows {
    real *base;
    long plane, line, entry;
};
INLINE vec *at(struct rows r, int c, int y, int x) {
    return (vec *)(r.base + c * r.plane + y * r.line + x * r.entry);
}

/* A ReLU's lines over a map [C, H, W], and both at the point where the constants are taken: lower and upper slope,
   lower and upper value. */
struct lines {
    real *low, *up, *lower, *upper;
};
