// An evaluation: passes over the atoms, each thread with atoms of its own and one tile at a time.
#include "engine.h"

#include "accumulate.h"
#include "network.h"
#include "parallel.h"

namespace m3c::M3C_ISA {
namespace {

constexpr int kRowsAtOnce = 48;         // of products with the features of atoms
constexpr int64_t kMostEdges = 100000;  // of an atom: products of these with widths fit into an int

// What a thread works with: one tile, and what its blocks leave for the way back.
template <class T>
struct Desk {
  Tile<T> tile;
  std::vector<BlockTape<T>> tapes;  // of every block of a chain
  MlpDesk<T> mlps;
  MlpTape<T> readout;
  Buffer<T> e, by_e, embedding_slope;  // [rows][edge width]
  Buffer<T> v, by_v;                   // [atoms][node width]
  double virial[9];
};

template <class T>
class EngineOf : public Engine {
 public:
  EngineOf(const File& file, const Sizes& sizes, const m3c_options& options)
      : net_(file, sizes), options_(options), last_(sizes.n_blocks - 1), desks_(options.threads) {
    shares_.resize(options.threads);
    by_links_.resize(sizes.n_blocks);
    for (auto* one : {&features_, &adjoints_, &links_, &edges_}) one->resize(sizes.n_blocks);
    for (Desk<T>& desk : desks_) desk.tapes.resize(sizes.n_blocks);
    row_width = net_.node_width;
  }

  void begin(const m3c_system& system) override {
    step_ = -1;  // until everything is in place
    system_ = system;
    if (system.n_owned < 1) throw Error("there are no atoms, expected at least one");
    if (system.n_rows < system.n_owned || system.n_rows > INT32_MAX || system.begins[0] != 0)
      throw Error("there are " + std::to_string(system.n_rows) + " rows, expected those of the atoms and ghosts");
    for (int64_t i = 0; i < system.n_owned; ++i)
      if (system.begins[i + 1] < system.begins[i] || system.begins[i + 1] - system.begins[i] > kMostEdges)
        throw Error("the edges of atom " + std::to_string(i) + " are not a range of up to 100000");
    share_out(system, shares_);
    in_parallel(options_.threads, [&](int thread) {
      check(thread);
      shares_[thread].find_halo(system, options_.threads == 1);
    });
    choose_memory();
    const int64_t n_rows = system.n_rows, n_edges = system.begins[system.n_owned];
    for (int b = 1; b <= last_; ++b) {
      features_[b].zeros(n_rows * net_.node_width);
      adjoints_[b].zeros(n_rows * net_.node_width);
      links_[b].room(n_rows * net_.blocks[b].neighbor.width());
      by_links_[b].begin(shares_, net_.blocks[b].neighbor.width(), nullptr);
      if (keeps) edges_[b].room(n_edges * net_.edge_width);
    }
    gradient_.zeros(3 * n_edges);
    step_ = 0;
  }

  void forward(int block) override {
    expect(block, block < last_);
    pass(block, false, nullptr);
  }
  void readout(double* energies) override {
    expect(last_, true);
    pass(last_, true, energies);
  }
  void backward(int block) override {
    expect(2 * last_ + 1 - block, block >= 0 && block <= last_);
    if (block < last_) pass(block, true, nullptr);
    if (block > 0) unlink_all(block);
  }

  void forces(double* forces, double* virial, double* atom_virials) override {
    expect(2 * last_ + 2, true);
    forces_.begin(shares_, 3, forces);
    in_parallel(options_.threads, [&](int thread) {
      double* total = desks_[thread].virial;
      std::fill_n(total, 9, 0.0);
      for (int64_t i = shares_[thread].first_atom; i < shares_[thread].end_atom; ++i) {
        double *own = forces_.row(thread, static_cast<int32_t>(i)), w[9] = {};
        for (int64_t e = system_.begins[i]; e < system_.begins[i + 1]; ++e) {
          double* other = forces_.row(thread, system_.neighbors[e]);
          for (int a = 0; a < 3; ++a) {
            const double g = gradient_[3 * e + a];
            own[a] += g;
            other[a] -= g;
            for (int b = 0; b < 3; ++b) w[3 * b + a] += static_cast<double>(vector(e)[b]) * g;
          }
        }
        for (int k = 0; k < 9; ++k) total[k] += w[k];
        if (atom_virials != nullptr) std::copy_n(w, 9, atom_virials + 9 * i);
      }
    });
    in_parallel(options_.threads, [&](int thread) { forces_.gather(thread); });
    std::fill_n(virial, 9, 0.0);
    for (const Desk<T>& desk : desks_)
      for (int k = 0; k < 9; ++k) virial[k] += desk.virial[k];
    step_ = -1;  // another begin is needed
  }

  void* rows(bool adjoints, int block) override {
    if (block < 1 || block > last_) throw Error("there are no rows of block " + std::to_string(block));
    return (adjoints ? adjoints_ : features_)[block].data();
  }

 private:
  // Steps by their number, in the order in which they come.
  void expect(int step, bool exists) {
    if (step != step_ || !exists)
      throw Error(
          "steps are called in another order than begin, forward, readout, backward, forces, or block by block");
    ++step_;
  }
  const T* vector(int64_t edge) const { return static_cast<const T*>(system_.vectors) + 3 * edge; }
  BlockTape<T>& tape_of(Desk<T>& desk, int block) { return desk.tapes[keeps ? 0 : block]; }
  T* kept(const Desk<T>& desk, int block) { return edges_[block].row(desk.tile.first_edge, net_.edge_width); }

  // Everything that is an index, and lengths.
  void check(int thread) const {
    for (int64_t i = shares_[thread].first_row; i < shares_[thread].end_row; ++i)
      if (system_.species[i] < 0 || system_.species[i] >= net_.sizes.n_elements)
        throw Error("atom " + std::to_string(i) + " has element number " + std::to_string(system_.species[i]) +
                    ", and the model knows " + std::to_string(net_.sizes.n_elements));
    for (int64_t i = shares_[thread].first_atom; i < shares_[thread].end_atom; ++i)
      for (int64_t e = system_.begins[i]; e < system_.begins[i + 1]; ++e) {
        const int32_t j = system_.neighbors[e];
        auto pair = [&] { return "atoms " + std::to_string(i) + " and " + std::to_string(j); };
        if (j < 0 || j >= system_.n_rows) throw Error(pair() + " are no neighbors: there is no such row");
        const double r = length_of(vector(e));
        if (!(r >= 1e-3 && r < 1e6)) throw Error(pair() + " are " + std::to_string(r) + " A apart");
      }
  }

  // Bytes that a system takes, without the caller's arrays, and whether the edge features are kept.
  void choose_memory() {
    const double n_rows = static_cast<double>(system_.n_rows);
    const double n_edges = static_cast<double>(system_.begins[system_.n_owned]);
    double halo = 0, links = 0;
    for (int t = 0; t < options_.threads; ++t) halo += static_cast<double>(shares_[t].halo.size());
    for (int b = 1; b <= last_; ++b) links += net_.blocks[b].neighbor.width();
    const double least = sizeof(T) * (n_rows * 2 * (last_ * net_.node_width + links) + halo * links + 3 * n_edges) +
                         halo * (3 * sizeof(double) + 4) + (options_.threads > 1 ? 4 * options_.threads * n_rows : 0);
    const double all = least + sizeof(T) * n_edges * last_ * net_.edge_width;
    const bool is_free = options_.memory == M3C_MEMORY_AUTO;
    keeps = is_free ? all <= options_.budget : options_.memory == M3C_MEMORY_KEEP;
    bytes = keeps ? all : least;
    if (bytes > options_.budget && is_free)
      throw Error("the memory budget of " + std::to_string(options_.budget / 1e6) + " MB is too small: " +
                  std::to_string(system_.n_owned) + " atoms need " + std::to_string(least / 1e6) + " MB");
  }

  // each(first row, number of rows) for all rows, a few at once.
  template <class Each>
  void over_rows(const Each& each) {
    in_parallel(options_.threads, [&](int thread) {
      for (int64_t row = shares_[thread].first_row, end = shares_[thread].end_row; row < end; row += kRowsAtOnce)
        each(row, static_cast<int>(std::min<int64_t>(kRowsAtOnce, end - row)));
    });
  }
  // Links of all rows as neighbours, owned and ghosts, and their adjoints, carried to v.
  void link_all(int block) {
    const Links<T>& links = net_.blocks[block].neighbor;
    over_rows([&](int64_t row, int n) {
      links.forward(n, features_[block].row(row, net_.node_width), links_[block].row(row, links.width()));
    });
  }
  void unlink_all(int block) {
    const Links<T>& links = net_.blocks[block].neighbor;
    in_parallel(options_.threads, [&](int thread) { by_links_[block].gather(thread); });
    over_rows([&](int64_t row, int n) {
      links.backward(n, by_links_[block].rows(row), adjoints_[block].row(row, net_.node_width));
    });
  }

  // Through a block with every tile: forward, or forward and back.
  void pass(int block, bool back, double* energies) {
    if (block > 0 && !(back && block < last_)) link_all(block);
    in_parallel(options_.threads, [&](int thread) {
      Desk<T>& desk = desks_[thread];
      for (int64_t atom = shares_[thread].first_atom; atom < shares_[thread].end_atom;) {
        atom = desk.tile.take(system_, atom, shares_[thread].end_atom);
        desk.tile.describe(vector(desk.tile.first_edge), net_.edge_table, net_.triplet_table, net_.sizes.max_l);
        desk.mlps.records = back;
        go_forward(desk, thread, block);
        if (back) {
          go_back(desk, block, energies);
          continue;
        }
        std::copy_n(desk.v.data(), desk.tile.n_atoms * net_.node_width,
                    features_[block + 1].row(desk.tile.first_atom, net_.node_width));
        if (keeps) std::copy_n(desk.e.data(), desk.tile.n_edges * net_.edge_width, kept(desk, block + 1));
      }
    });
  }

  // e and v behind a block: e from what was kept, or from the beginning.
  void go_forward(Desk<T>& desk, int thread, int block) {
    const Tile<T>& tile = desk.tile;
    const int width = net_.node_width, first = keeps ? block : 0;
    const int size = tile.n_edges * net_.edge_width;
    T *e = desk.e.room(size), *v = desk.v.room(tile.n_atoms * width);
    if (first == 0) embed(tile, e, desk.embedding_slope.room(size));
    else std::copy_n(kept(desk, block), size, e);
    for (int b = first; b <= block; ++b) {
      find_ends(tile, thread, b, tape_of(desk, b));
      net_.blocks[b].edges_forward(tile, desk.mlps, tape_of(desk, b), e);
    }
    for (int64_t atom = 0; atom < tile.n_atoms; ++atom) {
      const int64_t i = tile.first_atom + atom;
      std::copy_n(block == 0 ? net_.elements.row(system_.species[i], width) : features_[block].row(i, width), width,
                  v + atom * width);
    }
    net_.blocks[block].nodes_forward(tile, desk.mlps, tape_of(desk, block), e, v);
  }

  // e = SiLU(W h + b).
  void embed(const Tile<T>& tile, T* e, T* slope) const {
    const int width = net_.edge_width;
    product<T>(tile.n_edges, {tile.basis.data(), tile.basis_width}, net_.embedding.forward, net_.embedding.start(),
               {e, width});
    silu<T>(tile.n_edges, {e, width}, width, slope);
  }

  // Links of both ends of the edges of a tile; those of the first block follow from the elements.
  void find_ends(const Tile<T>& tile, int thread, int block, BlockTape<T>& tape) {
    const Links<T>&center = net_.blocks[block].center, &neighbor = net_.blocks[block].neighbor;
    const int size = tile.n_atoms * center.width();
    T *links = tape.centers.room(size), *by_links = tape.by_centers.zeros(size);
    if (block > 0) center.forward(tile.n_atoms, features_[block].row(tile.first_atom, net_.node_width), links);
    for (std::vector<End<T>>& side : tape.ends) side.resize(tile.n_edges);
    for (int row = 0; row < tile.n_edges; ++row) {
      const int64_t atom = tile.atom_of[row], i = tile.first_atom + atom;
      const int32_t j = system_.neighbors[tile.first_edge + row];
      End<T>&one = tape.ends[0][row], &other = tape.ends[1][row];
      if (block == 0) {
        one = {net_.center_links.row(system_.species[i], center.width()), nullptr};
        other = {net_.neighbor_links.row(system_.species[j], neighbor.width()), nullptr};
      } else {
        one = {links + atom * center.width(), by_links + atom * center.width()};
        other = {links_[block].row(j, neighbor.width()), by_links_[block].row(thread, j)};
      }
    }
  }

  // From the adjoints of v and e behind a block down the chain; adjoints add up over the passes.
  void go_back(Desk<T>& desk, int block, double* energies) {
    Tile<T>& tile = desk.tile;
    const int width = net_.node_width, nodes = tile.n_atoms * width, edges = tile.n_edges * net_.edge_width;
    T *by_v = desk.by_v.zeros(nodes), *by_e = desk.by_e.zeros(edges);
    if (block == last_) read_out(desk, by_v, energies + tile.first_atom);
    else std::copy_n(adjoints_[block + 1].row(tile.first_atom, width), nodes, by_v);
    if (block < last_ && keeps) std::copy_n(kept(desk, block + 1), edges, by_e);
    net_.blocks[block].nodes_backward(tile, tape_of(desk, block), by_v, by_e);
    for (int b = block; b >= (keeps ? block : 0); --b) {
      net_.blocks[b].edges_backward(tile, tape_of(desk, b), by_e);
      if (b == 0) continue;
      T* by_own = adjoints_[b].row(tile.first_atom, width);
      net_.blocks[b].center.backward(tile.n_atoms, tape_of(desk, b).by_centers.data(), by_own);
      for (int at = 0; b == block && at < nodes; at += kLanes<T>) add_to<T>(by_own + at, load(by_v + at));
    }
    if (keeps && block > 0) {
      std::copy_n(by_e, edges, kept(desk, block));
    } else {
      for (int at = 0; at < edges; at += kLanes<T>)
        store<T>(by_e + at, load(by_e + at) * load(&desk.embedding_slope[at]));
      add_product(tile.n_edges, by_e, net_.embedding.backward, tile.by_basis.data());
    }
    tile.add_gradient(gradient_.row(tile.first_edge, 3));
  }

  // Energies of the atoms of a tile, and their adjoint by v.
  void read_out(Desk<T>& desk, T* by_v, double* energies) const {
    const Tile<T>& tile = desk.tile;
    auto scale = [&](int64_t i) { return i < system_.n_counted ? net_.scales[system_.species[i]] : 0.0; };
    const Rows<const T> both = net_.readout.forward(tile.n_atoms, {desk.v.data(), net_.node_width},
                                                    net_.readout.bias(), desk.mlps, desk.readout);
    for (int atom = 0; atom < tile.n_atoms; ++atom)
      energies[atom] = scale(tile.first_atom + atom) * double(*both.at(atom) * *both.at(atom, net_.readout.out));
    auto only_first = [&](int atom, int column) {
      Vec<T> up{};
      if (column == 0) up[0] = static_cast<T>(scale(tile.first_atom + atom));
      return up;
    };
    net_.readout.add_inputs(tile.n_atoms, net_.readout.backward(tile.n_atoms, only_first, desk.readout), by_v);
  }

  Network<T> net_;
  m3c_options options_;
  int last_;
  int step_ = -1;  // the one that is to come next; -1: a begin
  m3c_system system_;
  std::vector<Share> shares_;                           // of every thread
  std::vector<Buffer<T>> features_, adjoints_, links_;  // of every block but the first, by row
  std::vector<SharedSums<T>> by_links_;
  std::vector<Buffer<T>> edges_;  // e as it goes into a block, later its adjoint; mode `keep`
  Buffer<T> gradient_;            // dE/dr_ij, [n_edges][3]
  SharedSums<double> forces_;
  std::vector<Desk<T>> desks_;
};

}  // namespace

std::unique_ptr<Engine> make_engine(const File& file, const Sizes& sizes, const m3c_options& options) {
  if (options.precision == 8) return std::make_unique<EngineOf<double>>(file, sizes, options);
  return std::make_unique<EngineOf<float>>(file, sizes, options);
}

}  // namespace m3c::M3C_ISA
