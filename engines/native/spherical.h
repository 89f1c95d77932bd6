// Real spherical harmonics S_lm in Racah's normalisation, sum_m S_lm(u) S_lm(v) = P_l(u . v), as
// polynomials: no angle, no division (docs/three-body.md, section 2; models/angular.py).
//
// S_lm = N_lm Q_l|m|(z) Re or Im (x + iy)^|m|, where Q_lm is the m-th derivative of P_l:
//
//   Q_mm = (2m - 1)!!,   (l - m) Q_lm = (2l - 1) z Q_l-1,m - (l + m - 1) Q_l-2,m,
//   N_lm^2 = (l - m)! / (l + m)!, twice that for m > 0.
#pragma once

#include <cmath>

#include "vectors.h"

namespace m3c::M3C_ISA {

// each(l m, S, dS/dx, dS/dy, dS/dz) with l m = l^2 + l + m, for l < max_l.
template <class T, class Each>
inline void harmonics(Vec<T> x, Vec<T> y, Vec<T> z, int max_l, const Each& each) {
  Vec<T> re = Vec<T>{} + T(1), im{}, re_before{}, im_before{};  // of (x + iy)^m and ^(m - 1)
  double diagonal = 1;
  for (int m = 0; m < max_l; ++m) {
    Vec<T> q = Vec<T>{} + static_cast<T>(diagonal), slope{}, q_before{}, slope_before{};  // Q_lm, dQ_lm/dz
    double square = m == 0 ? 1.0 : 2.0;                                                   // N_lm^2
    for (int k = 1; k <= 2 * m; ++k) square /= k;
    for (int l = m; l < max_l; ++l) {
      const T n = static_cast<T>(std::sqrt(square)), degree = static_cast<T>(m);
      each(l * l + l + m, n * q * re, n * q * degree * re_before, -(n * q * degree * im_before), n * slope * re);
      if (m > 0)
        each(l * l + l - m, n * q * im, n * q * degree * im_before, n * q * degree * re_before, n * slope * im);
      const T a = static_cast<T>((2.0 * l + 1) / (l + 1 - m)), b = static_cast<T>(double(l + m) / (l + 1 - m));
      const Vec<T> next = a * z * q - b * q_before, next_slope = a * (q + z * slope) - b * slope_before;
      q_before = q, slope_before = slope, q = next, slope = next_slope;
      square *= double(l + 1 - m) / (l + 1 + m);
    }
    re_before = re, im_before = im;
    re = re_before * x - im_before * y;
    im = re_before * y + im_before * x;
    diagonal *= 2 * m + 1;
  }
}

}  // namespace m3c::M3C_ISA
