// The weights of a model in the layout of the kernels, and what follows from the elements alone.
#pragma once

#include <numeric>

#include "block.h"

namespace m3c::M3C_ISA {
template <class T>
struct Network {
  Sizes sizes;
  int node_width, edge_width;  // padded
  Table<T> edge_table, triplet_table;
  Dense<T> embedding;        // of edges
  Buffer<T> elements;        // v of every element, [n_elements][node width]
  Buffer<T> neighbor_links;  // of the first block, by element
  std::vector<Block<T>> blocks;
  GatedMlp<T> readout;
  std::vector<double> scales;  // of energies, by element

  Network(const File& file, const Sizes& of)
      : sizes(of), node_width(padded(of.node_width)), edge_width(padded(of.edge_width)), blocks(of.n_blocks) {
    const int v = sizes.node_width, n = sizes.n_elements;
    edge_table.read(file, "core.edges", sizes.edge_basis, sizes.cutoff);
    if (sizes.three_body()) triplet_table.read(file, "core.triplets", sizes.triplet_basis() + 1, sizes.triplet_reach);
    const std::string edges = "network.edge_embedding";
    embedding.fill(sizes.edge_basis,
                   {Layer(file, edges, sizes.edge_width, sizes.edge_basis, 0, file.has(edges + ".bias"))});
    const std::vector<double> rows = file.array("network.embedding.weight", {n, v});
    elements.zeros(n * node_width);
    for (int at = 0; at < n * v; ++at) elements[at / v * node_width + at % v] = static_cast<T>(rows[at]);
    for (int b = 0; b < sizes.n_blocks; ++b) blocks[b].fill(file, sizes, "network.blocks." + std::to_string(b));
    blocks[0].neighbor.forward(n, elements.data(), neighbor_links.room(n * blocks[0].neighbor.width()));
    readout.fill(file, "network.readout", v, 0, 1, true, false);
    scales = file.array("network.scales", {n});
  }

  // e = SiLU(W h + b), and the slope of SiLU.
  void embed(const Tile<T>& tile, int rows, T* e, T* slope) const {
    product<T>(rows, {tile.basis.data(), tile.basis_width}, embedding.forward, embedding.start(), {e, edge_width});
    silu<T>(rows, {e, edge_width}, edge_width, slope);
  }
};

// What the first block makes of an edge that triplets do not reach follows from its length and its elements: e behind
// the edge update, and its message, side by side, as far below the cutoff as this is smooth: where polynomials meet,
// their slopes must differ by no more than float32 rounds.
template <class T>
Table<T> lone_edges(const Network<double>& net, int center, int neighbor) {
  // Coefficients of a polynomial by its values at t = 0, 1/5, ... 1, times 24.
  constexpr double kThrough[6][6] = {{24, 0, 0, 0, 0, 0},
                                     {-274, 600, -600, 400, -150, 24},
                                     {1125, -3850, 5350, -3900, 1525, -250},
                                     {-2125, 8875, -14750, 12250, -5125, 875},
                                     {1875, -8750, 16250, -15000, 6875, -1250},
                                     {-625, 3125, -6250, 6250, -3125, 625}};
  constexpr int kAtOnce = 8, kEnds = 5 * kAtOnce + 1;  // polynomials, and their values
  constexpr double kPerLength = 40, kJump = 1e-5, kShortest = 2.5;
  const int edges = net.edge_width, nodes = net.node_width, columns = edges + nodes;
  Tile<double> tile;
  BlockTape<double> tape;
  MlpDesk<double> desk;
  Buffer<double> e, v, slope;
  desk.records = false;
  tile.atom_of.resize(kEnds);
  std::iota(tile.atom_of.begin(), tile.atom_of.end(), 0);
  tile.basis_width = net.edge_table.width;
  tile.basis.room(kEnds * tile.basis_width);
  net.blocks[0].center.forward(1, net.elements.row(center, nodes), tape.centers.room(net.blocks[0].center.width()));
  tape.ends[0].assign(kEnds, {tape.centers.data(), nullptr});
  tape.ends[1].assign(kEnds, {net.neighbor_links.row(neighbor, net.blocks[0].neighbor.width()), nullptr});
  std::vector<double> coefficients;
  double begin = net.sizes.cutoff;
  for (bool exact = true; exact && begin > std::max(net.sizes.triplet_reach, kShortest);) {
    for (int row = 0; row < kEnds; ++row)
      net.edge_table.evaluate(begin + (row / 5.0 - kAtOnce) / kPerLength, tile.basis.row(row, tile.basis_width),
                              slope.room(tile.basis_width));
    net.embed(tile, kEnds, e.room(kEnds * edges), slope.room(kEnds * edges));
    net.blocks[0].edges_forward(tile, desk, tape, e.data());
    net.blocks[0].node.forward(tile, tape.ends, desk, tape.node, e.data(), v.zeros(kEnds * nodes));
    std::vector<double> more(kAtOnce * 6 * columns);
    double* to = more.data();
    for (int row = 0; row + 5 < kEnds; row += 5)
      for (const auto& weights : kThrough)
        for (const auto& [values, width] : {std::pair(e.row(row, edges), edges), std::pair(v.row(row, nodes), nodes)})
          for (int c = 0; c < width; ++c, ++to)
            for (int k = 0; k < 6; ++k) *to += weights[k] * (1.0 / 24) * values[k * width + c];
    more.insert(more.end(), coefficients.begin(), coefficients.end());
    for (int c = 0; c < columns; ++c) {
      double jump = -more[7 * columns + c], steepness = 1e-2 / kPerLength;
      for (int k = 1; k < 6; ++k)
        jump += k * more[k * columns + c], steepness += k * std::fabs(more[k * columns + c]);
      exact = exact && std::fabs(jump) <= kJump * steepness;
    }
    if (exact) coefficients.swap(more), begin -= kAtOnce / kPerLength;
  }
  Table<T> table;
  table.fill(columns, begin, net.sizes.cutoff, coefficients);
  return table;
}
}  // namespace m3c::M3C_ISA
