// Products of rows with a matrix of weights, Y = start + X W, and what stands between them: SiLU(x) = x sigma(x) and
// sigma(x) on rows of sums, in place.
//
// A few rows times a few vectors of columns stay in registers while the inner dimension runs, so that every weight
// that is read serves all of these rows.
#pragma once

#include <array>

#include "vectors.h"

namespace m3c::M3C_ISA {
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kPanelVectors = 4;  // 32 registers: 6 rows x 4 vectors and what feeds them
#else
constexpr int kPanelVectors = 2;  // 16 registers
#endif
constexpr int kRows = 6;

// Weights [inner][columns], cut into panels of columns that lie in memory one after the other.
template <class T>
struct Matrix {
  static constexpr int kPanel = kPanelVectors * kLanes<T>;
  int inner = 0;
  int columns = 0;  // a multiple of 16
  Buffer<T> values, zeros;

  // What a product begins with where it begins with nothing.
  Rows<const T> nothing() const { return {zeros.data(), 0}; }

  template <class Weight>
  void fill(int n_inner, int n_columns, const Weight& weight) {
    inner = n_inner;
    columns = n_columns;
    zeros.zeros(columns);
    T* to = values.room(int64_t{inner} * columns);
    for (int first = 0; first < columns; first += kPanel)
      for (int k = 0; k < inner; ++k)
        for (int c = first; c < std::min(first + kPanel, columns); ++c) *to++ = static_cast<T>(weight(k, c));
  }
};

// What a panel of W is multiplied with, and where to.
template <class T>
struct Panel {
  Rows<const T> x, start;
  Rows<T> y;
  const T* weights;
  int inner;
  bool times;  // what is in Y, which then is not replaced
};

// The rows from `row` to `end`: six at a time, the rest in two parts that are about equal.
template <class T, int Vectors = kPanelVectors, int N = kRows>
void product_panel(const Panel<T>& in, int vectors, int row, int end) {
  if constexpr (Vectors > 1)
    if (vectors < Vectors) return product_panel<T, Vectors - 1, N>(in, vectors, row, end);
  for (; row < end; row += N) {
    const int left = end - row;
    if constexpr (N > 1)
      if (left < N || (left > N && left <= 2 * N - 2)) return product_panel<T, Vectors, N - 1>(in, vectors, row, end);
    const Rows<const T> x{in.x.at(row), in.x.stride};
    const T* weights = in.weights;
    Vec<T> sums[N * Vectors], w[Vectors];
    auto all = [&](auto each) M3C_ALWAYS {
      unrolled<N * Vectors>([&](int k) M3C_ALWAYS { each(sums[k], k / Vectors, k % Vectors); });
    };
    all([&](Vec<T>& sum, int r, int v) M3C_ALWAYS { sum = load(in.start.at(row + r, v * kLanes<T>)); });
    for (int k = 0; k < in.inner; ++k, weights += Vectors * kLanes<T>) {
      unrolled<Vectors>([&](int v) M3C_ALWAYS { w[v] = load(weights + v * kLanes<T>); });
      all([&](Vec<T>& sum, int r, int v) M3C_ALWAYS { sum += *x.at(r, k) * w[v]; });
    }
    all([&](Vec<T>& sum, int r, int v) M3C_ALWAYS {
      T* y = in.y.at(row + r, v * kLanes<T>);
      store<T>(y, in.times ? sum * load(y) : sum);
    });
  }
}

// Y = start + X W, or Y times that; `start` may be Y itself.
template <class T>
void product(int rows, Rows<const T> x, const Matrix<T>& w, Rows<const T> start, Rows<T> y, bool times = false) {
  for (int first = 0; first < w.columns; first += Matrix<T>::kPanel) {
    const int vectors = std::min(Matrix<T>::kPanel, w.columns - first) / kLanes<T>;
    const Panel<T> panel{
        x,    {start.data + first, start.stride}, {y.data + first, y.stride}, w.values.row(first, w.inner), w.inner,
        times};
    product_panel<T>(panel, vectors, 0, rows);
  }
}

// Y += X W, where rows of X are as long as W is high and those of Y as long as it is wide.
template <class T>
void add_product(int rows, const T* x, const Matrix<T>& w, T* y) {
  product<T>(rows, {x, w.inner}, w, {y, w.columns}, {y, w.columns});
}

// Taylor's series of 2^x, whose first term left out (float32 takes 8) is below half a unit in the last place.
constexpr std::array<double, 14> kPowers = [] {
  std::array<double, 14> terms{1};
  for (int k = 1; k < 14; ++k) terms[k] = terms[k - 1] * 0.6931471805599453 / k;
  return terms;
}();

// x becomes sigma(x) = 1 / (1 + exp(-x)), with exp(-x) = 2^n 2^r, r = -x / ln 2 - n, |r| <= 1/2. Adding kMagic
// rounds -x / ln 2 to the integer n and leaves n in the low bits, from where it goes into the exponent. Every
// step is done for all N vectors before the next one: each alone would wait for the step before.
template <class T, int N>
M3C_INLINE void sigmoid(Vec<T> (&x)[N]) {
  typedef typename Simd<T>::Bits Bits;
  constexpr int kMantissa = sizeof(T) == 4 ? 23 : 52, kTerms = sizeof(T) == 4 ? 8 : 14;
  constexpr T kLow = sizeof(T) == 4 ? -87 : -708, kMagic = T(int64_t{3} << (kMantissa - 1)),
              kPerLn2 = T(1.4426950408889634);
  Vec<T> shifted[N], p[N];
  unrolled<N>([&](int k) M3C_ALWAYS {
    const Vec<T> low = Vec<T>{} + kLow;
    x[k] = x[k] < low ? low : x[k];
    x[k] = x[k] > -low ? -low : x[k];
    shifted[k] = kMagic - x[k] * kPerLn2;
  });
  unrolled<N>([&](int k) M3C_ALWAYS { x[k] = -(x[k] * kPerLn2) - (shifted[k] - kMagic); });
  unrolled<N>([&](int k) M3C_ALWAYS { p[k] = Vec<T>{} + T(kPowers[kTerms - 1]); });
#pragma GCC unroll 16
  for (int term = kTerms - 2; term >= 0; --term)
    unrolled<N>([&](int k) M3C_ALWAYS { p[k] = p[k] * x[k] + T(kPowers[term]); });
  unrolled<N>([&](int k) M3C_ALWAYS {
    const Bits scaled = reinterpret_cast<Bits>(p[k]) + (reinterpret_cast<Bits>(shifted[k]) << kMantissa);
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
