// Products of rows with a matrix of weights: Y = init + X W, then `done` on every result.
//
// A few rows times a few vectors of columns stay in registers while the inner dimension runs, so
// that every weight that is read serves all of these rows, and what follows a product (bias, SiLU,
// products with other arrays) costs no pass over memory of its own.
#pragma once

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
  Buffer<T> values;

  template <class Weight>
  void fill(int n_inner, int n_columns, const Weight& weight) {
    inner = n_inner;
    columns = n_columns;
    T* to = values.room(int64_t{inner} * columns);
    for (int first = 0; first < columns; first += kPanel)
      for (int k = 0; k < inner; ++k)
        for (int c = first; c < std::min(first + kPanel, columns); ++c) *to++ = static_cast<T>(weight(k, c));
  }
};

// each(row, vector), unrolled, so that what it works on can stay in registers.
template <int Rows, int Vectors, class Each>
M3C_INLINE void unrolled(const Each& each) {
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) each(r, v);
}

// sums += rows of x times a panel.
template <class T, int Rows, int Vectors>
M3C_INLINE void accumulate(const T* x, int stride, int inner, const T* weights, Vec<T> (&sums)[Rows][Vectors]) {
  for (int k = 0; k < inner; ++k, weights += Vectors * kLanes<T>) {
    Vec<T> w[Vectors];
    unrolled<1, Vectors>([&](int, int v) M3C_ALWAYS { w[v] = load(weights + v * kLanes<T>); });
    unrolled<Rows, Vectors>([&](int r, int v) M3C_ALWAYS { sums[r][v] += x[r * stride + k] * w[v]; });
  }
}

// The same where a matrix ends, with sums in memory: compiled once, whatever comes before and behind.
template <class T, int Rows = kRows, int Vectors = kPanelVectors>
__attribute__((noinline)) void accumulate_rest(int rows, int vectors, const T* x, int stride, int inner,
                                               const T* weights, T* at) {
  if constexpr (Rows > 1)
    if (rows < Rows) return accumulate_rest<T, Rows - 1, Vectors>(rows, vectors, x, stride, inner, weights, at);
  if constexpr (Vectors > 1)
    if (vectors < Vectors) return accumulate_rest<T, Rows, Vectors - 1>(rows, vectors, x, stride, inner, weights, at);
  Vec<T> sums[Rows][Vectors];
  unrolled<Rows, Vectors>([&](int r, int v) M3C_ALWAYS { sums[r][v] = load(at + (r * Vectors + v) * kLanes<T>); });
  accumulate<T>(x, stride, inner, weights, sums);
  unrolled<Rows, Vectors>([&](int r, int v) { store(at + (r * Vectors + v) * kLanes<T>, sums[r][v]); });
}

// done(row, column, init(row, column) + (X W)[row, column]) for vectors of columns. Both are values: what they
// hold stays in registers, since no store can reach it.
template <class T, class Init, class Done>
inline void product(int rows, const T* x, int stride, const Matrix<T>& w, Init init, Done done) {
  constexpr int lanes = kLanes<T>;
  const int columns = w.columns, inner = w.inner;
  alignas(64) T rest[kRows * Matrix<T>::kPanel];
  for (int first = 0; first < columns; first += Matrix<T>::kPanel) {
    const int width = std::min(Matrix<T>::kPanel, columns - first);
    const T* panel = w.values.row(first, inner);
    for (int row = 0; row < rows; row += kRows) {
      const T* from = x + row * stride;
      const int n = std::min(kRows, rows - row);
      if (n == kRows && width == Matrix<T>::kPanel) {
        Vec<T> sums[kRows][kPanelVectors];
        unrolled<kRows, kPanelVectors>([&](int r, int v)
                                           M3C_ALWAYS { sums[r][v] = init(row + r, first + v * lanes); });
        accumulate<T>(from, stride, inner, panel, sums);
        unrolled<kRows, kPanelVectors>([&](int r, int v)
                                           M3C_ALWAYS { done(row + r, first + v * lanes, sums[r][v]); });
        continue;
      }
      for (int r = 0; r < n; ++r)
        for (int c = 0; c < width; c += lanes) store<T>(rest + r * width + c, init(row + r, first + c));
      accumulate_rest<T>(n, width / lanes, from, stride, inner, panel, rest);
      for (int r = 0; r < n; ++r)
        for (int c = 0; c < width; c += lanes) done(row + r, first + c, load(rest + r * width + c));
    }
  }
}

// What a product begins with where it begins with nothing.
template <class T>
struct Zero {
  M3C_INLINE Vec<T> operator()(int, int) const { return Vec<T>{}; }
};

// Y += X W, with as many columns as W.
template <class T>
inline void add_product(int rows, const T* x, int stride, const Matrix<T>& w, T* y) {
  const int width = w.columns;
  product(
      rows, x, stride, w, [=](int r, int c) { return load(y + r * width + c); },
      [=](int r, int c, Vec<T> sum) { store<T>(y + r * width + c, sum); });
}

}  // namespace m3c::M3C_ISA
