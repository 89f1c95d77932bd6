// The edges of a few consecutive atoms: what all blocks read of their geometry.
//
// A tile is as many atoms as have about 60 edges together, or one atom with more. Edges are rows;
// those inside the three-body cutoff are besides laid out as slots, one array per quantity, where
// those of every atom begin at a multiple of the vector length and empty slots are zero.
#pragma once

#include "m3c.h"
#include "spherical.h"
#include "table.h"

namespace m3c::M3C_ISA {

constexpr int kTileEdges = 60;  // unless a single atom has more
constexpr int kTileAtoms = 16;

template <class T>
double length_of(const T* vector) {
  const double x = vector[0], y = vector[1], z = vector[2];
  return std::sqrt(x * x + y * y + z * z);
}

template <class T>
struct Tile {
  int64_t first_edge = 0, first_atom = 0;
  int n_edges = 0, n_atoms = 0, basis_width = 0;
  std::vector<int> atom_of;             // of every row
  std::vector<T> unit, inverse_length;  // [rows][3], [rows]
  Buffer<T> basis, basis_slope;         // h(r) and dh/dr, [rows][basis width]

  // What a pass finds: dE/dh, dE/dr (apart from that through h), dE/d(unit vector).
  Buffer<T> by_basis;
  std::vector<T> by_length, by_unit;

  int n_inside = 0, n_slots = 0;
  std::vector<int> row_of, slot_of;           // of every inside edge
  std::vector<int> first_inside, first_slot;  // of every atom, and at last their numbers
  Buffer<T> radial, radial_slope;             // f R_ln and at last f, [columns + 1][slots]
  Buffer<T> harmonic, harmonic_slope[3];      // S_lm and its derivatives, [l m][slots]

  // Takes atoms from `atom` on, up to `end`; returns the first one that is left.
  int64_t take(const m3c_system& system, int64_t atom, int64_t end) {
    first_atom = atom;
    first_edge = system.begins[atom];
    n_atoms = n_edges = 0;
    atom_of.clear();
    for (; atom < end && n_atoms < kTileAtoms; ++atom, ++n_atoms) {
      const int more = static_cast<int>(system.begins[atom + 1] - system.begins[atom]);
      if (n_atoms > 0 && n_edges + more > kTileEdges) break;
      atom_of.insert(atom_of.end(), more, n_atoms);
      n_edges += more;
    }
    return atom;
  }

  // `vectors` of its rows. Without a three-body block the table of triplets has no columns.
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
      const double r = length_of(vectors + 3 * row);
      inverse_length[row] = static_cast<T>(1 / r);
      for (int axis = 0; axis < 3; ++axis) unit[3 * row + axis] = static_cast<T>(vectors[3 * row + axis] / r);
      edges.evaluate(r, basis.row(row, basis_width), basis_slope.row(row, basis_width));
    }
    if (triplets.columns > 0) describe_inside(vectors, triplets, max_l);
  }

  // Adds what this pass found to dE/dr_ij, [rows][3].
  void add_gradient(T* gradient) const {
    for (int row = 0; row < n_edges; ++row, gradient += 3) {
      Vec<T> through_basis{};
      for (int c = row * basis_width; c < (row + 1) * basis_width; c += kLanes<T>)
        through_basis += load(&by_basis[c]) * load(&basis_slope[c]);
      const T *u = &unit[3 * row], *by = &by_unit[3 * row];
      const T along = u[0] * by[0] + u[1] * by[1] + u[2] * by[2];
      const T by_r = by_length[row] + sum_lanes<T>(through_basis);
      for (int axis = 0; axis < 3; ++axis)
        gradient[axis] += u[axis] * by_r + (by[axis] - u[axis] * along) * inverse_length[row];
    }
  }

 private:
  void describe_inside(const T* vectors, const Table<T>& triplets, int max_l) {
    lay_out_slots(vectors, triplets.reach);
    T *values = radial.zeros(triplets.columns * n_slots), *slopes = radial_slope.zeros(triplets.columns * n_slots);
    T *u = directions_.zeros(3 * n_slots), *at_once = one_edge_.room(2 * triplets.width);
    for (int k = 0; k < n_inside; ++k) {
      triplets.evaluate(length_of(vectors + 3 * row_of[k]), at_once, at_once + triplets.width);
      for (int c = 0; c < triplets.columns; ++c) {
        values[c * n_slots + slot_of[k]] = at_once[c];
        slopes[c * n_slots + slot_of[k]] = at_once[triplets.width + c];
      }
      for (int axis = 0; axis < 3; ++axis) u[axis * n_slots + slot_of[k]] = unit[3 * row_of[k] + axis];
    }
    for (Buffer<T>* buffer : {&harmonic, &harmonic_slope[0], &harmonic_slope[1], &harmonic_slope[2]})
      buffer->room(max_l * max_l * n_slots);
    for (int slot = 0; slot < n_slots; slot += kLanes<T>)
      harmonics<T>(load(u + slot), load(u + n_slots + slot), load(u + 2 * n_slots + slot), max_l,
                   [&](int lm, Vec<T> s, Vec<T> by_x, Vec<T> by_y, Vec<T> by_z) {
                     const int at = lm * n_slots + slot;
                     store<T>(&harmonic[at], s);
                     store<T>(&harmonic_slope[0][at], by_x);
                     store<T>(&harmonic_slope[1][at], by_y);
                     store<T>(&harmonic_slope[2][at], by_z);
                   });
  }

  void lay_out_slots(const T* vectors, double reach) {
    n_inside = n_slots = 0;
    for (auto* one : {&row_of, &slot_of, &first_inside, &first_slot}) one->clear();
    for (int atom = 0, row = 0; atom <= n_atoms; ++atom) {
      n_slots = (n_slots + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
      first_inside.push_back(n_inside);
      first_slot.push_back(n_slots);
      for (; row < n_edges && atom_of[row] == atom; ++row) {
        if (!(length_of(vectors + 3 * row) < reach)) continue;
        row_of.push_back(row);
        slot_of.push_back(n_slots++);
        ++n_inside;
      }
    }
  }

  Buffer<T> directions_;  // [3][slots]
  Buffer<T> one_edge_;    // values and slopes, [2][table width]
};

}  // namespace m3c::M3C_ISA
