// Vectors of the widest registers of a build, and memory for them.
//
// The same sources are compiled once for every instruction set, each in a namespace of its own
// (M3C_ISA); GCC's and Clang's vector types do the rest. Nothing here relies on -ffast-math.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

#ifndef M3C_ISA
#define M3C_ISA baseline
#endif
#if defined(__AVX512F__)
#define M3C_VECTOR_BYTES 64
#elif defined(__AVX__)
#define M3C_VECTOR_BYTES 32
#else
#define M3C_VECTOR_BYTES 16
#endif
#define M3C_ALWAYS __attribute__((always_inline))
#define M3C_INLINE inline M3C_ALWAYS

namespace m3c::M3C_ISA {
template <class T>
struct Simd {
  using Integer = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  typedef T Vec __attribute__((vector_size(M3C_VECTOR_BYTES)));
  typedef T Loose __attribute__((vector_size(M3C_VECTOR_BYTES), aligned(sizeof(T)), may_alias));
  typedef Integer Bits __attribute__((vector_size(M3C_VECTOR_BYTES)));
};
template <class T>
using Vec = typename Simd<T>::Vec;
template <class T>
constexpr int kLanes = M3C_VECTOR_BYTES / static_cast<int>(sizeof(T));

template <class T>
M3C_INLINE Vec<T> load(const T* at) {
  return *reinterpret_cast<const typename Simd<T>::Loose*>(at);
}
template <class T>
M3C_INLINE void store(T* at, Vec<T> value) {
  *reinterpret_cast<typename Simd<T>::Loose*>(at) = value;
}
template <class T>
M3C_INLINE void add_to(T* at, Vec<T> value) {
  store<T>(at, load(at) + value);
}
template <class T>
M3C_INLINE T sum_lanes(Vec<T> value) {
  T total = 0;
  for (int lane = 0; lane < kLanes<T>; ++lane) total += value[lane];
  return total;
}

// Widths of rows are multiples of this, so that they are whole vectors in every build.
inline int padded(int width) { return (width + 15) / 16 * 16; }

// Aligned to the cache line; grows on demand and never shrinks. What it points at is not const where it is.
template <class T>
class Buffer {
 public:
  // Room for `size` values; what was in it is lost where it grows.
  T* room(int64_t size) {
    if (size > size_) {
      size_ = 0;
      data_.reset(static_cast<T*>(std::aligned_alloc(64, (size * sizeof(T) + 63) / 64 * 64)));
      if (!data_) throw std::bad_alloc();
      size_ = size;
    }
    return data_.get();
  }
  T* zeros(int64_t size) {
    std::fill_n(room(size), size, T(0));
    return data_.get();
  }
  T* data() const { return data_.get(); }
  T* row(int64_t row, int width) const { return data_.get() + row * width; }
  T& operator[](int64_t at) const { return data_.get()[at]; }

 private:
  struct Free {
    void operator()(T* data) const { std::free(data); }
  };
  std::unique_ptr<T, Free> data_;
  int64_t size_ = 0;
};

// each(k) for k < N, unrolled, so that what it works on can stay in registers.
template <int N, class Each>
M3C_INLINE void unrolled(const Each& each) {
#pragma GCC unroll 32
  for (int k = 0; k < N; ++k) each(k);
}

// Rows of an array, `stride` numbers apart; 0 for one that stands for all.
template <class T>
struct Rows {
  T* data;
  int stride;
  M3C_INLINE T* at(int row, int column = 0) const { return data + row * stride + column; }
};
}  // namespace m3c::M3C_ISA
