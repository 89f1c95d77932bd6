// The weights of a model in the layout of the kernels, and what follows from the elements alone.
#pragma once

#include "block.h"

namespace m3c {
namespace M3C_ISA {

template <class T>
class Network {
 public:
  explicit Network(const Model& model);

  int n_blocks = 0, node_width = 0, edge_width = 0, max_l = 0;
  int n_elements = 0;
  double triplet_reach = 0;
  Table<T> edge_table, triplet_table;
  bool three_body = false;
  std::vector<Block<T>> blocks;
  Matrix<T> embedding;             // of edges, [basis][edge width]
  Buffer<T> embedding_bias;
  Buffer<T> elements;              // v of every element, [n_elements][node width]
  Buffer<T> center_links, neighbor_links;  // of the first block, by element
  GatedMlp<T> readout;
  std::vector<double> scales;

  const Table<T>* triplets() const { return three_body ? &triplet_table : nullptr; }
};

template <class T>
Network<T>::Network(const Model& model) {
  n_blocks = model.n_blocks;
  max_l = model.max_l;
  three_body = model.three_body;
  triplet_reach = model.triplet_reach();
  n_elements = static_cast<int>(model.elements.size());
  const Array& edges = model.array("tables.edges");
  edge_table.fill(edges.values.data(), edges.rows(), static_cast<int>(edges.shape[2]), model.cutoff);
  if (three_body) {
    const Array& triplets = model.array("tables.triplets");
    triplet_table.fill(triplets.values.data(), triplets.rows(),
                       static_cast<int>(triplets.shape[2]), triplet_reach);
  }
  blocks = std::vector<Block<T>>(static_cast<std::size_t>(n_blocks));
  for (int b = 0; b < n_blocks; ++b) blocks[b].fill(model, b);
  node_width = blocks[0].node_width;
  edge_width = blocks[0].edge_width;
  const Array& weights = model.array("network.edge_embedding.weight");
  embedding.fill(weights.columns(), edge_width, [&](int k, int o) {
    return o < weights.rows() ? static_cast<T>(weights.at(o, k)) : T(0);
  });
  embedding_bias.reserve(edge_width);
  if (model.edge_bias)
    for (int o = 0; o < model.edge_width; ++o)
      embedding_bias[o] = static_cast<T>(model.array("network.edge_embedding.bias").values[o]);
  elements.reserve(static_cast<std::size_t>(n_elements) * node_width);
  const Array& rows = model.array("network.embedding.weight");
  for (int z = 0; z < n_elements; ++z)
    for (int c = 0; c < model.node_width; ++c)
      elements[static_cast<std::size_t>(z) * node_width + c] = static_cast<T>(rows.at(z, c));
  center_links.reserve(static_cast<std::size_t>(n_elements) * blocks[0].center_width);
  neighbor_links.reserve(static_cast<std::size_t>(n_elements) * blocks[0].neighbor_width);
  blocks[0].link_centers(n_elements, elements.data(), center_links.data());
  blocks[0].link_neighbors(n_elements, elements.data(), neighbor_links.data());
  readout.fill(model, "network.readout", 0, model.node_width, true, false);
  scales = model.array("network.scales").values;
}

}  // namespace M3C_ISA
}  // namespace m3c
