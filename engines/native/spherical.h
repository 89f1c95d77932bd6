// Real spherical harmonics S_lm in Racah's normalisation, sum_m S_lm(u) S_lm(v) = P_l(u . v), as
// polynomials: no angle, no division (docs/three-body.md, section 2; models/angular.py).
//
// S_lm = N_lm Q_l|m|(z) Re or Im (x + iy)^|m|, where Q_lm is the m-th derivative of P_l, so that
// dQ_lm/dz = Q_l,m+1.
#pragma once

#include <cmath>

#include "simd.h"

namespace m3c {
namespace M3C_ISA {

constexpr int kMostMomenta = 16;

inline double harmonic_norm(int l, int m) {
  double norm = m == 0 ? 1.0 : 2.0;
  for (int k = l - m + 1; k <= l + m; ++k) norm /= k;
  return std::sqrt(norm);
}

struct HarmonicNorms {
  double of[kMostMomenta][kMostMomenta];
  HarmonicNorms() {
    for (int l = 0; l < kMostMomenta; ++l)
      for (int m = 0; m < kMostMomenta; ++m) of[l][m] = m <= l ? harmonic_norm(l, m) : 0.0;
  }
};

template <class T>
class Harmonics {
 public:
  Harmonics(Vec<T> x, Vec<T> y, Vec<T> z, int max_l) {
    real_[0] = spread(T(1));
    imaginary_[0] = Vec<T>{};
    for (int m = 1; m < max_l; ++m) {
      real_[m] = real_[m - 1] * x - imaginary_[m - 1] * y;
      imaginary_[m] = real_[m - 1] * y + imaginary_[m - 1] * x;
    }
    double diagonal = 1;  // (2m - 1)!!
    for (int m = 0; m < max_l; ++m) {
      if (m > 0) diagonal *= 2 * m - 1;
      q_[m][m] = spread(static_cast<T>(diagonal));
      if (m + 1 < max_l) q_[m + 1][m] = static_cast<T>(2 * m + 1) * z * q_[m][m];
      for (int l = m + 2; l < max_l; ++l)
        q_[l][m] = (static_cast<T>(2 * l - 1) * z * q_[l - 1][m] -
                    static_cast<T>(l + m - 1) * q_[l - 2][m]) *
                   static_cast<T>(1.0 / (l - m));
    }
  }

  Vec<T> value(int l, int m) const {
    const int size = m < 0 ? -m : m;
    return norm(l, size) * q_[l][size] * (m < 0 ? imaginary_[size] : real_[size]);
  }

  // Adds `adjoint` of S_lm, carried to the direction, to (by_x, by_y, by_z).
  void backward(int l, int m, Vec<T> adjoint, Vec<T>& by_x, Vec<T>& by_y, Vec<T>& by_z) const {
    const int size = m < 0 ? -m : m;
    const Vec<T> scaled = adjoint * norm(l, size);
    if (size > 0) {
      const Vec<T> factor = scaled * q_[l][size] * static_cast<T>(size);
      const Vec<T> re = real_[size - 1], im = imaginary_[size - 1];
      by_x += factor * (m < 0 ? im : re);
      by_y += factor * (m < 0 ? re : -im);
    }
    if (size < l) by_z += scaled * q_[l][size + 1] * (m < 0 ? imaginary_[size] : real_[size]);
  }

 private:
  static T norm(int l, int m) {
    static const HarmonicNorms norms;
    return static_cast<T>(norms.of[l][m]);
  }

  Vec<T> real_[kMostMomenta], imaginary_[kMostMomenta];
  Vec<T> q_[kMostMomenta][kMostMomenta];
};

}  // namespace M3C_ISA
}  // namespace m3c
