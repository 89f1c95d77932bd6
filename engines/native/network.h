// The weights of a model in the layout of the kernels, and what follows from the elements alone.
#pragma once

#include "block.h"

namespace m3c::M3C_ISA {

template <class T>
struct Network {
  Sizes sizes;
  int node_width, edge_width;  // padded
  Table<T> edge_table, triplet_table;
  Dense<T> embedding;                      // of edges
  Buffer<T> elements;                      // v of every element, [n_elements][node width]
  Buffer<T> center_links, neighbor_links;  // of the first block, by element
  std::vector<Block<T>> blocks;
  GatedMlp<T> readout;
  std::vector<double> scales;  // of energies, by element

  Network(const File& file, const Sizes& of)
      : sizes(of), node_width(padded(of.node_width)), edge_width(padded(of.edge_width)), blocks(of.n_blocks) {
    const int v = sizes.node_width, n = sizes.n_elements;
    edge_table.fill(file, "core.edges", sizes.edge_basis, sizes.cutoff);
    if (sizes.three_body()) triplet_table.fill(file, "core.triplets", sizes.triplet_basis() + 1, sizes.triplet_reach);
    const std::string edges = "network.edge_embedding";
    embedding.fill(sizes.edge_basis,
                   {Layer(file, edges, sizes.edge_width, sizes.edge_basis, 0, file.has(edges + ".bias"))});
    const std::vector<double> rows = file.array("network.embedding.weight", {n, v});
    elements.zeros(n * node_width);
    for (int at = 0; at < n * v; ++at) elements[at / v * node_width + at % v] = static_cast<T>(rows[at]);
    for (int b = 0; b < sizes.n_blocks; ++b) blocks[b].fill(file, sizes, "network.blocks." + std::to_string(b));
    blocks[0].center.forward(n, elements.data(), center_links.room(n * blocks[0].center.width()));
    blocks[0].neighbor.forward(n, elements.data(), neighbor_links.room(n * blocks[0].neighbor.width()));
    readout.fill(file, "network.readout", v, 0, 1, true, false);
    scales = file.array("network.scales", {n});
  }
};

}  // namespace m3c::M3C_ISA
