// Threads that each do their part, and sums over rows that several threads add to, without atomics and with the same
// bits every time.
//
// A thread adds to the rows of its own atoms directly, and to others in a halo of its own, which holds the rows that
// its edges point at. Afterwards everybody takes a share of all rows and adds what the halos hold for them, in the
// order of the threads.
#pragma once

#include <exception>
#include <thread>
#include <vector>

#include "m3c.h"
#include "vectors.h"

namespace m3c::M3C_ISA {
// work(thread) for every thread of 0 ... n_threads - 1, side by side, by OpenMP, or std::thread where the compiler
// has none (and for ThreadSanitizer, which does not see the barriers of OpenMP's runtime); the first exception that
// one throws is thrown again here.
template <class Work>
void in_parallel(int n_threads, const Work& work) {
  std::vector<std::exception_ptr> failures(n_threads);
  auto guarded = [&](int thread) {
    try {
      work(thread);
    } catch (...) {
      failures[thread] = std::current_exception();
    }
  };
#if defined(_OPENMP) && !defined(M3C_STD_THREADS)
#pragma omp parallel for num_threads(n_threads) schedule(static, 1) if (n_threads > 1)
  for (int thread = 0; thread < n_threads; ++thread) guarded(thread);
#else
  std::vector<std::thread> threads;
  for (int thread = 1; thread < n_threads; ++thread) threads.emplace_back(guarded, thread);
  guarded(0);
  for (std::thread& thread : threads) thread.join();
#endif
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
}

// What a thread works on: its atoms, its share of all rows, and its halo.
struct Share {
  int64_t first_atom, end_atom, first_row, end_row;
  int32_t n_halo;
  std::vector<int32_t> where;  // place of every row in the halo, or -1; empty where there is one thread

  void find_halo(const m3c_system& system, bool alone) {
    n_halo = 0;
    where.assign(alone ? 0 : system.n_rows, -1);
    for (int64_t e = system.begins[first_atom]; !alone && e < system.begins[end_atom]; ++e)
      if (system.neighbors[e] < first_atom || system.neighbors[e] >= end_atom) where[system.neighbors[e]] = 0;
    for (int32_t& place : where)
      if (place == 0) place = n_halo++;
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
    for (std::size_t t = 0; t < shares.size(); ++t) halos_[t].zeros(int64_t{shares[t].n_halo} * width);
  }

  // Where a thread adds to a row.
  T* row(int thread, int64_t row) {
    const std::vector<int32_t>& where = (*shares_)[thread].where;
    return where.empty() || where[row] < 0 ? rows_ + row * width_ : halos_[thread].row(where[row], width_);
  }

  // Completes the share of a thread, after all have added.
  void gather(int thread) {
    const int n_threads = static_cast<int>(shares_->size());
    for (int64_t at = (*shares_)[thread].first_row; at < (*shares_)[thread].end_row; ++at)
      for (int other = 0; other < n_threads; ++other)
        if (const T* from = row(other, at); from != rows(at))
          for (int c = 0; c < width_; ++c) rows_[at * width_ + c] += from[c];
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
