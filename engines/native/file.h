// What NAME.m3c.safetensors holds, in double precision. Whatever is wrong with it throws Error.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace m3c {
// What a caller can cause: becomes the error string of the C functions.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Tensors by name: `network...`, weights as PyTorch names them; `core...`, what the exporter adds for this library.
class File {
 public:
  explicit File(const std::string& path);
  bool has(const std::string& name) const { return entry(name) != std::string::npos; }
  // The numbers of a tensor that has this shape; -1 stands for any length but zero.
  std::vector<double> array(const std::string& name, const std::vector<int64_t>& shape) const;

 private:
  std::size_t entry(const std::string& name) const;
  std::string header_, data_;
};

// NAME.weight [out][in] of a file, from column `from` on, and NAME.bias, or zeros; zeros behind the last row, too.
struct Layer {
  int out, in, from;
  std::vector<double> weights, bias;

  Layer(const File& file, const std::string& name, int n_out, int n_in, int first, bool has_bias)
      : in(n_in), from(first), weights(file.array(name + ".weight", {n_out, in})) {
    out = static_cast<int>(weights.size()) / in;
    bias = has_bias ? file.array(name + ".bias", {out}) : std::vector<double>(out);
  }
  double weight(int o, int k) const { return o < out ? weights[static_cast<std::size_t>(o) * in + from + k] : 0.0; }
};

// The numbers in `core.sizes`.
struct Sizes {
  double cutoff, triplet_reach;  // in Angstrom; the latter 0 without a three-body block
  double energy_offset;          // in eV
  int n_elements, max_n, max_l, n_blocks, node_width, edge_width, edge_basis;
  int silu_on_radial;      // phi in m = gMLP * phi(W h)
  int gate_at_center;      // where the three-body gate is read
  int messages_to_center;  // where messages are summed

  explicit Sizes(const File& file);
  int triplet_basis() const { return max_n * max_l; }
  bool three_body() const { return triplet_reach > 0; }
};
}  // namespace m3c
