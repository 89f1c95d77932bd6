// What a thread works with: a tile of atoms, and what its blocks leave for the way back.
#pragma once

#include "accumulate.h"
#include "block.h"

namespace m3c {
namespace M3C_ISA {

// What a thread works with: one tile, and what its blocks leave for the way back.
template <class T>
struct Desk {
  Tile<T> tile;
  std::vector<Ends<T>> ends;          // of every block of a chain
  std::vector<Buffer<T>> centers;     // links of the atoms of the tile, of every block
  std::vector<Buffer<T>> by_centers;
  std::vector<BlockTape<T>> tapes;
  NodeTape<T> node_tape;
  MlpTape<T> readout_tape;
  Buffer<T> e, by_e, embedding_slope;  // [rows][edge width]
  Buffer<T> v, by_v;                   // [atoms][node width]
  double virial[9];
};

// Takes the adjoints of the links of one block of a tile.
template <class T>
struct Sink {
  const Tile<T>& tile;
  const int32_t* neighbors;  // of the rows of the tile
  Sums<T>* sums;             // null for the first block: nobody asks for dE/d(embedding)
  T* by_centers;
  int center_width;
  int thread;

  void add(int row, int offset, const T* adjoint, int width) {
    if (sums == nullptr) return;
    T* center = by_centers + static_cast<std::size_t>(tile.atom_of[row]) * center_width + offset;
    T* neighbor = sums->row(thread, neighbors[row]) + offset;
    for (int c = 0; c < width; c += kLanes<T>) {
      const Vec<T> value = load(adjoint + c);
      store<T>(center + c, load(center + c) + value);
      store<T>(neighbor + c, load(neighbor + c) + value);
    }
  }
  void add_gate(int row, int at, T by_logit, bool center) {
    if (sums == nullptr) return;
    if (center)
      by_centers[static_cast<std::size_t>(tile.atom_of[row]) * center_width + at] += by_logit;
    else
      sums->row(thread, neighbors[row])[at] += by_logit;
  }
};

}  // namespace M3C_ISA
}  // namespace m3c
