// Memory that vectors can be read from: aligned to the cache line, never shrinks, never copied.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

#include "simd.h"

namespace m3c {
namespace M3C_ISA {

constexpr int kWidthMultiple = 16;

inline int padded(int width) {
  return (width + kWidthMultiple - 1) / kWidthMultiple * kWidthMultiple;
}

template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer(Buffer&& other) noexcept : data_(other.data_), size_(other.size_) {
    other.data_ = nullptr;
    other.size_ = 0;
  }
  ~Buffer() { std::free(data_); }

  // Room for `size` values; what was in it is lost where it grows. Zero where it is new.
  void reserve(std::size_t size) {
    if (size <= size_) return;
    std::free(data_);
    data_ = nullptr;
    size_ = 0;
    const std::size_t bytes = (size * sizeof(T) + 63) / 64 * 64;
    data_ = static_cast<T*>(std::aligned_alloc(64, bytes));
    if (data_ == nullptr) throw std::bad_alloc();
    std::memset(static_cast<void*>(data_), 0, bytes);
    size_ = size;
  }
  void clear(std::size_t size) {
    if (size > 0) std::memset(static_cast<void*>(data_), 0, size * sizeof(T));
  }
  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t at) { return data_[at]; }
  const T& operator[](std::size_t at) const { return data_[at]; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace M3C_ISA
}  // namespace m3c
