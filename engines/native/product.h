// Products of rows with a matrix of weights: Y = init + X W, then `done` on every result.
//
// A few rows times a few vectors of columns stay in registers while the inner dimension runs, so
// that every weight that is read serves all of these rows, and what follows a product (bias, SiLU,
// products with other arrays) costs no pass over memory of its own.
#pragma once

#include <algorithm>

#include "buffer.h"

namespace m3c {
namespace M3C_ISA {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kPanelVectors = 4;  // 32 registers: 6 rows x 4 vectors and what feeds them
#else
constexpr int kPanelVectors = 2;  // 16 registers
#endif
constexpr int kRows = 6;

// Weights [inner][columns], cut into panels of columns that lie in memory one after the other.
template <class T>
class Matrix {
 public:
  static constexpr int kPanel = kPanelVectors * kLanes<T>;

  int inner = 0;
  int columns = 0;  // a multiple of 16

  // `weight(k, column)` for the true sizes; what is padded is zero.
  template <class Weight>
  void fill(int n_inner, int n_columns, Weight weight) {
    inner = n_inner;
    columns = n_columns;
    values_.reserve(static_cast<std::size_t>(inner) * columns);
    for (int first = 0; first < columns; first += kPanel) {
      const int width = columns - first < kPanel ? columns - first : kPanel;
      T* panel = values_.data() + static_cast<std::size_t>(first) * inner;
      for (int k = 0; k < inner; ++k)
        for (int c = 0; c < width; ++c) panel[k * width + c] = weight(k, first + c);
    }
  }
  const T* panel(int first) const {
    return values_.data() + static_cast<std::size_t>(first) * inner;
  }

 private:
  Buffer<T> values_;
};

// sums[Rows][Vectors] += rows of x times a panel; all sums stay in registers.
template <class T, int Rows, int Vectors>
__attribute__((noinline)) void multiply(const T* x, int stride, int inner, const T* weights,
                                        T* sums) {
  constexpr int width = Vectors * kLanes<T>;
  Vec<T> sum[Rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[r][v] = load(sums + r * width + v * kLanes<T>);
  for (int k = 0; k < inner; ++k, weights += width) {
    Vec<T> w[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) w[v] = load(weights + v * kLanes<T>);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const T factor = x[r * stride + k];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sum[r][v] += factor * w[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store(sums + r * width + v * kLanes<T>, sum[r][v]);
}

template <class T, int Vectors>
void multiply_rows(int rows, const T* x, int stride, int inner, const T* weights, T* sums) {
  switch (rows) {
    case 6: return multiply<T, 6, Vectors>(x, stride, inner, weights, sums);
    case 5: return multiply<T, 5, Vectors>(x, stride, inner, weights, sums);
    case 4: return multiply<T, 4, Vectors>(x, stride, inner, weights, sums);
    case 3: return multiply<T, 3, Vectors>(x, stride, inner, weights, sums);
    case 2: return multiply<T, 2, Vectors>(x, stride, inner, weights, sums);
    default: return multiply<T, 1, Vectors>(x, stride, inner, weights, sums);
  }
}

template <class T>
void multiply_panel(int rows, int width, const T* x, int stride, int inner, const T* weights,
                    T* sums) {
  switch (width / kLanes<T>) {
    case 4: return multiply_rows<T, kPanelVectors>(rows, x, stride, inner, weights, sums);
    case 3: return multiply_rows<T, kPanelVectors - 1>(rows, x, stride, inner, weights, sums);
    case 2: return multiply_rows<T, 2>(rows, x, stride, inner, weights, sums);
    default: return multiply_rows<T, 1>(rows, x, stride, inner, weights, sums);
  }
}

// A full block: init and done work on registers.
template <class T, class Init, class Done>
M3C_INLINE void full_block(const T* x, int stride, int inner, const T* weights, int row, int column,
                           const Init& init, const Done& done) {
  constexpr int width = Matrix<T>::kPanel;
  Vec<T> sum[kRows][kPanelVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kPanelVectors; ++v) sum[r][v] = init(row + r, column + v * kLanes<T>);
  for (int k = 0; k < inner; ++k, weights += width) {
    Vec<T> w[kPanelVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kPanelVectors; ++v) w[v] = load(weights + v * kLanes<T>);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const T factor = x[r * stride + k];
#pragma GCC unroll 4
      for (int v = 0; v < kPanelVectors; ++v) sum[r][v] += factor * w[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kPanelVectors; ++v) done(row + r, column + v * kLanes<T>, sum[r][v]);
}

// done(row, column, init(row, column) + (X W)[row, column]) for vectors of columns.
template <class T, class Init, class Done>
inline void product(int rows, const T* x, int stride, const Matrix<T>& w, const Init& init,
                    const Done& done) {
  alignas(64) T sums[kRows * Matrix<T>::kPanel];
  for (int first = 0; first < w.columns; first += Matrix<T>::kPanel) {
    const int width = std::min(Matrix<T>::kPanel, w.columns - first);
    const T* panel = w.panel(first);
    for (int row = 0; row < rows; row += kRows) {
      const T* from = x + static_cast<std::size_t>(row) * stride;
      const int n = std::min(kRows, rows - row);
      if (n == kRows && width == Matrix<T>::kPanel) {
        full_block(from, stride, w.inner, panel, row, first, init, done);
        continue;
      }
      for (int r = 0; r < n; ++r)
        for (int c = 0; c < width; c += kLanes<T>)
          store<T>(sums + r * width + c, init(row + r, first + c));
      multiply_panel(n, width, from, stride, w.inner, panel, sums);
      for (int r = 0; r < n; ++r)
        for (int c = 0; c < width; c += kLanes<T>)
          done(row + r, first + c, load(sums + r * width + c));
    }
  }
}

// The ways in which most products begin.
template <class T>
struct FromZero {
  M3C_INLINE Vec<T> operator()(int, int) const { return Vec<T>{}; }
};

template <class T>
struct FromBias {
  const T* bias;
  M3C_INLINE Vec<T> operator()(int, int column) const { return load(bias + column); }
};

}  // namespace M3C_ISA
}  // namespace m3c
