// One round of message passing, for the edges of a tile (models/network.py, class Block):
//
//   e_ij += three-body block
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
// A convention that sums messages on the neighbour (matgl-dgl) is the same network with the two parts exchanged:
// without a three-body block an edge depends on |r_ij| alone, and every edge i->j has its j->i.
#pragma once

#include "three_body.h"

namespace m3c::M3C_ISA {
// Both ends of every row of a tile: centre, neighbour.
template <class T>
using Ends = std::array<std::vector<End<T>>, 2>;

template <class T>
struct UpdateTape {
  MlpTape<T> mlp;
  Buffer<T> radial;     // phi(W h), [rows][width]
  Buffer<T> by_radial;  // phi'(W h), then the adjoint of W h
};

// to += gMLP([v_i, v_j, e_ij]) * phi(W h(r_ij)), where `to` has a row for every edge, or for every atom.
template <class T>
class Update {
 public:
  GatedMlp<T> mlp;

  // `offset` of its part in the links.
  void fill(const File& file, const Sizes& sizes, const std::string& prefix, bool to_atoms, bool silu, int offset) {
    const int v = sizes.node_width, out = to_atoms ? v : sizes.edge_width;
    mlp.fill(file, prefix + "_update", 2 * v + sizes.edge_width, 2 * v, out, true);
    radial_.fill(sizes.edge_basis, {Layer(file, prefix + "_weight", out, sizes.edge_basis, 0, false)});
    edge_width_ = padded(sizes.edge_width);
    to_atoms_ = to_atoms;
    silu_ = silu;
    offset_ = offset;
  }

  void forward(const Tile<T>& tile, const Ends<T>& ends, MlpDesk<T>& desk, UpdateTape<T>& tape, const T* e,
               T* to) const {
    const int rows = static_cast<int>(ends[0].size()), width = mlp.out;
    T *radial = tape.radial.room(rows * width), *slope = tape.by_radial.room(rows * width);
    product<T>(rows, {tile.basis.data(), tile.basis_width}, radial_.forward, radial_.start(), {radial, width});
    if (silu_) silu<T>(rows, {radial, width}, width, slope);
    const Rows<T> sums = mlp.room(0, rows, desk, tape.mlp);
    for (int row = 0; row < rows; ++row) {
      const T *center = ends[0][row].links + offset_, *neighbor = ends[1][row].links + offset_;
      for (int c = 0; c < mlp.first; c += kLanes<T>) store<T>(sums.at(row, c), load(center + c) + load(neighbor + c));
    }
    const Rows<const T> both = mlp.forward(rows, {e, edge_width_}, true, desk, tape.mlp);
    for (int row = 0; row < rows; ++row)
      for (int c = 0; c < width; c += kLanes<T>, radial += kLanes<T>)
        add_to<T>(to + place(tile, row) + c, load(both.at(row, c)) * load(both.at(row, width + c)) * load(radial));
  }

  // From the adjoint of `to` to those of e, h and the links, which are added.
  void backward(Tile<T>& tile, const Ends<T>& ends, UpdateTape<T>& tape, const T* by_to, T* by_e) const {
    const int rows = static_cast<int>(ends[0].size()), width = mlp.out;
    const Rows<const T> both = mlp.result(tape.mlp);
    const T* radial = tape.radial.data();
    T* by_radial = tape.by_radial.data();
    for (int row = 0, at = 0; row < rows; ++row)
      for (int c = 0; c < width; c += kLanes<T>, at += kLanes<T>) {
        const Vec<T> by = load(by_to + place(tile, row) + c) * load(both.at(row, c)) * load(both.at(row, width + c));
        store<T>(by_radial + at, silu_ ? by * load(by_radial + at) : by);
      }
    add_product(rows, by_radial, radial_.backward, tile.by_basis.data());
    auto upstream = [&](int row, int c) {
      return load(by_to + place(tile, row) + c) * load(radial + row * width + c);
    };
    const Rows<const T> adjoint = mlp.backward(rows, upstream, tape.mlp);
    mlp.add_inputs(rows, adjoint, by_e);
    for (int row = 0; row < rows; ++row)
      for (const std::vector<End<T>>& side : ends)
        for (int c = 0; c < mlp.first && side[row].by_links != nullptr; c += kLanes<T>)
          add_to<T>(side[row].by_links + offset_ + c, load(adjoint.at(row, c)));
  }

 private:
  int place(const Tile<T>& tile, int row) const { return (to_atoms_ ? tile.atom_of[row] : row) * mlp.out; }

  bool to_atoms_ = false, silu_ = false;
  int edge_width_ = 0, offset_ = 0;
  Dense<T> radial_;  // W
};

// What a block leaves for the way back.
template <class T>
struct BlockTape {
  Ends<T> ends;
  Buffer<T> centers, by_centers;  // links of the atoms of the tile as centres
  ThreeBodyTape<T> three_body;
  UpdateTape<T> edge, node;
};

// The part of links that belongs to one end of an edge.
template <class T>
struct Links {
  Dense<T> dense;
  int gates = 0;  // where gates begin, which are sigmoids

  int width() const { return dense.columns(); }
  // v [rows][node width] -> [rows][width].
  void forward(int rows, const T* v, T* links) const {
    product<T>(rows, {v, dense.backward.columns}, dense.forward, dense.start(), {links, width()});
    sigmoid<T>(rows, {links + gates, width()}, width() - gates);
  }
  // Adds the adjoint of v that follows from that of links (of what goes into the sigmoids).
  void backward(int rows, const T* by, T* by_v) const { add_product(rows, by, dense.backward, by_v); }
};

template <class T>
class Block {
 public:
  Links<T> center, neighbor;
  Update<T> node;

  void fill(const File& file, const Sizes& sizes, const std::string& prefix) {
    edge_.fill(file, sizes, prefix + ".edge", false, false, 0);
    node.fill(file, sizes, prefix + ".node", true, sizes.silu_on_radial, edge_.mlp.first);
    has_three_body_ = sizes.three_body();
    gate_at_center_ = sizes.gate_at_center;
    if (has_three_body_) three_body_.fill(file, sizes, prefix + ".three_body", edge_.mlp.first + node.mlp.first);
    const int v = sizes.node_width, in = 2 * v + sizes.edge_width;
    for (Links<T>* links : {&center, &neighbor}) {
      const bool is_center = links == &center;
      std::vector<Layer> layers;
      for (const char* name :
           {".edge_update.value.0", ".edge_update.gate.0", ".node_update.value.0", ".node_update.gate.0"})
        layers.emplace_back(file, prefix + name, -1, in, is_center == sizes.messages_to_center ? 0 : v, is_center);
      if (has_three_body_ && is_center == gate_at_center_)
        layers.emplace_back(file, prefix + ".three_body.atom_gate", sizes.triplet_basis(), v, 0, true);
      links->dense.fill(v, layers);
      links->gates = edge_.mlp.first + node.mlp.first;
    }
  }

  // Three-body block and edge update: e in place, [rows][edge width].
  void edges_forward(const Tile<T>& tile, MlpDesk<T>& desk, BlockTape<T>& tape, T* e) const {
    if (has_three_body_) three_body_.forward(tile, gates(tape.ends), desk, tape.three_body, e);
    edge_.forward(tile, tape.ends, desk, tape.edge, e, e);
  }
  // From the adjoint of e behind the edge update to that of e before the block, in place.
  void edges_backward(Tile<T>& tile, BlockTape<T>& tape, T* by_e) const {
    edge_.backward(tile, tape.ends, tape.edge, by_e, by_e);
    if (has_three_body_) three_body_.backward(tile, gates(tape.ends), tape.three_body, by_e);
  }

 private:
  const End<T>* gates(const Ends<T>& ends) const { return ends[gate_at_center_ ? 0 : 1].data(); }

  bool has_three_body_ = false, gate_at_center_ = false;
  ThreeBody<T> three_body_;
  Update<T> edge_;
};
}  // namespace m3c::M3C_ISA
