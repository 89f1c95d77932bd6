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
  static constexpr std::array<uint32_t, 64> kRounds = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
      0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
      0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
      0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
      0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
      0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
      0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
      0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

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
          s[7] + (turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25)) + choice + kRounds[t] + w[t];
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
