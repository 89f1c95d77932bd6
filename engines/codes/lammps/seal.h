// Copyright (c) the authors of m3compress; distributed under the GNU General Public License, version 2.
//
// Whether a model is the file that the manifest beside it describes.
#pragma once

#include <array>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace m3compress {

inline std::string contents_of(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::string contents{std::istreambuf_iterator<char>(stream), {}};
  if (!stream) throw std::runtime_error("there is no file " + path + " that can be read");
  return contents;
}

// SHA-256 (FIPS 180-4), in hexadecimal digits.
class Sha256 {
 public:
  static std::string of(std::string message) {
    Sha256 hash;
    const uint64_t bits = 8 * static_cast<uint64_t>(message.size());
    message += '\x80';
    while (message.size() % 64 != 56) message += '\0';
    for (int shift = 56; shift >= 0; shift -= 8) message += static_cast<char>(bits >> shift);
    for (size_t at = 0; at < message.size(); at += 64) hash.take(reinterpret_cast<const uint8_t*>(&message[at]));
    std::string digits;
    for (const uint32_t word : hash.state_)
      for (int shift = 28; shift >= 0; shift -= 4) digits += "0123456789abcdef"[word >> shift & 15];
    return digits;
  }

 private:
  // The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
  static const std::array<uint32_t, 64>& constants() {
    static const std::array<uint32_t, 64> values = [] {
      std::array<uint32_t, 64> found{};
      int prime = 2;
      for (uint32_t& value : found) {
        value = root_bits(prime);
        do ++prime;
        while (!is_prime(prime));
      }
      return found;
    }();
    return values;
  }
  static bool is_prime(int number) {
    for (int factor = 2; factor * factor <= number; ++factor)
      if (number % factor == 0) return false;
    return true;
  }
  // Largest x with x^3 <= prime 2^96, less the integer part: in integers, since doubles round.
  static uint32_t root_bits(int prime) {
    uint64_t root = 0;
    for (int bit = 35; bit >= 0; --bit) {
      const auto x = static_cast<unsigned __int128>(root | uint64_t{1} << bit);
      // x^3 >> 96 <= prime, exactly where x < 2^36: x^3 < 2^108.
      if (x * x * x <= static_cast<unsigned __int128>(prime) << 96) root = static_cast<uint64_t>(x);
    }
    return static_cast<uint32_t>(root);
  }
  static uint32_t turned(uint32_t word, int by) { return word >> by | word << (32 - by); }

  void take(const uint8_t* block) {
    std::array<uint32_t, 64> w{};
    for (int t = 0; t < 64; ++t) {
      if (t < 16) {
        for (int k = 0; k < 4; ++k) w[t] = w[t] << 8 | block[4 * t + k];
      } else {
        const uint32_t a = w[t - 15], b = w[t - 2];
        w[t] = w[t - 16] + (turned(a, 7) ^ turned(a, 18) ^ a >> 3) + w[t - 7] +
               (turned(b, 17) ^ turned(b, 19) ^ b >> 10);
      }
    }
    std::array<uint32_t, 8> s = state_;
    for (int t = 0; t < 64; ++t) {
      const uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]), most = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
      const uint32_t one =
          s[7] + (turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25)) + choice + constants()[t] + w[t];
      const uint32_t two = (turned(s[0], 2) ^ turned(s[0], 13) ^ turned(s[0], 22)) + most;
      s = {one + two, s[0], s[1], s[2], s[3] + one, s[4], s[5], s[6]};
    }
    for (int k = 0; k < 8; ++k) state_[k] += s[k];
  }

  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
};

// Throws unless NAME.m3c.native.json beside NAME.m3c.safetensors holds the hash of the file.
inline void check_seal(const std::string& path) {
  const std::string suffix = ".m3c.safetensors", key = "\"artefact_sha256\"";
  if (path.size() <= suffix.size() || path.compare(path.size() - suffix.size(), suffix.size(), suffix) != 0)
    throw std::runtime_error(path + " is no native file, expected NAME" + suffix +
                             "; `m3compress export MODEL --to native` writes one");
  const std::string beside = path.substr(0, path.size() - std::string("safetensors").size()) + "native.json";
  const std::string digest = Sha256::of(contents_of(path)), manifest = contents_of(beside);
  const size_t at = manifest.find(key), begin = at == std::string::npos ? at : manifest.find('"', at + key.size());
  if (begin == std::string::npos || manifest.compare(begin + 1, digest.size(), digest) != 0)
    throw std::runtime_error(path + " is damaged or not the file of " + beside + ": sha256 " + digest.substr(0, 12) +
                             "... is not the one in there; copy both again, or export the model again");
}

}  // namespace m3compress
