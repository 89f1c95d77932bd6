// The factorised three-body block (docs/three-body.md, section 2), for the atoms of a tile.
//
//   w_ik[l,n]  = f(r_ik) R_ln(r_ik) G_k[l,n]
//   A_i[lm,n]  = sum_k S_lm(ik) w_ik[l,n]
//   U_ij[l,n]  = sum_m S_lm(ij) A_i[lm,n] - w_ij[l,n]
//   T_ij[l,n]  = f(r_ij) c_l U_ij[l,n],           c_l = sqrt((2l + 1) / 4 pi)
//   e_ij      += SiLU(W1 T_ij) sigma(W2 T_ij)
//
// Where the gate is read at the centre, G_i leaves the sum: w = f R, and T gets the factor G_i.
#pragma once

#include "gated_mlp.h"
#include "tile.h"

namespace m3c {
namespace M3C_ISA {

template <class T>
struct ThreeBodyTape {
  MlpTape<T> update;
  Buffer<T> t;         // T, or its adjoint, [inside][width]
  Buffer<T> gate;      // G of the atom at the end, or at the centre, [columns][slots]
  Buffer<T> w, u;      // [columns][slots]
  Buffer<T> moments;   // A, [atoms][l m][n]
  Buffer<T> by_moments, by_u;
};

template <class T>
class ThreeBody {
 public:
  int columns = 0;  // (l, n) pairs
  int width = 0;    // columns, padded

  void fill(const Model& model, const std::string& prefix) {
    max_l_ = model.max_l;
    max_n_ = model.max_n;
    columns = model.triplet_basis();
    width = padded(columns);
    at_center_ = model.gate_at_center;
    update_.fill(model, prefix + ".update", 0, columns, false, true);
    norms_.reserve(columns);
    for (int c = 0; c < columns; ++c) {
      const int l = c / max_n_;
      norms_[c] = static_cast<T>(std::sqrt((2 * l + 1) / (4 * 3.14159265358979323846)));
    }
  }

  void reserve(ThreeBodyTape<T>& tape, int rows, int atoms) const {
    const std::size_t slots = Tile<T>::slots_for(rows, atoms);
    update_.reserve(tape.update, rows);
    tape.t.reserve(static_cast<std::size_t>(rows) * width);
    for (Buffer<T>* buffer : {&tape.gate, &tape.w, &tape.u, &tape.by_u})
      buffer->reserve(slots * columns);
    tape.moments.reserve(static_cast<std::size_t>(atoms) * max_l_ * max_l_ * max_n_);
    tape.by_moments.reserve(static_cast<std::size_t>(max_l_) * max_l_ * max_n_);
  }

  // Adds to the edge features e, [rows][edge_width]. `gates(row)` is G of a row, [columns].
  template <bool Record, class Gates>
  void forward(const Tile<T>& tile, const Gates& gates, ThreeBodyTape<T>& tape, T* e) const {
    const int slots = tile.n_slots;
    tape.gate.clear(static_cast<std::size_t>(columns) * slots);
    for (int k = 0; k < tile.n_inside; ++k) {
      const T* gate = gates(tile.row_of[k]);
      for (int c = 0; c < columns; ++c) tape.gate[c * slots + tile.slot_of[k]] = gate[c];
    }
    const T* taper = &tile.radial[columns * slots];
    for (int atom = 0; atom < tile.n_atoms; ++atom) {
      const int begin = tile.slot_begins[atom], end = tile.slot_begins[atom + 1];
      sum_moments(tile, tape, begin, end, moments_of(tape, atom));
      sum_over_m(tile, tape, begin, end, moments_of(tape, atom));
      for (int c = 0; c < columns; ++c)
        for (int k = tile.inside_begins[atom]; k < tile.inside_begins[atom + 1]; ++k) {
          const int at = c * slots + tile.slot_of[k];
          const T t = taper[tile.slot_of[k]] * norms_[c] * tape.u[at];
          tape.t[k * width + c] = at_center_ ? t * tape.gate[at] : t;
        }
    }
    const T* both = update_.template forward<Record>(tile.n_inside, tape.t.data(), width,
                                                     FromZero<T>(), tape.update);
    const int out = update_.out;
    for (int k = 0; k < tile.n_inside; ++k) {
      T* to = e + static_cast<std::size_t>(tile.row_of[k]) * out;
      const T* from = both + static_cast<std::size_t>(k) * 2 * out;
      for (int c = 0; c < out; c += kLanes<T>)
        store<T>(to + c, load(to + c) + load(from + c) * load(from + out + c));
    }
  }

  // From the adjoint of e to the geometry and, by `to_gate(inside edge, column, adjoint of the
  // logit of its gate)`, to the atoms. e itself passes unchanged.
  template <class ToGate>
  void backward(Tile<T>& tile, ThreeBodyTape<T>& tape, const T* by_e, const ToGate& to_gate) const {
    const int out = update_.out;
    const T* adjoint = update_.backward(
        tile.n_inside,
        [&](int k, int c) { return load(by_e + static_cast<std::size_t>(tile.row_of[k]) * out + c); },
        tape.update);
    T* by_t = tape.t.data();
    update_.to_inputs(tile.n_inside, adjoint, FromZero<T>(), [=](int k, int c, Vec<T> sum) {
      store<T>(by_t + static_cast<std::size_t>(k) * width + c, sum);
    });
    const int slots = tile.n_slots;
    tape.by_u.clear(static_cast<std::size_t>(columns) * slots);
    for (int k = 0; k < tile.n_inside; ++k) through_taper(tile, tape, k, to_gate);
    for (int atom = 0; atom < tile.n_atoms; ++atom) through_sums(tile, tape, atom);
    for (int k = 0; k < tile.n_inside; ++k) to_radial(tile, tape, k, to_gate);
  }

 private:
  T* moments_of(ThreeBodyTape<T>& tape, int atom) const {
    return tape.moments.data() + static_cast<std::size_t>(atom) * max_l_ * max_l_ * max_n_;
  }

  static Vec<T> dot(const T* a, const T* b, int n) {
    Vec<T> sum{};
    for (int k = 0; k < n; k += kLanes<T>) sum += load(a + k) * load(b + k);
    return sum;
  }

  // w and A of one atom.
  void sum_moments(const Tile<T>& tile, ThreeBodyTape<T>& tape, int begin, int end, T* a) const {
    const int slots = tile.n_slots;
    for (int c = 0; c < columns; ++c)
      for (int slot = begin; slot < end; slot += kLanes<T>) {
        const Vec<T> radial = load(&tile.radial[c * slots + slot]);
        const Vec<T> gate = load(&tape.gate[c * slots + slot]);
        store<T>(&tape.w[c * slots + slot], at_center_ ? radial : radial * gate);
      }
    for (int l = 0, lm = 0; l < max_l_; ++l)
      for (int m = 0; m < 2 * l + 1; ++m, ++lm)
        for (int n = 0; n < max_n_; ++n)
          a[lm * max_n_ + n] =
              sum_lanes<T>(dot(&tile.harmonics[lm * slots + begin],
                               &tape.w[(l * max_n_ + n) * slots + begin], end - begin));
  }

  void sum_over_m(const Tile<T>& tile, ThreeBodyTape<T>& tape, int begin, int end,
                  const T* a) const {
    const int slots = tile.n_slots;
    for (int c = 0; c < columns; ++c) {
      const int l = c / max_n_, n = c % max_n_;
      for (int slot = begin; slot < end; slot += kLanes<T>) {
        Vec<T> sum = -load(&tape.w[c * slots + slot]);
        for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm)
          sum += load(&tile.harmonics[lm * slots + slot]) * a[lm * max_n_ + n];
        store<T>(&tape.u[c * slots + slot], sum);
      }
    }
  }

  // T = f c U (G): to f, to U, and to the gate of the centre.
  template <class ToGate>
  void through_taper(Tile<T>& tile, ThreeBodyTape<T>& tape, int k, const ToGate& to_gate) const {
    const int slots = tile.n_slots, slot = tile.slot_of[k];
    const int f = columns * slots + slot;
    T by_taper = 0;
    for (int c = 0; c < columns; ++c) {
      const int at = c * slots + slot;
      T by = tape.t[k * width + c] * norms_[c];
      if (at_center_) {
        const T gate = tape.gate[at];
        to_gate(k, c, by * tile.radial[f] * tape.u[at] * gate * (1 - gate));
        by *= gate;
      }
      by_taper += by * tape.u[at];
      tape.by_u[at] = by * tile.radial[f];
    }
    tile.by_length[tile.row_of[k]] += by_taper * tile.radial_slope[f];
  }

  // Through U and A to the directions, and to w, whose adjoint takes the place of that of U.
  void through_sums(Tile<T>& tile, ThreeBodyTape<T>& tape, int atom) const {
    const int slots = tile.n_slots;
    const int begin = tile.slot_begins[atom], end = tile.slot_begins[atom + 1];
    const T* a = moments_of(tape, atom);
    T* by_a = tape.by_moments.data();
    for (int l = 0, lm = 0; l < max_l_; ++l)
      for (int m = 0; m < 2 * l + 1; ++m, ++lm)
        for (int n = 0; n < max_n_; ++n)
          by_a[lm * max_n_ + n] =
              sum_lanes<T>(dot(&tile.harmonics[lm * slots + begin],
                               &tape.by_u[(l * max_n_ + n) * slots + begin], end - begin));
    for (int slot = begin; slot < end; slot += kLanes<T>) {
      const Harmonics<T> at(load(&tile.directions[slot]), load(&tile.directions[slots + slot]),
                            load(&tile.directions[2 * slots + slot]), max_l_);
      Vec<T> by_x{}, by_y{}, by_z{};
      for (int l = 0, lm = 0; l < max_l_; ++l)
        for (int m = -l; m <= l; ++m, ++lm) {
          Vec<T> by_s{};
          for (int n = 0; n < max_n_; ++n) {
            const int c = (l * max_n_ + n) * slots + slot;
            by_s += load(&tape.by_u[c]) * a[lm * max_n_ + n] + load(&tape.w[c]) * by_a[lm * max_n_ + n];
          }
          at.backward(l, m, by_s, by_x, by_y, by_z);
        }
      for (int c = 0; c < columns; ++c) {
        const int l = c / max_n_, n = c % max_n_;
        Vec<T> by_w = -load(&tape.by_u[c * slots + slot]);
        for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm)
          by_w += load(&tile.harmonics[lm * slots + slot]) * by_a[lm * max_n_ + n];
        store<T>(&tape.by_u[c * slots + slot], by_w);
      }
      const Vec<T> by[3] = {by_x, by_y, by_z};
      const int edge = tile.inside_begins[atom] + slot - begin;
      const int left = tile.inside_begins[atom + 1] - edge;
      for (int lane = 0; lane < kLanes<T> && lane < left; ++lane)
        for (int axis = 0; axis < 3; ++axis)
          tile.by_unit[axis * tile.rows_reserved + tile.row_of[edge + lane]] += by[axis][lane];
    }
  }

  // w = f R (G): to f R, and to the gate of the atom at the end.
  template <class ToGate>
  void to_radial(Tile<T>& tile, ThreeBodyTape<T>& tape, int k, const ToGate& to_gate) const {
    const int slots = tile.n_slots, slot = tile.slot_of[k];
    T by_r = 0;
    for (int c = 0; c < columns; ++c) {
      const int at = c * slots + slot;
      T by = tape.by_u[at];
      if (!at_center_) {
        const T gate = tape.gate[at];
        to_gate(k, c, by * tile.radial[at] * gate * (1 - gate));
        by *= gate;
      }
      by_r += by * tile.radial_slope[at];
    }
    tile.by_length[tile.row_of[k]] += by_r;
  }

  int max_l_ = 0, max_n_ = 0;
  bool at_center_ = false;
  GatedMlp<T> update_;
  Buffer<T> norms_;  // c_l of every column
};

}  // namespace M3C_ISA
}  // namespace m3c
