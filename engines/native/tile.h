// The edges of a few consecutive atoms: what all blocks read of their geometry.
//
// A tile is as many atoms as have about 60 edges together, or one atom with more. Edges are rows;
// those inside the three-body cutoff are besides laid out as slots, one array per quantity, where
// those of every atom begin at a multiple of the vector length and empty slots are zero.
#pragma once

#include <cmath>
#include <vector>

#include "spherical.h"
#include "table.h"

namespace m3c {
namespace M3C_ISA {

// Edges of a tile, unless a single atom has more.
constexpr int kTileEdges = 60;

// Edges by centre: those of atom i are begins[i] ... begins[i + 1] - 1.
template <class T>
struct EdgeList {
  int64_t n_owned = 0;  // atoms with edges; rows after them are ghosts
  int64_t n_rows = 0;
  const int32_t* species = nullptr;    // [n_rows]
  const int64_t* begins = nullptr;     // [n_owned + 1]
  const int32_t* neighbors = nullptr;  // [n_edges]
  const T* vectors = nullptr;          // [n_edges][3] in Angstrom
};

template <class T>
struct Tile {
  int64_t first_edge = 0, first_atom = 0;
  int n_edges = 0, n_atoms = 0;
  std::vector<int> begins;  // rows of every atom, [n_atoms + 1]
  std::vector<int> atom_of;  // atom of every row
  Buffer<T> unit;            // [3][rows]
  Buffer<T> inverse_length;  // [rows]
  Buffer<T> basis, basis_slope;  // h(r) and dh/dr, [rows][table width]
  Buffer<T> by_length;           // dE/dr of this pass, [rows]
  Buffer<T> by_unit;             // dE/d(unit vector) of this pass, [3][rows]
  int rows_reserved = 0;

  int n_inside = 0, n_slots = 0;
  std::vector<int> inside_begins, slot_begins;  // [n_atoms + 1]
  std::vector<int> row_of, slot_of;             // of every inside edge
  Buffer<T> radial, radial_slope;  // f R_ln and at last f, [columns + 1][slots]
  Buffer<T> directions;            // [3][slots]
  Buffer<T> harmonics;             // S_lm, [l m][slots]
  Buffer<T> values, slopes;        // of one edge, from a table

  void reserve(int rows, int atoms, const Table<T>& edges, const Table<T>* triplets, int max_l) {
    rows_reserved = rows;
    begins.resize(atoms + 1);
    atom_of.resize(rows);
    unit.reserve(3 * static_cast<std::size_t>(rows));
    by_unit.reserve(3 * static_cast<std::size_t>(rows));
    inverse_length.reserve(rows);
    by_length.reserve(rows);
    basis.reserve(static_cast<std::size_t>(rows) * edges.width);
    basis_slope.reserve(static_cast<std::size_t>(rows) * edges.width);
    if (triplets == nullptr) return;
    const std::size_t slots = slots_for(rows, atoms);
    inside_begins.resize(atoms + 1);
    slot_begins.resize(atoms + 1);
    row_of.resize(rows);
    slot_of.resize(rows);
    radial.reserve(slots * triplets->columns);
    radial_slope.reserve(slots * triplets->columns);
    directions.reserve(slots * 3);
    harmonics.reserve(slots * max_l * max_l);
    values.reserve(triplets->width);
    slopes.reserve(triplets->width);
  }

  static std::size_t slots_for(int rows, int atoms) {
    return static_cast<std::size_t>(rows) + static_cast<std::size_t>(atoms) * kLanes<T>;
  }

  // Takes atoms from `atom` on, up to `end`; returns the first one that is left.
  int64_t take(const EdgeList<T>& list, int64_t atom, int64_t end) {
    first_atom = atom;
    first_edge = list.begins[atom];
    n_atoms = 0;
    n_edges = 0;
    const int most_atoms = static_cast<int>(begins.size()) - 1;
    while (atom < end && n_atoms < most_atoms) {
      const int more = static_cast<int>(list.begins[atom + 1] - list.begins[atom]);
      if (n_atoms > 0 && n_edges + more > kTileEdges) break;
      begins[n_atoms] = n_edges;
      for (int row = n_edges; row < n_edges + more; ++row) atom_of[row] = n_atoms;
      n_edges += more;
      ++n_atoms;
      ++atom;
    }
    begins[n_atoms] = n_edges;
    return atom;
  }

  void describe(const EdgeList<T>& list, const Table<T>& edges, const Table<T>* triplets,
                double triplet_reach, int max_l) {
    if (triplets != nullptr) lay_out_slots(list, triplet_reach, triplets->columns);
    int inside = 0;
    for (int row = 0; row < n_edges; ++row) {
      const T* vector = list.vectors + 3 * (first_edge + row);
      const double r = length(vector);
      inverse_length[row] = static_cast<T>(1 / r);
      for (int axis = 0; axis < 3; ++axis)
        unit[axis * rows_reserved + row] = static_cast<T>(vector[axis] / r);
      edges.evaluate(r, &basis[row * edges.width], &basis_slope[row * edges.width]);
      by_length[row] = 0;
      for (int axis = 0; axis < 3; ++axis) by_unit[axis * rows_reserved + row] = 0;
      if (triplets == nullptr || inside == n_inside || row_of[inside] != row) continue;
      triplets->evaluate(r, values.data(), slopes.data());
      const int slot = slot_of[inside++];
      for (int c = 0; c < triplets->columns; ++c) {
        radial[c * n_slots + slot] = values[c];
        radial_slope[c * n_slots + slot] = slopes[c];
      }
      for (int axis = 0; axis < 3; ++axis)
        directions[axis * n_slots + slot] = unit[axis * rows_reserved + row];
    }
    if (triplets == nullptr) return;
    for (int slot = 0; slot < n_slots; slot += kLanes<T>) {
      const Harmonics<T> at(load(&directions[slot]), load(&directions[n_slots + slot]),
                            load(&directions[2 * n_slots + slot]), max_l);
      for (int l = 0, lm = 0; l < max_l; ++l)
        for (int m = -l; m <= l; ++m, ++lm) store<T>(&harmonics[lm * n_slots + slot], at.value(l, m));
    }
  }

  // Adds what this pass found to dE/dr_ij, [n_edges][3].
  void add_gradient(T* gradient) const {
    for (int row = 0; row < n_edges; ++row) {
      T along = 0, u[3], by[3];
      for (int axis = 0; axis < 3; ++axis) {
        u[axis] = unit[axis * rows_reserved + row];
        by[axis] = by_unit[axis * rows_reserved + row];
        along += u[axis] * by[axis];
      }
      for (int axis = 0; axis < 3; ++axis)
        gradient[3 * (first_edge + row) + axis] +=
            u[axis] * by_length[row] + (by[axis] - u[axis] * along) * inverse_length[row];
    }
  }

  static double length(const T* vector) {
    const double x = vector[0], y = vector[1], z = vector[2];
    return std::sqrt(x * x + y * y + z * z);
  }

 private:
  void lay_out_slots(const EdgeList<T>& list, double reach, int columns) {
    n_inside = 0;
    n_slots = 0;
    for (int atom = 0; atom < n_atoms; ++atom) {
      inside_begins[atom] = n_inside;
      slot_begins[atom] = n_slots;
      int slot = n_slots;
      for (int row = begins[atom]; row < begins[atom + 1]; ++row) {
        if (!(length(list.vectors + 3 * (first_edge + row)) < reach)) continue;
        row_of[n_inside] = row;
        slot_of[n_inside++] = slot++;
      }
      n_slots = (slot + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
    }
    inside_begins[n_atoms] = n_inside;
    slot_begins[n_atoms] = n_slots;
    radial.clear(static_cast<std::size_t>(columns) * n_slots);
    radial_slope.clear(static_cast<std::size_t>(columns) * n_slots);
    directions.clear(3 * static_cast<std::size_t>(n_slots));
  }
};

}  // namespace M3C_ISA
}  // namespace m3c
