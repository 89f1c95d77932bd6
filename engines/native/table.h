// Radial functions as tables: quintic splines on a uniform grid from 0 to `reach`.
//
// Python computes the polynomials of every interval in double precision when a model is exported
// (export/native/tables.py), so that every basis of every convention is one code path here. Beyond, they
// are zero.
#pragma once

#include "file.h"
#include "vectors.h"

namespace m3c::M3C_ISA {

template <class T>
struct Table {
  int columns = 0;
  int width = 0;  // columns, padded
  double reach = 0;

  // `name` holds [intervals][kTerms][columns]: coefficients of 1, t, t^2 ..., t from 0 to 1.
  void fill(const File& file, const std::string& name, int n_columns, double expected_reach) {
    const std::vector<double> from = file.array(name, {-1, kTerms, n_columns});
    columns = n_columns;
    width = padded(columns);
    reach = file.array(name + ".reach", {1})[0];
    if (!(std::fabs(reach - expected_reach) <= 1e-9 * expected_reach))
      throw Error("the table " + name + " does not end at the cutoff of the model");
    intervals_ = static_cast<int>(from.size()) / kTerms / columns;
    per_length_ = intervals_ / reach;
    coefficients_.zeros(int64_t{intervals_ + 1} * kTerms * width);
    for (std::size_t at = 0; at < from.size(); ++at)
      coefficients_.row(at / columns, width)[at % columns] = static_cast<T>(from[at]);
  }

  // Values and derivatives by r of all columns, [width] each.
  void evaluate(double r, T* value, T* slope) const {
    const double x = r * per_length_;
    const int i = x < intervals_ ? static_cast<int>(x) : intervals_;
    const T t = static_cast<T>(x - i), scale = static_cast<T>(per_length_);
    const T* at = coefficients_.row(i, kTerms * width);
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
  Buffer<T> coefficients_;
};

}  // namespace m3c::M3C_ISA
