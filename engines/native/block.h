// One round of message passing, for the edges of a tile (models/network.py, class Block):
//
//   e    += three-body block
//   e_ij += gMLP_e([v_i, v_j, e_ij]) * (W_e h(r_ij))
//   v_i  += sum_j gMLP_v([v_i, v_j, e_ij]) * phi(W_v h(r_ij))
//
// The first layers of the gMLPs and the gate of the three-body block are applied to v once per
// atom; that row of an atom is called its links:
//
//   [ first layer of gMLP_e, value | gate ][ first layer of gMLP_v, value | gate ][ G, where read ]
//
// one row for its part as a centre and another for its part as a neighbour.
//
// A convention that sums messages on the neighbour (matgl-dgl) is the same network with the two
// parts exchanged: without a three-body block an edge depends on |r_ij| alone, and every edge i->j
// has its j->i.
#pragma once

#include "three_body.h"

namespace m3c {
namespace M3C_ISA {

// Links of both ends of the rows of a tile.
template <class T>
struct Ends {
  std::vector<const T*> centers, neighbors;  // [rows]
};

// Begins the first layer of a gMLP with what the two ends contribute.
template <class T>
struct FromEnds {
  const T* const* centers;
  const T* const* neighbors;
  int offset;
  M3C_INLINE Vec<T> operator()(int row, int column) const {
    return load(centers[row] + offset + column) + load(neighbors[row] + offset + column);
  }
};

// What a block leaves for the way back.
template <class T>
struct BlockTape {
  ThreeBodyTape<T> three_body;
  MlpTape<T> edge;
  Buffer<T> edge_radial, edge_radial_slope;  // W_e h and its derivative by r, [rows][edge width]
};

template <class T>
struct NodeTape {
  MlpTape<T> node;
  Buffer<T> radial, radial_slope;  // phi(W_v h) and its derivative by r, [rows][node width]
};

template <class T>
class Block {
 public:
  int edge_width = 0, node_width = 0;          // padded
  int center_width = 0, neighbor_width = 0;    // of the links

  void fill(const Model& model, int index) {
    const std::string prefix = "network.blocks." + std::to_string(index);
    const int v = model.node_width;
    silu_on_radial_ = model.silu_on_radial;
    three_body_ = model.three_body;
    at_center_ = model.gate_at_center;
    edge_.fill(model, prefix + ".edge_update", 2 * v, model.edge_width, true, true);
    node_.fill(model, prefix + ".node_update", 2 * v, model.edge_width, true, true);
    edge_width = edge_.out;
    node_width = node_.out;
    fill_radial(model, prefix + ".edge_weight.weight", edge_width, edge_radial_);
    fill_radial(model, prefix + ".node_weight.weight", node_width, node_radial_);
    node_offset_ = 2 * edge_.first;
    gate_offset_ = node_offset_ + 2 * node_.first;
    if (three_body_) three_body_block_.fill(model, prefix + ".three_body");
    const int gates = three_body_ ? three_body_block_.width : 0;
    center_width = gate_offset_ + (at_center_ ? gates : 0);
    neighbor_width = gate_offset_ + (at_center_ ? 0 : gates);
    fill_links(model, prefix, true);
    fill_links(model, prefix, false);
  }

  void reserve(BlockTape<T>& tape, int rows, int atoms) const {
    if (three_body_) three_body_block_.reserve(tape.three_body, rows, atoms);
    edge_.reserve(tape.edge, rows);
    tape.edge_radial.reserve(static_cast<std::size_t>(rows) * edge_width);
    tape.edge_radial_slope.reserve(static_cast<std::size_t>(rows) * edge_width);
  }
  void reserve(NodeTape<T>& tape, int rows) const {
    node_.reserve(tape.node, rows);
    tape.radial.reserve(static_cast<std::size_t>(rows) * node_width);
    tape.radial_slope.reserve(static_cast<std::size_t>(rows) * node_width);
  }

  // Links of atoms: v [rows][node width] -> [rows][center or neighbor width].
  void link_centers(int rows, const T* v, T* links) const {
    link(rows, v, links, to_center_, center_bias_, center_width);
  }
  void link_neighbors(int rows, const T* v, T* links) const {
    link(rows, v, links, to_neighbor_, neighbor_bias_, neighbor_width);
  }
  // Adds the adjoint of v that follows from that of links.
  void unlink_centers(int rows, const T* by_links, T* by_v) const {
    unlink(rows, by_links, by_v, from_center_, center_width);
  }
  void unlink_neighbors(int rows, const T* by_links, T* by_v) const {
    unlink(rows, by_links, by_v, from_neighbor_, neighbor_width);
  }

  // Three-body block and edge update: e in place, [rows][edge width].
  template <bool Record>
  void edges_forward(const Tile<T>& tile, int basis_width, const Ends<T>& ends, BlockTape<T>& tape,
                     T* e) const {
    const int rows = tile.n_edges, width = edge_width;
    if (three_body_ && tile.n_inside > 0)
      three_body_block_.template forward<Record>(
          tile,
          [&](int row) {
            return (at_center_ ? ends.centers[row] : ends.neighbors[row]) + gate_offset_;
          },
          tape.three_body, e);
    radial_product(rows, tile.basis.data(), basis_width, edge_radial_, tape.edge_radial.data());
    if (Record)
      radial_product(rows, tile.basis_slope.data(), basis_width, edge_radial_,
                     tape.edge_radial_slope.data());
    const T* both = edge_.template forward<Record>(rows, e, width, from(ends, 0), tape.edge);
    for (int row = 0; row < rows; ++row, e += width, both += 2 * width) {
      const T* radial = &tape.edge_radial[static_cast<std::size_t>(row) * width];
      for (int c = 0; c < width; c += kLanes<T>)
        store<T>(e + c, load(e + c) + load(both + c) * load(both + width + c) * load(radial + c));
    }
  }

  // Adds the messages of every atom of the tile to v, [atoms][node width].
  template <bool Record>
  void nodes_forward(const Tile<T>& tile, int basis_width, const Ends<T>& ends, NodeTape<T>& tape,
                     const T* e, T* v) const {
    const int rows = tile.n_edges, width = node_width;
    radial_product(rows, tile.basis.data(), basis_width, node_radial_, tape.radial.data());
    if (Record)
      radial_product(rows, tile.basis_slope.data(), basis_width, node_radial_,
                     tape.radial_slope.data());
    if (silu_on_radial_) activate_radial<Record>(rows, tape);
    const T* both =
        node_.template forward<Record>(rows, e, edge_width, from(ends, node_offset_), tape.node);
    for (int row = 0; row < rows; ++row, both += 2 * width) {
      T* to = v + static_cast<std::size_t>(tile.atom_of[row]) * width;
      const T* radial = &tape.radial[static_cast<std::size_t>(row) * width];
      for (int c = 0; c < width; c += kLanes<T>)
        store<T>(to + c, load(to + c) + load(both + c) * load(both + width + c) * load(radial + c));
    }
  }

  // From the adjoint of v behind the block, [atoms][node width], to that of e behind the edge
  // update, which is added to by_e; `sink` takes that of the links.
  template <class Sink>
  void nodes_backward(Tile<T>& tile, NodeTape<T>& tape, const T* by_v, T* by_e, Sink& sink) const {
    const int rows = tile.n_edges, width = node_width;
    by_radial(tile, tape.node, tape.radial_slope, width, [=, &tile](int row, int c) {
      return load(by_v + static_cast<std::size_t>(tile.atom_of[row]) * width + c);
    });
    const T* radial = tape.radial.data();
    const T* adjoint = node_.backward(
        rows,
        [=, &tile](int row, int c) {
          return load(by_v + static_cast<std::size_t>(tile.atom_of[row]) * width + c) *
                 load(radial + static_cast<std::size_t>(row) * width + c);
        },
        tape.node);
    add_to_edges(rows, node_, adjoint, by_e);
    for (int row = 0; row < rows; ++row, adjoint += 2 * node_.first)
      sink.add(row, node_offset_, adjoint, 2 * node_.first);
  }

  // From the adjoint of e behind the edge update to that of e before the block, in place.
  template <class Sink>
  void edges_backward(Tile<T>& tile, BlockTape<T>& tape, T* by_e, Sink& sink) const {
    const int rows = tile.n_edges, width = edge_width;
    by_radial(tile, tape.edge, tape.edge_radial_slope, width, [=](int row, int c) {
      return load(by_e + static_cast<std::size_t>(row) * width + c);
    });
    const T* radial = tape.edge_radial.data();
    const T* adjoint = edge_.backward(
        rows,
        [=](int row, int c) {
          const std::size_t at = static_cast<std::size_t>(row) * width + c;
          return load(by_e + at) * load(radial + at);
        },
        tape.edge);
    add_to_edges(rows, edge_, adjoint, by_e);
    for (int row = 0; row < rows; ++row, adjoint += 2 * edge_.first)
      sink.add(row, 0, adjoint, 2 * edge_.first);
    if (three_body_ && tile.n_inside > 0)
      three_body_block_.backward(tile, tape.three_body, by_e, [&](int k, int c, T by_logit) {
        sink.add_gate(tile.row_of[k], gate_offset_ + c, by_logit, at_center_);
      });
  }

 private:
  FromEnds<T> from(const Ends<T>& ends, int offset) const {
    return {ends.centers.data(), ends.neighbors.data(), offset};
  }

  static void fill_radial(const Model& model, const std::string& name, int width, Matrix<T>& to) {
    const Array& weights = model.array(name);
    to.fill(weights.columns(), width, [&](int k, int o) {
      return o < weights.rows() ? static_cast<T>(weights.at(o, k)) : T(0);
    });
  }

  // Weights [links][v], by the order of the links.
  void fill_links(const Model& model, const std::string& prefix, bool center) {
    const int v = model.node_width;
    const int from = center == model.messages_to_center ? 0 : v;
    const int width = center ? center_width : neighbor_width;
    auto weight = [&](int k, int o) {
      if (k >= v) return T(0);
      const Array* array = nullptr;
      int shift = from;
      if (o >= gate_offset_) {
        array = &model.array(prefix + ".three_body.atom_gate.weight");
        o -= gate_offset_;
        shift = 0;
      } else {
        const bool is_node = o >= node_offset_;
        const int half = is_node ? node_.first : edge_.first;
        o -= is_node ? node_offset_ : 0;
        array = &model.array(prefix + (is_node ? ".node_update" : ".edge_update") +
                             (o < half ? ".value.0.weight" : ".gate.0.weight"));
        o -= o < half ? 0 : half;
      }
      return o < array->rows() ? static_cast<T>(array->at(o, shift + k)) : T(0);
    };
    const int inner = padded(v);
    (center ? to_center_ : to_neighbor_).fill(inner, width, weight);
    (center ? from_center_ : from_neighbor_)
        .fill(width, inner, [&](int o, int k) { return weight(k, o); });
    Buffer<T>& bias = center ? center_bias_ : neighbor_bias_;
    bias.reserve(width);
    if (center) {  // the biases of the first layers come in once
      for (int c = 0; c < 2 * edge_.first; ++c) bias[c] = edge_.first_bias()[c];
      for (int c = 0; c < 2 * node_.first; ++c) bias[node_offset_ + c] = node_.first_bias()[c];
    }
    if (width > gate_offset_) {
      const Array& gates = model.array(prefix + ".three_body.atom_gate.bias");
      for (std::size_t c = 0; c < gates.values.size(); ++c)
        bias[gate_offset_ + c] = static_cast<T>(gates.values[c]);
    }
  }

  void link(int rows, const T* v, T* links, const Matrix<T>& weights, const Buffer<T>& bias,
            int width) const {
    const int gates = gate_offset_;
    product(rows, v, node_width, weights, FromBias<T>{bias.data()},
            [=](int row, int column, Vec<T> sum) {
              store<T>(links + static_cast<std::size_t>(row) * width + column,
                       column < gates ? sum : sigmoid<T>(sum));
            });
  }

  void unlink(int rows, const T* by_links, T* by_v, const Matrix<T>& weights, int width) const {
    const int out = node_width;
    auto before = [=](int row, int column) {
      return load(by_v + static_cast<std::size_t>(row) * out + column);
    };
    product(rows, by_links, width, weights, before, [=](int row, int column, Vec<T> sum) {
      store<T>(by_v + static_cast<std::size_t>(row) * out + column, sum);
    });
  }

  static void radial_product(int rows, const T* basis, int stride, const Matrix<T>& weights,
                             T* result) {
    const int width = weights.columns;
    product(rows, basis, stride, weights, FromZero<T>(), [=](int row, int column, Vec<T> sum) {
      store<T>(result + static_cast<std::size_t>(row) * width + column, sum);
    });
  }

  // phi = SiLU on the radial weights of the messages; the slope goes along.
  template <bool Record>
  void activate_radial(int rows, NodeTape<T>& tape) const {
    const std::size_t size = static_cast<std::size_t>(rows) * node_width;
    for (std::size_t at = 0; at < size; at += kLanes<T>) {
      const Vec<T> x = load(&tape.radial[at]), s = sigmoid<T>(x), y = x * s;
      store<T>(&tape.radial[at], y);
      if (Record)
        store<T>(&tape.radial_slope[at], load(&tape.radial_slope[at]) * silu_slope<T>(y, s));
    }
  }

  // dE/dr through the radial weights: sum over columns of adjoint * value * gate * d weight/dr.
  template <class Upstream>
  static void by_radial(Tile<T>& tile, const MlpTape<T>& tape, const Buffer<T>& slope, int width,
                        const Upstream& upstream) {
    for (int row = 0; row < tile.n_edges; ++row) {
      const T* both = &tape.y.back()[static_cast<std::size_t>(row) * 2 * width];
      const T* slopes = &slope[static_cast<std::size_t>(row) * width];
      Vec<T> sum{};
      for (int c = 0; c < width; c += kLanes<T>)
        sum += upstream(row, c) * load(both + c) * load(both + width + c) * load(slopes + c);
      tile.by_length[row] += sum_lanes<T>(sum);
    }
  }

  void add_to_edges(int rows, const GatedMlp<T>& mlp, const T* adjoint, T* by_e) const {
    const int width = edge_width;
    auto at = [=](int row, int c) { return by_e + static_cast<std::size_t>(row) * width + c; };
    mlp.to_inputs(rows, adjoint, [=](int row, int c) { return load(at(row, c)); },
                  [=](int row, int c, Vec<T> sum) { store<T>(at(row, c), sum); });
  }

  bool silu_on_radial_ = false, three_body_ = false, at_center_ = false;
  int node_offset_ = 0, gate_offset_ = 0;
  ThreeBody<T> three_body_block_;
  GatedMlp<T> edge_, node_;
  Matrix<T> edge_radial_, node_radial_;  // W_e, W_v
  Matrix<T> to_center_, to_neighbor_, from_center_, from_neighbor_;
  Buffer<T> center_bias_, neighbor_bias_;
};

}  // namespace M3C_ISA
}  // namespace m3c
