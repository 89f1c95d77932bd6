// Vectors of the widest registers of a build, memory for them, and the activations on them.
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

// Aligned to the cache line; grows on demand and never shrinks.
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
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  T* row(int64_t row, int width) { return data_.get() + row * width; }
  const T* row(int64_t row, int width) const { return data_.get() + row * width; }
  T& operator[](int64_t at) { return data_.get()[at]; }
  const T& operator[](int64_t at) const { return data_.get()[at]; }

 private:
  struct Free {
    void operator()(T* data) const { std::free(data); }
  };
  std::unique_ptr<T, Free> data_;
  int64_t size_ = 0;
};

// A constant in memory. A compiler would keep others in registers around a product, and the sums of the
// product would have to leave theirs.
template <class T>
struct alignas(64) Everywhere {
  T lanes[64 / sizeof(T)] = {};
  constexpr Everywhere(T value = 0) {
    for (T& lane : lanes) lane = value;
  }
  M3C_INLINE operator Vec<T>() const { return load(lanes); }
};

// What 2^x needs: bounds of x, 1 / ln 2, the number that rounds (1.5 times 2 to the bits of the mantissa),
// and Taylor's series, whose first term left out is below half a unit in the last place.
template <class T>
struct ExpTerms {
  static constexpr int kMantissa = sizeof(T) == 4 ? 23 : 52, kTerms = sizeof(T) == 4 ? 8 : 14;
  Everywhere<T> low = T(sizeof(T) == 4 ? -87 : -708), high = -low.lanes[0];
  Everywhere<T> per_ln2 = T(1.4426950408889634), magic = T(int64_t{3} << (kMantissa - 1));
  Everywhere<T> terms[kTerms];
  constexpr ExpTerms() {
    double term = 1;
    for (int k = 0; k < kTerms; term *= 0.6931471805599453 / ++k) terms[k] = Everywhere<T>(static_cast<T>(term));
  }
};
template <class T>
inline ExpTerms<T> exp_terms;

// sigma(x) = 1 / (1 + exp(-x)), with exp(-x) = 2^n 2^r, r = -x / ln 2 - n, |r| <= 1/2. Adding `magic` rounds
// -x / ln 2 to the integer n and leaves n in the low bits, from where it goes into the exponent.
template <class T>
M3C_INLINE Vec<T> sigmoid(Vec<T> x) {
  typedef typename Simd<T>::Bits Bits;
  const ExpTerms<T>& with = exp_terms<T>;
  const Vec<T> low = with.low, high = with.high, per_ln2 = with.per_ln2, one = with.terms[0];
  x = x < low ? low : x;
  x = x > high ? high : x;
  const Vec<T> shifted = Vec<T>(with.magic) - x * per_ln2, n = shifted - Vec<T>(with.magic);
  const Vec<T> r = -(x * per_ln2) - n;
  Vec<T> p = with.terms[ExpTerms<T>::kTerms - 1];
#pragma GCC unroll 16
  for (int k = ExpTerms<T>::kTerms - 2; k >= 0; --k) p = p * r + Vec<T>(with.terms[k]);
  const Bits scaled = reinterpret_cast<Bits>(p) + (reinterpret_cast<Bits>(shifted) << ExpTerms<T>::kMantissa);
  return one / (one + reinterpret_cast<Vec<T>>(scaled));
}

// d SiLU / dx by y = SiLU(x) and s = sigma(x): s + y (1 - s).
template <class T>
M3C_INLINE Vec<T> silu_slope(Vec<T> y, Vec<T> s) {
  return s + y - y * s;
}

}  // namespace m3c::M3C_ISA
