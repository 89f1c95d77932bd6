// The edges of a few consecutive atoms: what all blocks read of their geometry.
//
// A tile is as many atoms as have about 60 edges together, or one atom with more. Edges are rows; those inside the
// three-body cutoff are besides laid out as slots, one array per quantity, where those of every atom begin at a
// multiple of the vector length and empty slots are zero.
#pragma once

#include "m3c.h"
#include "table.h"

namespace m3c::M3C_ISA {
constexpr int kTileEdges = 60;  // unless a single atom has more
constexpr int kTileAtoms = 16;

template <class T>
double length_of(const T* vector) {
  const double x = vector[0], y = vector[1], z = vector[2];
  return std::sqrt(x * x + y * y + z * z);
}

// Real spherical harmonics S_lm in Racah's normalisation, sum_m S_lm(u) S_lm(v) = P_l(u . v), as
// polynomials: no angle, no division (docs/three-body.md, section 2; models/angular.py).
//
// S_lm = N_lm Q_l|m|(z) Re or Im (x + iy)^|m|, where Q_lm is the m-th derivative of P_l:
//
//   Q_mm = (2m - 1)!!,   (l - m) Q_lm = (2l - 1) z Q_l-1,m - (l + m - 1) Q_l-2,m,
//   N_lm^2 = (l - m)! / (l + m)!, twice that for m > 0.
//
// each(l m, {S, dS/dx, dS/dy, dS/dz}) with l m = l^2 + l + m, for l < max_l.
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
      each(l * l + l + m, {n * q * re, n * q * degree * re_before, -(n * q * degree * im_before), n * slope * re});
      if (m > 0)
        each(l * l + l - m, {n * q * im, n * q * degree * im_before, n * q * degree * re_before, n * slope * im});
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

template <class T>
struct Tile {
  int64_t first_edge = 0, first_atom = 0;
  int n_edges = 0, n_atoms = 0, basis_width = 0;
  std::vector<int> edge_of, atom_of;    // of every row; those inside the three-body cutoff come first
  std::vector<T> unit, inverse_length;  // [rows][3], [rows]
  Buffer<T> basis, basis_slope;         // h(r) and dh/dr, [rows][basis width]

  // What a pass finds: dE/dh, dE/dr (apart from that through h), dE/d(unit vector).
  Buffer<T> by_basis;
  std::vector<T> by_length, by_unit;

  int n_inside = 0, n_slots = 0;
  std::vector<int> slot_of;                   // of every inside edge
  std::vector<int> first_inside, first_slot;  // of every atom, and at last their numbers
  Buffer<T> radial, radial_slope;             // f R_ln and at last f, [columns + 1][slots]
  Buffer<T> harmonic[4];                      // S_lm and its derivatives, [l m][slots]

  // Takes atoms from `atom` on, up to `end`; returns the first one that is left.
  template <class Inside>
  int64_t take(const m3c_system& system, const Inside& is_inside, int64_t atom, int64_t end) {
    first_atom = atom;
    first_edge = system.begins[atom];
    for (; atom < end && atom < first_atom + kTileAtoms; ++atom)
      if (atom > first_atom && system.begins[atom + 1] - first_edge > kTileEdges) break;
    n_atoms = static_cast<int>(atom - first_atom);
    n_edges = static_cast<int>(system.begins[atom] - first_edge);
    edge_of.clear(), atom_of.clear();
    for (const bool inside : {true, false}) {
      for (int64_t i = first_atom; i < atom; ++i)
        for (int64_t e = system.begins[i]; e < system.begins[i + 1]; ++e) {
          if (is_inside(i, e) != inside) continue;
          edge_of.push_back(static_cast<int>(e - first_edge));
          atom_of.push_back(static_cast<int>(i - first_atom));
        }
      if (inside) n_inside = static_cast<int>(edge_of.size());
    }
    return atom;
  }

  // `vectors` of its edges. Without a three-body block the table of triplets has no columns.
  void describe(const T* vectors, const Table<T>& edges, const Table<T>& triplets, int max_l) {
    basis_width = edges.width;
    basis.room(n_edges * basis_width);
    basis_slope.room(n_edges * basis_width);
    by_basis.zeros(n_edges * basis_width);
    inverse_length.resize(n_edges);
    unit.resize(3 * n_edges);
    by_length.assign(n_edges, T(0));
    by_unit.assign(3 * n_edges, T(0));
    for (int row = 0; row < n_edges; ++row) {
      const T* vector = vectors + 3 * edge_of[row];
      const double r = length_of(vector);
      inverse_length[row] = static_cast<T>(1 / r);
      for (int axis = 0; axis < 3; ++axis) unit[3 * row + axis] = static_cast<T>(vector[axis] / r);
      edges.evaluate(r, basis.row(row, basis_width), basis_slope.row(row, basis_width));
    }
    if (triplets.columns > 0) describe_inside(vectors, triplets, max_l);
  }

  // Adds what this pass found to dE/dr_ij, [rows][3].
  void add_gradient(T* gradient) const {
    for (int row = 0; row < n_edges; ++row) {
      Vec<T> through_basis{};
      for (int c = row * basis_width; c < (row + 1) * basis_width; c += kLanes<T>)
        through_basis += load(&by_basis[c]) * load(&basis_slope[c]);
      const T *u = &unit[3 * row], *by = &by_unit[3 * row];
      const T along = u[0] * by[0] + u[1] * by[1] + u[2] * by[2];
      const T by_r = by_length[row] + sum_lanes<T>(through_basis);
      for (int axis = 0; axis < 3; ++axis)
        gradient[3 * edge_of[row] + axis] += u[axis] * by_r + (by[axis] - u[axis] * along) * inverse_length[row];
    }
  }

 private:
  void describe_inside(const T* vectors, const Table<T>& triplets, int max_l) {
    lay_out_slots();
    T *values = radial.zeros(triplets.columns * n_slots), *slopes = radial_slope.zeros(triplets.columns * n_slots);
    T *u = directions_.zeros(3 * n_slots), *at_once = one_edge_.room(2 * triplets.width);
    for (int k = 0; k < n_inside; ++k) {
      triplets.evaluate(length_of(vectors + 3 * edge_of[k]), at_once, at_once + triplets.width);
      for (int c = 0; c < triplets.columns; ++c) {
        values[c * n_slots + slot_of[k]] = at_once[c];
        slopes[c * n_slots + slot_of[k]] = at_once[triplets.width + c];
      }
      for (int axis = 0; axis < 3; ++axis) u[axis * n_slots + slot_of[k]] = unit[3 * k + axis];
    }
    for (Buffer<T>& part : harmonic) part.room(max_l * max_l * n_slots);
    for (int slot = 0; slot < n_slots; slot += kLanes<T>)
      harmonics<T>(load(u + slot), load(u + n_slots + slot), load(u + 2 * n_slots + slot), max_l,
                   [&](int lm, const std::array<Vec<T>, 4>& parts) {
                     for (int k = 0; k < 4; ++k) store<T>(&harmonic[k][lm * n_slots + slot], parts[k]);
                   });
  }

  void lay_out_slots() {
    n_slots = 0;
    for (auto* one : {&slot_of, &first_inside, &first_slot}) one->clear();
    for (int atom = 0, row = 0; atom <= n_atoms; ++atom) {
      n_slots = (n_slots + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
      first_inside.push_back(row);
      first_slot.push_back(n_slots);
      for (; row < n_inside && atom_of[row] == atom; ++row) slot_of.push_back(n_slots++);
    }
  }

  Buffer<T> directions_;  // [3][slots]
  Buffer<T> one_edge_;    // values and slopes, [2][table width]
};
}  // namespace m3c::M3C_ISA
