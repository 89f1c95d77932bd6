// Sums over rows that several threads add to, without atomics and with the same bits every time.
//
// Rows are shared out among the threads. A thread adds to its own rows directly, and to the rows of
// others in a halo of its own, which holds the rows that its edges point at. Afterwards everybody
// adds what the others hold for them, in the order of the threads.
#pragma once

#include <algorithm>
#include <vector>

#include "buffer.h"

namespace m3c {
namespace M3C_ISA {

// Who owns which rows, and which others a thread adds to.
class Shares {
 public:
  // Atoms are shared out by their edges, ghosts by their number.
  void divide(int n_threads, int64_t n_owned, int64_t n_rows, const int64_t* begins) {
    atoms_.assign(n_threads + 1, n_owned);
    ghosts_.assign(n_threads + 1, n_rows);
    atoms_[0] = 0;
    const double total = static_cast<double>(begins[n_owned] + n_owned);
    for (int t = 1; t < n_threads; ++t) {
      int64_t low = atoms_[t - 1], high = n_owned;
      while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (static_cast<double>(begins[middle] + middle) < total * t / n_threads) low = middle + 1;
        else high = middle;
      }
      atoms_[t] = low;
    }
    for (int t = 0; t < n_threads; ++t) ghosts_[t] = n_owned + (n_rows - n_owned) * t / n_threads;
    n_rows_ = n_rows;
    halos_.resize(n_threads);
    where_.resize(n_threads);
  }

  // The halo of a thread, for edges that point at `neighbors`. Called by every thread.
  void find_halo(int thread, const int64_t* begins, const int32_t* neighbors) {
    std::vector<int32_t>& halo = halos_[thread];
    std::vector<int32_t>& where = where_[thread];
    halo.clear();
    where.clear();
    if (halos_.size() == 1) return;
    where.assign(static_cast<std::size_t>(n_rows_), kOwn);
    for (int64_t e = begins[atoms_[thread]]; e < begins[atoms_[thread + 1]]; ++e) {
      const int32_t row = neighbors[e];
      if (owns(thread, row) || where[row] != kOwn) continue;
      where[row] = 0;
      halo.push_back(row);
    }
    std::sort(halo.begin(), halo.end());
    for (std::size_t at = 0; at < halo.size(); ++at) where[halo[at]] = static_cast<int32_t>(at);
  }

  int n_threads() const { return static_cast<int>(halos_.size()); }
  int64_t n_rows() const { return n_rows_; }
  int64_t first_atom(int thread) const { return atoms_[thread]; }
  int64_t end_atom(int thread) const { return atoms_[thread + 1]; }
  int64_t first_ghost(int thread) const { return ghosts_[thread]; }
  int64_t end_ghost(int thread) const { return ghosts_[thread + 1]; }
  const std::vector<int32_t>& halo(int thread) const { return halos_[thread]; }
  // Place of a row in the halo of a thread, or kOwn.
  int32_t place(int thread, int32_t row) const {
    return where_[thread].empty() ? kOwn : where_[thread][row];
  }
  double bytes() const {
    double total = 0;
    for (const std::vector<int32_t>& where : where_) total += 4.0 * where.size();
    return total;
  }
  static constexpr int32_t kOwn = -1;

 private:
  bool owns(int thread, int64_t row) const {
    return (row >= first_atom(thread) && row < end_atom(thread)) ||
           (row >= first_ghost(thread) && row < end_ghost(thread));
  }

  int64_t n_rows_ = 0;
  std::vector<int64_t> atoms_, ghosts_;
  std::vector<std::vector<int32_t>> halos_, where_;
};

template <class T>
class Sums {
 public:
  // Zero everywhere; `rows` is where the result goes, [n_rows][width], or null for own memory.
  void begin(const Shares& shares, int width, T* rows) {
    shares_ = &shares;
    width_ = width;
    const std::size_t size = static_cast<std::size_t>(shares.n_rows()) * width;
    if (rows == nullptr) own_.reserve(size);
    rows_ = rows == nullptr ? own_.data() : rows;
    std::memset(static_cast<void*>(rows_), 0, size * sizeof(T));
    halos_.resize(static_cast<std::size_t>(shares.n_threads()));
    for (int t = 0; t < shares.n_threads(); ++t) {
      halos_[t].reserve(shares.halo(t).size() * width);
      halos_[t].clear(shares.halo(t).size() * width);
    }
  }

  // Where a thread adds to a row.
  T* row(int thread, int32_t row) {
    const int32_t place = shares_->place(thread, row);
    return place == Shares::kOwn ? rows_ + static_cast<std::size_t>(row) * width_
                                 : halos_[thread].data() + static_cast<std::size_t>(place) * width_;
  }

  // Adds what other threads hold for the rows of this one. After all of them have added.
  void gather(int thread) {
    for (int other = 0; other < shares_->n_threads(); ++other) {
      if (other == thread) continue;
      take(other, shares_->first_atom(thread), shares_->end_atom(thread));
      take(other, shares_->first_ghost(thread), shares_->end_ghost(thread));
    }
  }

  T* rows() { return rows_; }

  // Zero again what a thread owns and what it holds for others; after everybody has gathered.
  void reset(int thread) {
    zero(shares_->first_atom(thread), shares_->end_atom(thread));
    zero(shares_->first_ghost(thread), shares_->end_ghost(thread));
    halos_[thread].clear(shares_->halo(thread).size() * width_);
  }

  double bytes() const {
    double total = static_cast<double>(own_.size());
    for (const Buffer<T>& halo : halos_) total += static_cast<double>(halo.size());
    return total * sizeof(T);
  }

 private:
  void take(int other, int64_t first, int64_t end) {
    const std::vector<int32_t>& halo = shares_->halo(other);
    auto at = std::lower_bound(halo.begin(), halo.end(), first);
    for (; at != halo.end() && *at < end; ++at) {
      const T* from = halos_[other].data() + static_cast<std::size_t>(at - halo.begin()) * width_;
      T* to = rows_ + static_cast<std::size_t>(*at) * width_;
      for (int c = 0; c < width_; ++c) to[c] += from[c];
    }
  }
  void zero(int64_t first, int64_t end) {
    std::memset(static_cast<void*>(rows_ + first * width_), 0,
                static_cast<std::size_t>(end - first) * width_ * sizeof(T));
  }

  const Shares* shares_ = nullptr;
  int width_ = 0;
  T* rows_ = nullptr;
  Buffer<T> own_;
  std::vector<Buffer<T>> halos_;
};

}  // namespace M3C_ISA
}  // namespace m3c
