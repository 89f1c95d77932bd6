// An evaluation: passes over the atoms, each thread with atoms of its own and one tile at a time.
#include "engine.h"

#include "desk.h"
#include "network.h"
#include "parallel.h"

namespace m3c {
namespace M3C_ISA {
namespace {

constexpr int kRowsAtOnce = 48;         // of products with the features of atoms
constexpr int kMostTileAtoms = 16;
constexpr double kShortest = 1e-3;      // A; closer atoms are a mistake

template <class T>
class EngineOf : public Engine {
 public:
  EngineOf(const Model& model, const Options& options)
      : net_(model), options_(options), last_(net_.n_blocks - 1) {
    features_.resize(static_cast<std::size_t>(net_.n_blocks));
    adjoints_.resize(static_cast<std::size_t>(net_.n_blocks));
    links_.resize(static_cast<std::size_t>(net_.n_blocks));
    by_links_.resize(static_cast<std::size_t>(net_.n_blocks));
    edges_.resize(static_cast<std::size_t>(net_.n_blocks));
    desks_.resize(static_cast<std::size_t>(options.threads));
  }

  void begin(const System& system) override;
  void forward(int block) override;
  void readout(double* energies) override;
  void backward(int block) override;
  void forces(double* forces, double* virial, double* atom_virials) override;
  Rows features(int block) override { return rows_of(features_, block); }
  Rows adjoints(int block) override { return rows_of(adjoints_, block); }
  double bytes() const override { return bytes_; }
  Memory memory() const override { return keep_ ? Memory::keep : Memory::recompute; }

 private:
  // Steps by their number, in the order in which they come.
  int step_of_backward(int block) const { return 2 * last_ + 1 - block; }
  void expect(int step) {
    if (step != step_)
      throw Error("the steps of an evaluation were called in another order than begin, forward, "
                  "readout, backward, forces");
    ++step_;
  }
  Rows rows_of(std::vector<Buffer<T>>& all, int block) {
    if (block < 1 || block > last_)
      throw Error("there are no features of block " + std::to_string(block) +
                  " to exchange, expected 1 to " + std::to_string(last_));
    return {all[block].data(), net_.node_width};
  }
  template <class Work>
  void on_threads(const Work& work) {
    in_parallel(options_.threads, work);
  }

  void check(const System& system, int thread) const;
  void choose_memory(int64_t n_edges);
  double needed(int64_t n_edges, bool keep) const;
  void reserve(Desk<T>& desk) const;
  void link_all(int block);
  template <class OnTile>
  void over_tiles(int thread, const OnTile& on_tile);
  void find_ends(Desk<T>& desk, int block, int slot);
  void embed(Desk<T>& desk, bool record);
  template <bool Record>
  void edges_up_to(Desk<T>& desk, int block);
  void features_of_tile(Desk<T>& desk, int block);
  void read_out(Desk<T>& desk, double* energies);
  void back(Desk<T>& desk, int thread, int block);
  void finish_links(int block);
  int slot_of(int block) const { return keep_ ? 0 : block; }
  T* kept(const Desk<T>& desk, int block) {
    return edges_[block].data() + static_cast<std::size_t>(desk.tile.first_edge) * net_.edge_width;
  }

  Network<T> net_;
  Options options_;
  int last_ = 0;
  bool keep_ = true;
  int step_ = 0;
  int most_edges_ = 0, most_atoms_ = 1;  // of a tile
  double bytes_ = 0;
  EdgeList<T> list_;
  Shares shares_;
  std::vector<Buffer<T>> features_, adjoints_, links_;  // of every block but the first, by row
  std::vector<Sums<T>> by_links_;
  std::vector<Buffer<T>> edges_;  // e as it goes into a block, later its adjoint; mode `keep`
  Buffer<T> gradient_;            // dE/dr_ij, [n_edges][3]
  Sums<double> forces_;
  std::vector<Desk<T>> desks_;
};

template <class T>
void EngineOf<T>::begin(const System& system) {
  step_ = -1;  // until everything is in place
  if (system.n_owned < 1) throw Error("there are no atoms, expected at least one");
  if (system.n_rows < system.n_owned || system.n_rows > INT32_MAX)
    throw Error("the number of rows is " + std::to_string(system.n_rows) + ", expected " +
                std::to_string(system.n_owned) + " (the atoms) to " + std::to_string(INT32_MAX));
  int64_t most = 0;
  if (system.begins[0] != 0) throw Error("the edges of the first atom do not begin at 0");
  for (int64_t i = 0; i < system.n_owned; ++i) {
    const int64_t count = system.begins[i + 1] - system.begins[i];
    if (count < 0 || count > 1000000)
      throw Error("atom " + std::to_string(i) + " has " + std::to_string(count) + " edges");
    most = std::max(most, count);
  }
  const int64_t n_edges = system.begins[system.n_owned];
  list_ = {system.n_owned, system.n_rows, system.species, system.begins, system.neighbors,
           static_cast<const T*>(system.vectors)};
  shares_.divide(options_.threads, system.n_owned, system.n_rows, system.begins);
  on_threads([&](int thread) {
    check(system, thread);
    shares_.find_halo(thread, system.begins, system.neighbors);
  });
  most_edges_ = static_cast<int>(std::max<int64_t>(most, kTileEdges));
  most_atoms_ = kMostTileAtoms;
  choose_memory(n_edges);
  const std::size_t rows = static_cast<std::size_t>(system.n_rows);
  for (int b = 1; b <= last_; ++b) {
    features_[b].reserve(rows * net_.node_width);
    adjoints_[b].reserve(rows * net_.node_width);
    adjoints_[b].clear(rows * net_.node_width);
    links_[b].reserve(rows * net_.blocks[b].neighbor_width);
    by_links_[b].begin(shares_, net_.blocks[b].neighbor_width, nullptr);
    if (keep_) edges_[b].reserve(static_cast<std::size_t>(n_edges) * net_.edge_width);
  }
  gradient_.reserve(3 * static_cast<std::size_t>(n_edges));
  gradient_.clear(3 * static_cast<std::size_t>(n_edges));
  for (Desk<T>& desk : desks_) reserve(desk);
  step_ = 0;
}

template <class T>
void EngineOf<T>::check(const System& system, int thread) const {
  auto species = [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i)
      if (system.species[i] < 0 || system.species[i] >= net_.n_elements)
        throw Error("atom " + std::to_string(i) + " has element number " +
                    std::to_string(system.species[i]) + ", and the model knows " +
                    std::to_string(net_.n_elements));
  };
  species(shares_.first_atom(thread), shares_.end_atom(thread));
  species(shares_.first_ghost(thread), shares_.end_ghost(thread));
  for (int64_t i = shares_.first_atom(thread); i < shares_.end_atom(thread); ++i)
    for (int64_t e = system.begins[i]; e < system.begins[i + 1]; ++e) {
      const int32_t j = system.neighbors[e];
      if (j < 0 || j >= system.n_rows)
        throw Error("atom " + std::to_string(i) + " has neighbor " + std::to_string(j) + " of " +
                    std::to_string(system.n_rows) + " rows");
      const double r = Tile<T>::length(list_.vectors + 3 * e);
      if (!(r >= kShortest && r < 1e6))
        throw Error("atoms " + std::to_string(i) + " and " + std::to_string(j) + " are " +
                    std::to_string(r) + " A apart, expected more than 0.001");
    }
}

// Bytes that a system takes in a mode, without the caller's arrays.
template <class T>
double EngineOf<T>::needed(int64_t n_edges, bool keep) const {
  double numbers_per_row = 0;
  for (int b = 1; b <= last_; ++b)
    numbers_per_row += 2.0 * net_.node_width + 2.0 * net_.blocks[b].neighbor_width;
  double halo = 0;
  for (int t = 0; t < options_.threads; ++t) halo += static_cast<double>(shares_.halo(t).size());
  double numbers = numbers_per_row * static_cast<double>(list_.n_rows) + 3.0 * n_edges;
  if (last_ > 0) numbers += halo * last_ * net_.blocks[last_].neighbor_width;
  if (keep) numbers += static_cast<double>(n_edges) * last_ * net_.edge_width;
  return numbers * sizeof(T) + shares_.bytes() + halo * (3 * sizeof(double) + 4);
}

template <class T>
void EngineOf<T>::choose_memory(int64_t n_edges) {
  const double all = needed(n_edges, true), least = needed(n_edges, false);
  keep_ = options_.memory == Memory::keep ||
          (options_.memory == Memory::automatic && all <= options_.budget);
  bytes_ = keep_ ? all : least;
  if (options_.memory == Memory::automatic && least > options_.budget) {
    auto megabytes = [](double bytes) { return std::to_string(static_cast<int64_t>(bytes / 1e6)); };
    throw Error("the memory budget of " + megabytes(options_.budget) + " MB is too small: " +
                std::to_string(list_.n_owned) + " atoms need " + megabytes(least + 1e6) + " MB");
  }
}

template <class T>
void EngineOf<T>::reserve(Desk<T>& desk) const {
  const int rows = most_edges_, atoms = most_atoms_;
  const std::size_t chain = keep_ ? 1 : static_cast<std::size_t>(net_.n_blocks);
  desk.tile.reserve(rows, atoms, net_.edge_table, net_.triplets(), net_.max_l);
  desk.ends.resize(chain);
  desk.centers.resize(chain);
  desk.by_centers.resize(chain);
  desk.tapes.resize(chain);
  for (std::size_t slot = 0; slot < chain; ++slot) {
    desk.ends[slot].centers.resize(rows);
    desk.ends[slot].neighbors.resize(rows);
    for (const Block<T>& block : net_.blocks) {
      block.reserve(desk.tapes[slot], rows, atoms);
      desk.centers[slot].reserve(static_cast<std::size_t>(atoms) * block.center_width);
      desk.by_centers[slot].reserve(static_cast<std::size_t>(atoms) * block.center_width);
    }
  }
  net_.blocks[0].reserve(desk.node_tape, rows);
  net_.readout.reserve(desk.readout_tape, atoms);
  for (Buffer<T>* buffer : {&desk.e, &desk.by_e, &desk.embedding_slope})
    buffer->reserve(static_cast<std::size_t>(rows) * net_.edge_width);
  for (Buffer<T>* buffer : {&desk.v, &desk.by_v})
    buffer->reserve(static_cast<std::size_t>(atoms) * net_.node_width);
}

// Links of all rows for a block, owned and ghosts.
template <class T>
void EngineOf<T>::link_all(int block) {
  const Block<T>& to = net_.blocks[block];
  on_threads([&](int thread) {
    auto link = [&](int64_t first, int64_t end) {
      for (int64_t row = first; row < end; row += kRowsAtOnce)
        to.link_neighbors(static_cast<int>(std::min<int64_t>(kRowsAtOnce, end - row)),
                          &features_[block][static_cast<std::size_t>(row) * net_.node_width],
                          &links_[block][static_cast<std::size_t>(row) * to.neighbor_width]);
    };
    link(shares_.first_atom(thread), shares_.end_atom(thread));
    link(shares_.first_ghost(thread), shares_.end_ghost(thread));
  });
}

template <class T>
template <class OnTile>
void EngineOf<T>::over_tiles(int thread, const OnTile& on_tile) {
  Desk<T>& desk = desks_[thread];
  const int64_t end = shares_.end_atom(thread);
  for (int64_t atom = shares_.first_atom(thread); atom < end;) {
    atom = desk.tile.take(list_, atom, end);
    desk.tile.describe(list_, net_.edge_table, net_.triplets(), net_.triplet_reach, net_.max_l);
    on_tile(desk);
  }
}

// Links of both ends of the edges of a tile; those of the first block follow from the elements.
template <class T>
void EngineOf<T>::find_ends(Desk<T>& desk, int block, int slot) {
  const Tile<T>& tile = desk.tile;
  const Block<T>& of = net_.blocks[block];
  Ends<T>& ends = desk.ends[slot];
  T* centers = desk.centers[slot].data();
  if (block > 0)
    of.link_centers(tile.n_atoms,
                    &features_[block][static_cast<std::size_t>(tile.first_atom) * net_.node_width],
                    centers);
  for (int row = 0; row < tile.n_edges; ++row) {
    const int atom = tile.atom_of[row];
    const int32_t j = list_.neighbors[tile.first_edge + row];
    if (block == 0) {
      const int32_t own = list_.species[tile.first_atom + atom], other = list_.species[j];
      ends.centers[row] = &net_.center_links[static_cast<std::size_t>(own) * of.center_width];
      ends.neighbors[row] = &net_.neighbor_links[static_cast<std::size_t>(other) * of.neighbor_width];
    } else {
      ends.centers[row] = centers + static_cast<std::size_t>(atom) * of.center_width;
      ends.neighbors[row] = &links_[block][static_cast<std::size_t>(j) * of.neighbor_width];
    }
  }
}

// e = SiLU(W h + b), and its derivative by r.
template <class T>
void EngineOf<T>::embed(Desk<T>& desk, bool record) {
  const int rows = desk.tile.n_edges, width = net_.edge_width, basis = net_.edge_table.width;
  T *e = desk.e.data(), *slope = desk.embedding_slope.data();
  product(rows, desk.tile.basis.data(), basis, net_.embedding,
          FromBias<T>{net_.embedding_bias.data()}, [=](int row, int column, Vec<T> x) {
            const std::size_t at = static_cast<std::size_t>(row) * width + column;
            const Vec<T> s = sigmoid<T>(x), y = x * s;
            store<T>(e + at, y);
            store<T>(slope + at, silu_slope<T>(y, s));
          });
  if (!record) return;
  product(rows, desk.tile.basis_slope.data(), basis, net_.embedding, FromZero<T>(),
          [=](int row, int column, Vec<T> by_r) {
            const std::size_t at = static_cast<std::size_t>(row) * width + column;
            store<T>(slope + at, load(slope + at) * by_r);
          });
}

// e behind the edge update of a block: from what was kept, or from the beginning.
template <class T>
template <bool Record>
void EngineOf<T>::edges_up_to(Desk<T>& desk, int block) {
  const std::size_t size = static_cast<std::size_t>(desk.tile.n_edges) * net_.edge_width;
  int first = 0;
  if (keep_ && block > 0) {
    std::memcpy(desk.e.data(), kept(desk, block), size * sizeof(T));
    first = block;
  } else {
    embed(desk, Record);
  }
  for (int b = first; b <= block; ++b) {
    find_ends(desk, b, slot_of(b));
    net_.blocks[b].template edges_forward<Record>(desk.tile, net_.edge_table.width,
                                                  desk.ends[slot_of(b)], desk.tapes[slot_of(b)],
                                                  desk.e.data());
  }
}

// v of the atoms of a tile as it goes into a block.
template <class T>
void EngineOf<T>::features_of_tile(Desk<T>& desk, int block) {
  const Tile<T>& tile = desk.tile;
  const std::size_t width = static_cast<std::size_t>(net_.node_width);
  for (int atom = 0; atom < tile.n_atoms; ++atom) {
    const int64_t i = tile.first_atom + atom;
    const T* from = block == 0 ? &net_.elements[list_.species[i] * width]
                               : &features_[block][static_cast<std::size_t>(i) * width];
    std::memcpy(&desk.v[atom * width], from, width * sizeof(T));
  }
}

template <class T>
void EngineOf<T>::forward(int block) {
  if (block < 0 || block >= last_)
    throw Error("there is no block " + std::to_string(block) + " to go forward through, expected 0 to " +
                std::to_string(last_ - 1) + "; the last one is part of the readout");
  expect(block);
  if (block > 0) link_all(block);
  on_threads([&](int thread) {
    over_tiles(thread, [&](Desk<T>& desk) {
      edges_up_to<false>(desk, block);
      features_of_tile(desk, block);
      const Tile<T>& tile = desk.tile;
      net_.blocks[block].template nodes_forward<false>(tile, net_.edge_table.width,
                                                       desk.ends[slot_of(block)], desk.node_tape,
                                                       desk.e.data(), desk.v.data());
      std::memcpy(&features_[block + 1][static_cast<std::size_t>(tile.first_atom) * net_.node_width],
                  desk.v.data(), static_cast<std::size_t>(tile.n_atoms) * net_.node_width * sizeof(T));
      if (keep_)
        std::memcpy(kept(desk, block + 1), desk.e.data(),
                    static_cast<std::size_t>(tile.n_edges) * net_.edge_width * sizeof(T));
    });
  });
}

template <class T>
void EngineOf<T>::readout(double* energies) {
  expect(last_);
  if (last_ > 0) link_all(last_);
  on_threads([&](int thread) {
    over_tiles(thread, [&](Desk<T>& desk) {
      edges_up_to<true>(desk, last_);
      features_of_tile(desk, last_);
      net_.blocks[last_].template nodes_forward<true>(desk.tile, net_.edge_table.width,
                                                      desk.ends[slot_of(last_)], desk.node_tape,
                                                      desk.e.data(), desk.v.data());
      read_out(desk, energies);
      desk.by_e.clear(static_cast<std::size_t>(desk.tile.n_edges) * net_.edge_width);
      back(desk, thread, last_);
    });
  });
}

// Energies of the atoms of a tile, and their adjoint by v.
template <class T>
void EngineOf<T>::read_out(Desk<T>& desk, double* energies) {
  const Tile<T>& tile = desk.tile;
  const int width = net_.readout.out, node_width = net_.node_width;
  const T* both = net_.readout.template forward<true>(tile.n_atoms, desk.v.data(), node_width,
                                                      net_.readout.own_bias(), desk.readout_tape);
  auto scale = [&](int atom) { return net_.scales[list_.species[tile.first_atom + atom]]; };
  for (int atom = 0; atom < tile.n_atoms; ++atom) {
    const T* row = both + static_cast<std::size_t>(atom) * 2 * width;
    energies[tile.first_atom + atom] = scale(atom) * static_cast<double>(row[0] * row[width]);
  }
  const T* adjoint = net_.readout.backward(
      tile.n_atoms,
      [&](int atom, int column) {
        Vec<T> up{};
        if (column == 0) up[0] = static_cast<T>(scale(atom));
        return up;
      },
      desk.readout_tape);
  T* by_v = desk.by_v.data();
  net_.readout.to_inputs(tile.n_atoms, adjoint, FromZero<T>(), [=](int atom, int c, Vec<T> sum) {
    store<T>(by_v + static_cast<std::size_t>(atom) * node_width + c, sum);
  });
}

// The way back of a tile through the messages of a block and what e went through before them.
template <class T>
void EngineOf<T>::back(Desk<T>& desk, int thread, int block) {
  Tile<T>& tile = desk.tile;
  const int first = keep_ ? block : 0;
  const int width = net_.node_width;
  T* by_e = desk.by_e.data();
  for (int b = block; b >= first; --b) {
    const Block<T>& of = net_.blocks[b];
    const int slot = slot_of(b);
    T* by_centers = desk.by_centers[slot].data();
    desk.by_centers[slot].clear(static_cast<std::size_t>(tile.n_atoms) * of.center_width);
    Sink<T> sink{tile, list_.neighbors + tile.first_edge, b > 0 ? &by_links_[b] : nullptr,
                 by_centers, of.center_width, thread};
    if (b == block) of.nodes_backward(tile, desk.node_tape, desk.by_v.data(), by_e, sink);
    of.edges_backward(tile, desk.tapes[slot], by_e, sink);
    if (b == 0) continue;
    T* by_v = &adjoints_[b][static_cast<std::size_t>(tile.first_atom) * width];
    of.unlink_centers(tile.n_atoms, by_centers, by_v);
    if (b < block) continue;
    for (int at = 0; at < tile.n_atoms * width; at += kLanes<T>)
      store<T>(by_v + at, load(by_v + at) + load(&desk.by_v[at]));
  }
  const std::size_t size = static_cast<std::size_t>(tile.n_edges) * net_.edge_width;
  if (first > 0) {
    std::memcpy(kept(desk, block), by_e, size * sizeof(T));
  } else {
    for (int row = 0; row < tile.n_edges; ++row) {
      Vec<T> sum{};
      for (int c = 0; c < net_.edge_width; c += kLanes<T>)
        sum += load(by_e + row * net_.edge_width + c) *
               load(&desk.embedding_slope[row * net_.edge_width + c]);
      tile.by_length[row] += sum_lanes<T>(sum);
    }
  }
  tile.add_gradient(gradient_.data());
}

template <class T>
void EngineOf<T>::backward(int block) {
  if (block < 0 || block > last_)
    throw Error("there is no block " + std::to_string(block) + " to go back through");
  expect(step_of_backward(block));
  if (block < last_)
    on_threads([&](int thread) {
      over_tiles(thread, [&](Desk<T>& desk) {
        const Tile<T>& tile = desk.tile;
        edges_up_to<true>(desk, block);
        features_of_tile(desk, block);
        net_.blocks[block].template nodes_forward<true>(tile, net_.edge_table.width,
                                                        desk.ends[slot_of(block)], desk.node_tape,
                                                        desk.e.data(), desk.v.data());
        const std::size_t width = static_cast<std::size_t>(net_.node_width);
        std::memcpy(desk.by_v.data(),
                    &adjoints_[block + 1][static_cast<std::size_t>(tile.first_atom) * width],
                    tile.n_atoms * width * sizeof(T));
        const std::size_t size = static_cast<std::size_t>(tile.n_edges) * net_.edge_width;
        if (keep_) std::memcpy(desk.by_e.data(), kept(desk, block + 1), size * sizeof(T));
        else desk.by_e.clear(size);
        back(desk, thread, block);
      });
    });
  for (int b = block; b >= 1; --b) {
    finish_links(b);
    if (keep_) break;
  }
}

// Adjoints of the links of all rows, as neighbours, carried to v.
template <class T>
void EngineOf<T>::finish_links(int block) {
  const Block<T>& of = net_.blocks[block];
  on_threads([&](int thread) {
    by_links_[block].gather(thread);
    auto unlink = [&](int64_t first, int64_t end) {
      for (int64_t row = first; row < end; row += kRowsAtOnce)
        of.unlink_neighbors(static_cast<int>(std::min<int64_t>(kRowsAtOnce, end - row)),
                            by_links_[block].rows() + row * of.neighbor_width,
                            &adjoints_[block][static_cast<std::size_t>(row) * net_.node_width]);
    };
    unlink(shares_.first_atom(thread), shares_.end_atom(thread));
    unlink(shares_.first_ghost(thread), shares_.end_ghost(thread));
  });
  if (!keep_) on_threads([&](int thread) { by_links_[block].reset(thread); });
}

template <class T>
void EngineOf<T>::forces(double* forces, double* virial, double* atom_virials) {
  expect(step_of_backward(0) + 1);
  forces_.begin(shares_, 3, forces);
  on_threads([&](int thread) {
    double* total = desks_[thread].virial;
    std::fill(total, total + 9, 0.0);
    for (int64_t i = shares_.first_atom(thread); i < shares_.end_atom(thread); ++i) {
      double* own = forces_.row(thread, static_cast<int32_t>(i));
      double w[9] = {};
      for (int64_t e = list_.begins[i]; e < list_.begins[i + 1]; ++e) {
        double* other = forces_.row(thread, list_.neighbors[e]);
        for (int a = 0; a < 3; ++a) {
          const double g = gradient_[3 * e + a];
          own[a] += g;
          other[a] -= g;
          for (int b = 0; b < 3; ++b) w[3 * b + a] += static_cast<double>(list_.vectors[3 * e + b]) * g;
        }
      }
      for (int k = 0; k < 9; ++k) total[k] += w[k];
      if (atom_virials != nullptr) std::copy(w, w + 9, atom_virials + 9 * i);
    }
  });
  on_threads([&](int thread) { forces_.gather(thread); });
  std::fill(virial, virial + 9, 0.0);
  for (const Desk<T>& desk : desks_)
    for (int k = 0; k < 9; ++k) virial[k] += desk.virial[k];
  step_ = -1;  // another begin is needed
}

}  // namespace

std::unique_ptr<Engine> make_engine(const Model& model, const Options& options) {
  if (options.precision == 8) return std::make_unique<EngineOf<double>>(model, options);
  return std::make_unique<EngineOf<float>>(model, options);
}

}  // namespace M3C_ISA
}  // namespace m3c
