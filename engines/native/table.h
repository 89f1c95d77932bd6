// Functions of a distance as tables: polynomials of fifth degree on a uniform grid that ends at `reach`.
//
// Python computes those of the radial functions in double precision when a model is exported
// (export/native/tables.py), so that every basis of every convention is one code path here.
#pragma once

#include "file.h"
#include "vectors.h"

namespace m3c::M3C_ISA {
template <class T>
struct Table {
  static constexpr int kTerms = 6;
  int columns = 0;
  int width = 0;  // columns, padded
  double begin = 0, reach = 0;

  // `name` holds [intervals][kTerms][columns], from 0 on.
  void read(const File& file, const std::string& name, int n_columns, double expected_reach) {
    const std::vector<double> values = file.array(name, {-1, kTerms, n_columns});
    const double end = file.array(name + ".reach", {1})[0];
    if (!(std::fabs(end - expected_reach) <= 1e-9 * expected_reach))
      throw Error("the table " + name + " does not end at the cutoff of the model");
    fill(n_columns, 0, end, values);
  }

  // Coefficients of 1, t, t^2 ..., t from 0 to 1, [intervals][kTerms][columns]; beyond the end everything is zero.
  void fill(int n_columns, double from, double end, const std::vector<double>& values) {
    columns = n_columns;
    width = padded(columns);
    begin = from;
    reach = end;
    intervals_ = static_cast<int>(values.size()) / kTerms / columns;
    per_length_ = intervals_ / (end - begin);
    coefficients_.zeros(int64_t{intervals_ + 1} * kTerms * width);
    for (int64_t row = 0; row < int64_t{intervals_} * kTerms; ++row)
      for (int c = 0; c < columns; ++c) coefficients_.row(row, width)[c] = static_cast<T>(values[row * columns + c]);
  }

  // each(column, values, derivatives by r) for all columns, a vector of them at a time.
  template <class Each>
  void evaluate(double r, const Each& each) const {
    const double x = std::clamp((r - begin) * per_length_, 0.0, double(intervals_));
    const int i = static_cast<int>(x);
    const T t = static_cast<T>(x - i), scale = static_cast<T>(per_length_);
    const T* at = coefficients_.row(i, kTerms * width);
    for (int c = 0; c < width; c += kLanes<T>) {
      Vec<T> p = load(at + (kTerms - 1) * width + c), d{};
      for (int k = kTerms - 2; k >= 0; --k) {
        d = d * t + p;
        p = p * t + load(at + k * width + c);
      }
      each(c, p, d * scale);
    }
  }
  // [width] of each.
  void evaluate(double r, T* values, T* slopes) const {
    evaluate(r, [=](int c, Vec<T> value, Vec<T> slope) M3C_ALWAYS {
      store<T>(values + c, value);
      store<T>(slopes + c, slope);
    });
  }

 private:
  int intervals_ = 0;
  double per_length_ = 0;
  Buffer<T> coefficients_;
};
}  // namespace m3c::M3C_ISA
