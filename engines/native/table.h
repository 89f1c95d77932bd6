// Radial functions as tables: quintic Hermite splines on a uniform grid from 0 to `reach`.
//
// Python computes value, slope and curvature of every function in double precision when a model is
// exported, so that every basis of every convention is one code path here. Beyond the reach all
// functions are zero.
#pragma once

#include <cmath>

#include "buffer.h"

namespace m3c {
namespace M3C_ISA {

template <class T>
class Table {
 public:
  int columns = 0;
  int width = 0;  // columns, padded

  // `samples` has [n_points][value, slope, curvature][columns].
  void fill(const double* samples, int n_points, int n_columns, double reach) {
    columns = n_columns;
    width = padded(n_columns);
    intervals_ = n_points - 1;
    per_length_ = intervals_ / reach;
    const double h = reach / intervals_;
    coefficients_.reserve(static_cast<std::size_t>(intervals_ + 1) * kTerms * width);
    for (int i = 0; i < intervals_; ++i)
      for (int c = 0; c < columns; ++c) {
        const double* at = samples + (static_cast<std::size_t>(i) * 3) * columns + c;
        const double f0 = at[0], d0 = at[columns] * h, s0 = at[2 * columns] * h * h;
        const double f1 = at[3 * columns], d1 = at[4 * columns] * h, s1 = at[5 * columns] * h * h;
        const double rise = f1 - f0;
        const double terms[kTerms] = {
            f0, d0, s0 / 2, 10 * rise - 6 * d0 - 4 * d1 - 1.5 * s0 + 0.5 * s1,
            -15 * rise + 8 * d0 + 7 * d1 + 1.5 * s0 - s1, 6 * rise - 3 * (d0 + d1) - 0.5 * (s0 - s1)};
        T* to = coefficients_.data() + (static_cast<std::size_t>(i) * kTerms) * width + c;
        for (int k = 0; k < kTerms; ++k) to[k * width] = static_cast<T>(terms[k]);
      }
  }

  // Values and derivatives by r of all columns, [width] each.
  void evaluate(double r, T* value, T* slope) const {
    const double x = r * per_length_;
    const int i = x < intervals_ ? static_cast<int>(x) : intervals_;  // the last one is all zero
    const T t = static_cast<T>(x - i), scale = static_cast<T>(per_length_);
    const T* at = coefficients_.data() + (static_cast<std::size_t>(i) * kTerms) * width;
    for (int c = 0; c < width; c += kLanes<T>) {
      Vec<T> p = load(at + (kTerms - 1) * width + c), d{};
      for (int k = kTerms - 2; k >= 0; --k) {
        d = d * t + p;
        p = p * t + load(at + k * width + c);
      }
      store<T>(value + c, p);
      store<T>(slope + c, d * scale);
    }
  }

 private:
  static constexpr int kTerms = 6;
  int intervals_ = 0;
  double per_length_ = 0;
  Buffer<T> coefficients_;  // [intervals + 1][terms][width]
};

}  // namespace M3C_ISA
}  // namespace m3c
