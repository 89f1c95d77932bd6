// A model as its file has it: sizes, weights and tables, in double precision.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace m3c {

// What a caller can cause: becomes the error string of the C functions.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Array {
  std::vector<int64_t> shape;
  std::vector<double> values;

  int rows() const { return static_cast<int>(shape[0]); }
  int columns() const { return static_cast<int>(shape[1]); }
  double at(int row, int column) const {
    return values[static_cast<std::size_t>(row) * columns() + column];
  }
};

struct Model {
  std::vector<std::string> elements;
  std::vector<double> element_energies;  // eV
  double energy_offset = 0;              // eV
  double cutoff = 0;                     // of the edges in Angstrom
  double three_body_cutoff = 0;
  int max_n = 0, max_l = 0, n_blocks = 0, node_width = 0, edge_width = 0;
  std::vector<int> hidden, readout_hidden;
  bool smooth_edges = false;      // which basis the tables of the edges hold
  bool edge_bias = false;         // whether the edge embedding has a bias
  bool silu_on_radial = false;    // phi in m = gMLP * phi(W h)
  bool gate_at_center = false;    // where the three-body gate is read
  bool messages_to_center = true;
  bool three_body = false;        // factorised, or removed
  std::map<std::string, Array> arrays;

  int edge_basis() const { return smooth_edges ? max_n : max_n * max_l; }
  int triplet_basis() const { return max_n * max_l; }
  // The edges of the three-body block end where they end, or at its cutoff.
  double triplet_reach() const { return three_body_cutoff < cutoff ? three_body_cutoff : cutoff; }
  bool has(const std::string& name) const { return arrays.count(name) != 0; }
  const Array& array(const std::string& name) const {
    const auto found = arrays.find(name);
    if (found == arrays.end()) throw Error("the file has no tensor " + name);
    return found->second;
  }
};

// Reads NAME.m3c.safetensors; throws Error for whatever is wrong with it.
Model read_model(const std::string& path);

}  // namespace m3c
