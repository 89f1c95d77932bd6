// Products of rows with a matrix of weights: Y = start + X W.
//
// A few rows times a few vectors of columns stay in registers while the inner dimension runs, so
// that every weight that is read serves all of these rows.
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

}  // namespace m3c::M3C_ISA
