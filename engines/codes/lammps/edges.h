// Copyright (c) the authors of m3compress; distributed under the GNU General Public License, version 2.
//
// The edges of libm3c from a full neighbor list of LAMMPS.
#pragma once

#include <atomic>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "atom.h"
#include "m3c.h"
#include "neigh_list.h"

namespace m3compress {

using LAMMPS_NS::tagint;

// Rows are the atoms of LAMMPS, ghosts behind the owned ones; `n_centers` of them may have edges.
class Edges {
 public:
  // Throws if an atom is nowhere, or where another one is.
  void find(const LAMMPS_NS::Atom& atom, const LAMMPS_NS::NeighList& list, double cutoff, int n_blocks, bool wide,
            bool in_double, int threads) {
    n_owned_ = atom.nlocal;
    n_rows_ = atom.nlocal + atom.nghost;
    check_positions(atom);
    if (list.inum != n_owned_)
      throw std::runtime_error("the pair style acts on " + std::to_string(list.inum) + " of " +
                               std::to_string(n_owned_) + " atoms, expected all: pair_coeff * *");
    find_centers(atom, list, cutoff, n_blocks, wide);
    const int64_t n_centers = static_cast<int64_t>(is_center_.size());
    begins_.assign(n_centers + 1, 0);
    over_atoms(threads, [&](int64_t i) {
      over_neighbors(atom, list, cutoff, i, [&](int, const double*) { ++begins_[i + 1]; });
    });
    for (int64_t i = 0; i < n_centers; ++i) begins_[i + 1] += begins_[i];
    neighbors_.resize(begins_[n_centers]);
    if (in_double) fill(atom, list, cutoff, threads, doubles_);
    else fill(atom, list, cutoff, threads, floats_);
    vectors_ = in_double ? static_cast<void*>(doubles_.data()) : floats_.data();
    if (overlap_ >= 0) throw std::runtime_error(overlap(atom, list, cutoff));
  }

  int n_owned() const { return n_owned_; }
  int n_rows() const { return n_rows_; }
  // Valid until the next search.
  m3c_system system(const std::vector<int32_t>& species) const {
    const int64_t n_centers = static_cast<int64_t>(is_center_.size());
    return {n_owned_, n_centers, n_rows_, species.data(), begins_.data(), neighbors_.data(), vectors_};
  }

 private:
  void check_positions(const LAMMPS_NS::Atom& atom) const {
    for (int i = 0; i < n_rows_; ++i)
      if (!std::isfinite(atom.x[i][0] + atom.x[i][1] + atom.x[i][2]))
        throw std::runtime_error("the position of atom " + std::to_string(atom.tag[i]) + " is not finite");
  }

  // Owned atoms; if wide, and ghosts whose messages reach one of them by way of others.
  void find_centers(const LAMMPS_NS::Atom& atom, const LAMMPS_NS::NeighList& list, double cutoff, int n_blocks,
                    bool wide) {
    is_center_.assign(n_owned_, 1);
    if (!wide) return;
    is_center_.resize(n_rows_, 0);
    std::vector<int64_t> border(n_owned_), next;
    for (int i = 0; i < n_owned_; ++i) border[i] = i;
    for (int hop = 1; hop < n_blocks; ++hop, border.swap(next), next.clear())
      for (const int64_t i : border)
        over_neighbors(atom, list, cutoff, i, [&](int j, const double*) {
          if (!is_center_[j]) next.push_back(j);
          is_center_[j] = 1;
        });
  }

  template <class Work>
  void over_atoms([[maybe_unused]] int threads, const Work& work) const {
    const int64_t n_centers = static_cast<int64_t>(is_center_.size());
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
#endif
    for (int64_t i = 0; i < n_centers; ++i)
      if (is_center_[i]) work(i);
  }

  // work(row, vector) for every neighbor of an atom within the cutoff.
  template <class Work>
  static void over_neighbors(const LAMMPS_NS::Atom& atom, const LAMMPS_NS::NeighList& list, double cutoff, int64_t i,
                             const Work& work) {
    const double* x = atom.x[i];
    for (int k = 0; k < list.numneigh[i]; ++k) {
      const int j = list.firstneigh[i][k] & NEIGHMASK;
      const double r[3] = {atom.x[j][0] - x[0], atom.x[j][1] - x[1], atom.x[j][2] - x[2]};
      if (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] < cutoff * cutoff) work(j, r);
    }
  }

  template <class T>
  void fill(const LAMMPS_NS::Atom& atom, const LAMMPS_NS::NeighList& list, double cutoff, int threads,
            std::vector<T>& vectors) {
    vectors.resize(3 * neighbors_.size());
    overlap_ = -1;
    over_atoms(threads, [&](int64_t i) {
      int64_t edge = begins_[i];
      over_neighbors(atom, list, cutoff, i, [&](int j, const double* r) {
        neighbors_[edge] = j;
        for (int a = 0; a < 3; ++a) vectors[3 * edge + a] = static_cast<T>(r[a]);
        ++edge;
        if (length_of(r) < kCoincident) overlap_ = i;
      });
    });
  }

  static double length_of(const double* r) { return std::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]); }
  std::string overlap(const LAMMPS_NS::Atom& atom, const LAMMPS_NS::NeighList& list, double cutoff) const {
    std::string found;
    over_neighbors(atom, list, cutoff, overlap_, [&](int j, const double* r) {
      if (length_of(r) < kCoincident)
        found = "atoms " + std::to_string(atom.tag[overlap_]) + " and " + std::to_string(atom.tag[j]) + " are " +
                std::to_string(length_of(r)) + " A apart; delete_atoms overlap removes duplicates";
    });
    return found;
  }

  static constexpr double kCoincident = 1e-3;  // A; what is closer has no direction
  int n_owned_ = 0, n_rows_ = 0;
  std::atomic<int64_t> overlap_{-1};  // an atom that is where another one is
  std::vector<char> is_center_;
  std::vector<int64_t> begins_;
  std::vector<int32_t> neighbors_;
  std::vector<float> floats_;
  std::vector<double> doubles_;
  const void* vectors_ = nullptr;
};

}  // namespace m3compress
