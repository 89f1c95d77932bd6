// SiLU(x) = x sigma(x) and sigma(x) on rows of sums, in place.
#pragma once

#include "vectors.h"

namespace m3c::M3C_ISA {

// What 2^x needs: bounds of x, 1 / ln 2, the number that rounds (1.5 times 2 to the bits of the mantissa),
// and Taylor's series, whose first term left out is below half a unit in the last place.
template <class T>
struct ExpTerms {
  static constexpr int kMantissa = sizeof(T) == 4 ? 23 : 52, kTerms = sizeof(T) == 4 ? 8 : 14;
  T low = T(sizeof(T) == 4 ? -87 : -708), per_ln2 = T(1.4426950408889634);
  T magic = T(int64_t{3} << (kMantissa - 1)), terms[kTerms] = {};
  constexpr ExpTerms() {
    double term = 1;
    for (int k = 0; k < kTerms; term *= 0.6931471805599453 / ++k) terms[k] = static_cast<T>(term);
  }
};

// x becomes sigma(x) = 1 / (1 + exp(-x)), with exp(-x) = 2^n 2^r, r = -x / ln 2 - n, |r| <= 1/2. Adding `magic`
// rounds -x / ln 2 to the integer n and leaves n in the low bits, from where it goes into the exponent. Every
// step is done for all N vectors before the next one: each alone would wait for the step before.
template <class T, int N>
M3C_INLINE void sigmoid(Vec<T> (&x)[N]) {
  typedef typename Simd<T>::Bits Bits;
  constexpr ExpTerms<T> with;
  Vec<T> shifted[N], p[N];
  unrolled<N>([&](int k) M3C_ALWAYS {
    const Vec<T> low = Vec<T>{} + with.low;
    x[k] = x[k] < low ? low : x[k];
    x[k] = x[k] > -low ? -low : x[k];
    shifted[k] = with.magic - x[k] * with.per_ln2;
  });
  unrolled<N>([&](int k) M3C_ALWAYS { x[k] = -(x[k] * with.per_ln2) - (shifted[k] - with.magic); });
  unrolled<N>([&](int k) M3C_ALWAYS { p[k] = Vec<T>{} + with.terms[ExpTerms<T>::kTerms - 1]; });
#pragma GCC unroll 16
  for (int term = ExpTerms<T>::kTerms - 2; term >= 0; --term)
    unrolled<N>([&](int k) M3C_ALWAYS { p[k] = p[k] * x[k] + with.terms[term]; });
  unrolled<N>([&](int k) M3C_ALWAYS {
    const Bits scaled = reinterpret_cast<Bits>(p[k]) + (reinterpret_cast<Bits>(shifted[k]) << ExpTerms<T>::kMantissa);
    p[k] = T(1) + reinterpret_cast<Vec<T>>(scaled);
  });
  unrolled<N>([&](int k) M3C_ALWAYS { x[k] = T(1) / p[k]; });
}

// done(row, column, x, sigma(x)) for all vectors of rows, as many at a time as 16 numbers are.
template <class T, class Done>
inline void over_sigmoids(int rows, Rows<const T> x, int columns, const Done& done) {
  constexpr int kAtOnce = std::max(1, 16 / kLanes<T>);
  for (int row = 0; row < rows; ++row)
    for (int first = 0; first < columns; first += kAtOnce * kLanes<T>) {
      auto column = [&](int k) M3C_ALWAYS { return first + k * kLanes<T>; };
      Vec<T> s[kAtOnce];
      unrolled<kAtOnce>([&](int k) M3C_ALWAYS { s[k] = load(x.at(row, column(k))); });
      sigmoid<T>(s);
      unrolled<kAtOnce>([&](int k) M3C_ALWAYS { done(row, column(k), load(x.at(row, column(k))), s[k]); });
    }
}

// x becomes y = SiLU(x); its slope, s + y (1 - s), goes to `slopes`, [rows][columns], unless that is null.
template <class T>
inline void silu(int rows, Rows<T> x, int columns, T* slopes) {
  over_sigmoids<T>(rows, {x.data, x.stride}, columns, [=](int row, int c, Vec<T> sum, Vec<T> s) M3C_ALWAYS {
    const Vec<T> y = sum * s;
    store<T>(x.at(row, c), y);
    if (slopes != nullptr) store<T>(slopes + row * columns + c, s + y - y * s);
  });
}

// x becomes sigma(x).
template <class T>
inline void sigmoid(int rows, Rows<T> x, int columns) {
  over_sigmoids<T>(rows, {x.data, x.stride}, columns,
                   [=](int row, int c, Vec<T>, Vec<T> s) M3C_ALWAYS { store<T>(x.at(row, c), s); });
}

}  // namespace m3c::M3C_ISA
