// Vectors of the widest registers of a build, and the activations on them.
//
// The same sources are compiled once for every instruction set, each in a namespace of its own
// (M3C_ISA); GCC's and Clang's vector types do the rest. Nothing here relies on -ffast-math.
#pragma once

#include <cstdint>

#ifndef M3C_ISA
#define M3C_ISA baseline
#endif

#if defined(__AVX512F__)
#define M3C_VECTOR_BYTES 64
#elif defined(__AVX__)
#define M3C_VECTOR_BYTES 32
#else
#define M3C_VECTOR_BYTES 16
#endif

#define M3C_INLINE inline __attribute__((always_inline))

namespace m3c {
namespace M3C_ISA {

template <class T>
struct Simd;

template <>
struct Simd<float> {
  typedef float Vec __attribute__((vector_size(M3C_VECTOR_BYTES)));
  typedef float Loose __attribute__((vector_size(M3C_VECTOR_BYTES), aligned(4), may_alias));
  typedef int32_t Bits __attribute__((vector_size(M3C_VECTOR_BYTES)));
};

template <>
struct Simd<double> {
  typedef double Vec __attribute__((vector_size(M3C_VECTOR_BYTES)));
  typedef double Loose __attribute__((vector_size(M3C_VECTOR_BYTES), aligned(8), may_alias));
  typedef int64_t Bits __attribute__((vector_size(M3C_VECTOR_BYTES)));
};

template <class T>
using Vec = typename Simd<T>::Vec;

template <class T>
constexpr int kLanes = M3C_VECTOR_BYTES / static_cast<int>(sizeof(T));

template <class T>
M3C_INLINE Vec<T> load(const T* at) {
  return *reinterpret_cast<const typename Simd<T>::Loose*>(at);
}

template <class T>
M3C_INLINE void store(T* at, Vec<T> value) {
  *reinterpret_cast<typename Simd<T>::Loose*>(at) = value;
}

template <class T>
M3C_INLINE Vec<T> spread(T value) {
  return Vec<T>{} + value;
}

template <class T>
M3C_INLINE T sum_lanes(Vec<T> value) {
  T total = 0;
  for (int lane = 0; lane < kLanes<T>; ++lane) total += value[lane];
  return total;
}

// What exp needs: bounds of x, 1 / ln 2, the number that rounds, ln 2 in two parts, a polynomial.
//
// Not constants, on purpose: a compiler keeps those in registers around a product, and the sums of
// the product have to leave theirs.
template <class T>
struct alignas(64) Everywhere {
  T lanes[64 / sizeof(T)];
  constexpr Everywhere(T value) : lanes{} {
    for (T& lane : lanes) lane = value;
  }
  M3C_INLINE operator Vec<T>() const { return load(lanes); }
};

template <class T, int Terms>
struct ExpTerms {
  Everywhere<T> low, high, per_ln2, magic, ln2_high, ln2_low, one;
  Everywhere<T> terms[Terms];
};

// Cephes' polynomial of expf (S. L. Moshier), good to one unit in the last place; magic = 1.5 * 2^23.
inline ExpTerms<float, 6> exp_terms_float = {
    -88.0f, 87.0f, 1.44269504f, 12582912.0f, 0.693359375f, -2.12194440e-4f, 1.0f,
    {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f,
     5.0000001201e-1f}};
// Taylor's series up to r^13: the next term is below 5e-18; magic = 1.5 * 2^52.
inline ExpTerms<double, 12> exp_terms_double = {
    -709.0, 708.0, 1.4426950408889634, 6755399441055744.0, 6.93145751953125e-1,
    1.42860682030941723212e-6, 1.0,
    {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
     1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5}};

// sigma(x) = 1 / (1 + exp(-x)), with exp(-x) = 2^n exp(r), r = -x - n ln 2, |r| <= ln 2 / 2. Adding
// `magic` rounds -x / ln 2 to the integer n and leaves n in the low bits, from where it goes into
// the exponent.
template <class T, int Terms>
M3C_INLINE Vec<T> sigmoid(Vec<T> x, const ExpTerms<T, Terms>& with) {
  typedef typename Simd<T>::Bits Bits;
  constexpr int mantissa = sizeof(T) == 4 ? 23 : 52;
  const Vec<T> low = with.low, high = with.high, one = with.one;
  x = x < low ? low : x;
  x = x > high ? high : x;
  const Vec<T> shifted = Vec<T>(with.magic) - x * Vec<T>(with.per_ln2);
  const Vec<T> n = shifted - Vec<T>(with.magic);
  const Vec<T> r = (-(n * Vec<T>(with.ln2_high)) - x) - n * Vec<T>(with.ln2_low);
  Vec<T> p = with.terms[0];
  for (int k = 1; k < Terms; ++k) p = p * r + Vec<T>(with.terms[k]);
  p = p * (r * r) + r + one;
  const Bits scaled = reinterpret_cast<Bits>(p) + (reinterpret_cast<Bits>(shifted) << mantissa);
  return one / (one + reinterpret_cast<Vec<T>>(scaled));
}
template <class T>
M3C_INLINE Vec<T> sigmoid(Vec<T> x) {
  if constexpr (sizeof(T) == 4) return sigmoid<T>(x, exp_terms_float);
  else return sigmoid<T>(x, exp_terms_double);
}

template <class T>
M3C_INLINE Vec<T> one_from_memory() {
  if constexpr (sizeof(T) == 4) return exp_terms_float.one;
  else return exp_terms_double.one;
}

// d SiLU / dx by y = SiLU(x) and s = sigma(x): s + y (1 - s).
template <class T>
M3C_INLINE Vec<T> silu_slope(Vec<T> y, Vec<T> s) {
  return s + y - y * s;
}

}  // namespace M3C_ISA
}  // namespace m3c
