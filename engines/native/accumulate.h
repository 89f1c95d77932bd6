// Sums over rows that several threads add to, without atomics and with the same bits every time.
//
// A thread adds to the rows of its own atoms directly, and to others in a halo of its own, which holds
// the rows that its edges point at. Afterwards everybody takes a share of all rows and adds what the
// halos hold for them, in the order of the threads.
#pragma once

#include <vector>

#include "m3c.h"
#include "vectors.h"

namespace m3c::M3C_ISA {

// What a thread works on: its atoms, its share of all rows, and its halo.
struct Share {
  int64_t first_atom, end_atom, first_row, end_row;
  std::vector<int32_t> halo;   // rows, ascending
  std::vector<int32_t> where;  // place of every row in the halo, or -1; empty where there is one thread

  void find_halo(const m3c_system& system, bool alone) {
    halo.clear();
    where.assign(alone ? 0 : system.n_rows, -1);
    for (int64_t e = system.begins[first_atom]; !alone && e < system.begins[end_atom]; ++e)
      if (system.neighbors[e] < first_atom || system.neighbors[e] >= end_atom) where[system.neighbors[e]] = 0;
    for (std::size_t row = 0; row < where.size(); ++row) {
      if (where[row] < 0) continue;
      where[row] = static_cast<int32_t>(halo.size());
      halo.push_back(static_cast<int32_t>(row));
    }
  }
};

// Atoms are shared out by their edges, rows by their number.
inline void share_out(const m3c_system& system, std::vector<Share>& shares) {
  const double total = static_cast<double>(system.begins[system.n_owned] + system.n_owned);
  const int64_t n_threads = static_cast<int64_t>(shares.size());
  int64_t atom = 0, row = 0;
  for (int64_t t = 0; t < n_threads; ++t) {
    shares[t].first_atom = atom;
    shares[t].first_row = row;
    const double end = total * static_cast<double>(t + 1) / static_cast<double>(n_threads);
    while (atom < system.n_owned && static_cast<double>(system.begins[atom] + atom) < end) ++atom;
    shares[t].end_atom = atom;
    shares[t].end_row = row = system.n_rows * (t + 1) / n_threads;
  }
}

template <class T>
class SharedSums {
 public:
  // Zero everywhere; `rows` is where the result goes, [n_rows][width], or null for own memory.
  void begin(const std::vector<Share>& shares, int width, T* rows) {
    shares_ = &shares;
    width_ = width;
    const int64_t size = shares.back().end_row * width;
    rows_ = rows == nullptr ? own_.room(size) : rows;
    std::fill_n(rows_, size, T(0));
    halos_.resize(shares.size());
    for (std::size_t t = 0; t < shares.size(); ++t)
      halos_[t].zeros(static_cast<int64_t>(shares[t].halo.size()) * width);
  }

  // Where a thread adds to a row.
  T* row(int thread, int64_t row) {
    const std::vector<int32_t>& where = (*shares_)[thread].where;
    return where.empty() || where[row] < 0 ? rows_ + row * width_ : halos_[thread].row(where[row], width_);
  }

  // Completes the share of a thread, after all have added.
  void gather(int thread) {
    const Share& own = (*shares_)[thread];
    for (std::size_t other = 0; other < shares_->size(); ++other) {
      const std::vector<int32_t>& halo = (*shares_)[other].halo;
      const auto begin = std::lower_bound(halo.begin(), halo.end(), own.first_row);
      for (auto at = begin; at != halo.end() && *at < own.end_row; ++at) {
        const T* from = halos_[other].row(at - halo.begin(), width_);
        for (int c = 0; c < width_; ++c) rows_[int64_t{*at} * width_ + c] += from[c];
      }
    }
  }
  const T* rows(int64_t first) const { return rows_ + first * width_; }

 private:
  const std::vector<Share>* shares_ = nullptr;
  int width_ = 0;
  T* rows_ = nullptr;
  Buffer<T> own_;
  std::vector<Buffer<T>> halos_;
};

}  // namespace m3c::M3C_ISA
