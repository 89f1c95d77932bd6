// Threads that each do their part: OpenMP, or std::thread where the compiler has none (and for
// ThreadSanitizer, which does not see the barriers of OpenMP's runtime).
#pragma once

#include <exception>
#include <thread>
#include <vector>

namespace m3c {

// work(thread) for every thread of 0 ... n_threads - 1, side by side; the first exception that one
// throws is thrown again here.
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

}  // namespace m3c
