// The factorised three-body block (docs/three-body.md, section 2), for the atoms of a tile.
//
//   w_ik[l,n]  = f(r_ik) R_ln(r_ik) G_k[l,n]
//   A_i[lm,n]  = sum_k S_lm(ik) w_ik[l,n]
//   U_ij[l,n]  = sum_m S_lm(ij) A_i[lm,n] - w_ij[l,n]
//   T_ij[l,n]  = f(r_ij) c_l U_ij[l,n],           c_l = sqrt((2l + 1) / 4 pi)
//   e_ij      += SiLU(W1 T_ij) sigma(W2 T_ij)
//
// Where the gate is read at the centre, G_i stands for every G_k: it factors out of the sums.
#pragma once

#include "gated_mlp.h"
#include "tile.h"

namespace m3c::M3C_ISA {
// Links of an atom at one end of an edge (block.h), and where their adjoint is summed: null in the first block.
template <class T>
struct End {
  const T* links;
  T* by_links;
};

template <class T>
struct ThreeBodyTape {
  MlpTape<T> update;
  Buffer<T> t;                 // T, then its adjoint, [inside][width]
  Buffer<T> gate, w, u, by_u;  // [columns][slots]
  Buffer<T> a, by_a;           // A, [atoms][l m][n], and its adjoint, of one atom
};

template <class T>
class ThreeBody {
 public:
  // `offset` of G in the links.
  void fill(const File& file, const Sizes& sizes, const std::string& prefix, int offset) {
    offset_ = offset;
    max_l_ = sizes.max_l;
    max_n_ = sizes.max_n;
    columns_ = sizes.triplet_basis();
    n_moments_ = max_l_ * max_l_ * max_n_;
    update_.fill(file, prefix + ".update", columns_, 0, sizes.edge_width, false);
    for (int c = 0; c < columns_; ++c)
      norms_.push_back(static_cast<T>(std::sqrt((2 * (c / max_n_) + 1) / (4 * 3.14159265358979323846))));
  }

  // Adds to the edge features e, [rows][edge width]; G of every row is in the links of `gates`.
  void forward(const Tile<T>& tile, const End<T>* gates, MlpDesk<T>& desk, ThreeBodyTape<T>& tape, T* e) const {
    const int slots = tile.n_slots, width = padded(columns_), size = columns_ * slots, out = update_.out;
    T *gate = tape.gate.zeros(size), *w = tape.w.room(size), *u = tape.u.room(size);
    T *a = tape.a.room(tile.n_atoms * n_moments_), *t = tape.t.room(tile.n_inside * width);
    for (int k = 0; k < tile.n_inside; ++k)
      for (int c = 0; c < columns_; ++c) gate[c * slots + tile.slot_of[k]] = gates[k].links[offset_ + c];
    for (int at = 0; at < size; at += kLanes<T>) store<T>(w + at, load(&tile.radial[at]) * load(gate + at));
    for (int atom = 0; atom < tile.n_atoms; ++atom, a += n_moments_) {
      sum_over_edges(tile, atom, w, a);
      sum_over_m(tile, atom, w, a, u);
    }
    for (int k = 0; k < tile.n_inside; ++k)
      for (int c = 0; c < columns_; ++c)
        t[k * width + c] = tile.radial[size + tile.slot_of[k]] * norms_[c] * u[c * slots + tile.slot_of[k]];
    const Rows<const T> both = update_.forward(tile.n_inside, {t, width}, false, desk, tape.update);
    for (int k = 0; k < tile.n_inside; ++k)
      for (int c = 0; c < out; c += kLanes<T>)
        add_to<T>(e + k * out + c, load(both.at(k, c)) * load(both.at(k, out + c)));
  }

  // From the adjoint of e, which passes unchanged, to the geometry and to what goes into the sigmoids of the gates.
  void backward(Tile<T>& tile, const End<T>* gates, ThreeBodyTape<T>& tape, const T* by_e) const {
    const int out = update_.out;
    auto upstream = [&](int k, int c) { return load(by_e + k * out + c); };
    const Rows<const T> adjoint = update_.backward(tile.n_inside, upstream, tape.update);
    update_.add_inputs(tile.n_inside, adjoint, tape.t.zeros(tile.n_inside * padded(columns_)));
    through_taper(tile, tape);
    for (int atom = 0; atom < tile.n_atoms; ++atom) through_sums(tile, tape, atom);
    for (int k = 0; k < tile.n_inside; ++k) through_w(tile, tape, k, gates[k].by_links);
  }

 private:
  // a[lm,n] = sum over the edges of an atom of S_lm x[l,n].
  void sum_over_edges(const Tile<T>& tile, int atom, const T* x, T* a) const {
    const int slots = tile.n_slots;
    for (int l = 0; l < max_l_; ++l)
      for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm)
        for (int n = 0; n < max_n_; ++n) {
          Vec<T> sum{};
          for (int slot = tile.first_slot[atom]; slot < tile.first_slot[atom + 1]; slot += kLanes<T>)
            sum += load(&tile.harmonic[0][lm * slots + slot]) * load(x + (l * max_n_ + n) * slots + slot);
          a[lm * max_n_ + n] = sum_lanes<T>(sum);
        }
  }

  // y[l,n] = sum over m of S_lm a[lm,n], minus x[l,n], which is the edge itself; y may be x.
  void sum_over_m(const Tile<T>& tile, int atom, const T* x, const T* a, T* y) const {
    const int slots = tile.n_slots;
    for (int c = 0; c < columns_; ++c)
      for (int slot = tile.first_slot[atom]; slot < tile.first_slot[atom + 1]; slot += kLanes<T>) {
        const int l = c / max_n_, n = c % max_n_;
        Vec<T> sum = -load(x + c * slots + slot);
        for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm)
          sum += load(&tile.harmonic[0][lm * slots + slot]) * a[lm * max_n_ + n];
        store<T>(y + c * slots + slot, sum);
      }
  }

  // T = f c U: to f and to U.
  void through_taper(Tile<T>& tile, ThreeBodyTape<T>& tape) const {
    const int slots = tile.n_slots, width = padded(columns_), f = columns_ * slots;
    T* by_u = tape.by_u.zeros(f);
    for (int k = 0; k < tile.n_inside; ++k) {
      const int slot = tile.slot_of[k];
      T by_taper = 0;
      for (int c = 0; c < columns_; ++c) {
        const T by = tape.t[k * width + c] * norms_[c];
        by_taper += by * tape.u[c * slots + slot];
        by_u[c * slots + slot] = by * tile.radial[f + slot];
      }
      tile.by_length[k] += by_taper * tile.radial_slope[f + slot];
    }
  }

  // Through U and A to the directions, and to w, whose adjoint takes the place of that of U.
  void through_sums(Tile<T>& tile, ThreeBodyTape<T>& tape, int atom) const {
    const int slots = tile.n_slots;
    const T *a = tape.a.row(atom, n_moments_), *w = tape.w.data();
    T *by_a = tape.by_a.room(n_moments_), *by_u = tape.by_u.data();
    sum_over_edges(tile, atom, by_u, by_a);
    for (int slot = tile.first_slot[atom]; slot < tile.first_slot[atom + 1]; slot += kLanes<T>) {
      Vec<T> by_direction[3] = {};
      for (int l = 0; l < max_l_; ++l)
        for (int lm = l * l; lm < (l + 1) * (l + 1); ++lm) {
          Vec<T> by_s{};
          for (int n = 0; n < max_n_; ++n) {
            const int c = (l * max_n_ + n) * slots + slot;
            by_s += load(by_u + c) * a[lm * max_n_ + n] + load(w + c) * by_a[lm * max_n_ + n];
          }
          for (int axis = 0; axis < 3; ++axis)
            by_direction[axis] += by_s * load(&tile.harmonic[axis + 1][lm * slots + slot]);
        }
      const int first = tile.first_inside[atom] + slot - tile.first_slot[atom];
      for (int k = first; k < std::min(first + kLanes<T>, tile.first_inside[atom + 1]); ++k)
        for (int axis = 0; axis < 3; ++axis) tile.by_unit[3 * k + axis] += by_direction[axis][k - first];
    }
    sum_over_m(tile, atom, by_u, by_a, by_u);
  }

  // w = f R G: to f R, and to the gate.
  void through_w(Tile<T>& tile, ThreeBodyTape<T>& tape, int k, T* by_links) const {
    for (int c = 0, at = tile.slot_of[k]; c < columns_; ++c, at += tile.n_slots) {
      const T gate = tape.gate[at], by = tape.by_u[at];
      if (by_links != nullptr) by_links[offset_ + c] += by * tile.radial[at] * gate * (1 - gate);
      tile.by_length[k] += by * gate * tile.radial_slope[at];
    }
  }

  int max_l_ = 0, max_n_ = 0, columns_ = 0, n_moments_ = 0, offset_ = 0;
  GatedMlp<T> update_;
  std::vector<T> norms_;  // c_l of every column
};
}  // namespace m3c::M3C_ISA
