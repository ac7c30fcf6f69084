/* LANES rows of a form side by side, one entry of each: what every loop here works on. */
#include <stdint.h>
#include <string.h>
#include <time.h>

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

#if LANES == 16
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif LANES == 8
#define EVENS 0, 2, 4, 6, 8, 10, 12, 14
#define ODDS 1, 3, 5, 7, 9, 11, 13, 15
#elif LANES == 4
#define EVENS 0, 2, 4, 6
#define ODDS 1, 3, 5, 7
#else
#define EVENS 0, 2
#define ODDS 1, 3
#endif
#ifdef __clang__
#define PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICK(a, b, ...) __builtin_shuffle(a, b, (bits){__VA_ARGS__})
#endif

/* The sums over the lanes of each of LANES vectors, in their order. */
INLINE vec sums_of(vec *v) {
    UNROLL for (int n = LANES; n > 1; n /= 2)
        UNROLL for (int i = 0; i < n / 2; i++)
            v[i] = PICK(v[2 * i], v[2 * i + 1], EVENS) + PICK(v[2 * i], v[2 * i + 1], ODDS);
    return v[0];
}

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
