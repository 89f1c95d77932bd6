// An evaluation: passes over the atoms, each thread with atoms of its own and one tile at a time.
#include "engine.h"

#include "network.h"
#include "threads.h"

namespace m3c::M3C_ISA {
namespace {
constexpr int kRowsAtOnce = 48;         // of products with the features of atoms
constexpr int64_t kWorthTable = 1000;   // edges of a pair of elements: three evaluations save what its table takes
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
};

template <class T>
class EngineOf : public Engine {
 public:
  EngineOf(const File& file, const Sizes& sizes, const m3c_options& options)
      : net_(file, sizes),
        exact_(kLone ? new Network<double>(file, sizes) : nullptr),
        lone_(kLone ? sizes.n_elements * sizes.n_elements : 0),
        options_(options),
        last_(sizes.n_blocks - 1),
        desks_(options.threads) {
    shares_.resize(options.threads);
    by_links_.resize(sizes.n_blocks);
    for (auto* one : {&features_, &adjoints_, &links_, &edges_}) one->resize(sizes.n_blocks);
    for (Desk<T>& desk : desks_) desk.tapes.resize(sizes.n_blocks);
    info.row_width = net_.node_width;
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
    if (kLone) make_tables();
    choose_memory();
    const int64_t n_rows = system.n_rows, n_edges = system.begins[system.n_owned];
    for (int b = 1; b <= last_; ++b) {
      features_[b].zeros(n_rows * net_.node_width);
      adjoints_[b].zeros(n_rows * net_.node_width);
      links_[b].room(n_rows * net_.blocks[b].neighbor.width());
      by_links_[b].begin(shares_, net_.blocks[b].neighbor.width(), nullptr);
      if (info.keeps) edges_[b].room(n_edges * net_.edge_width);
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
    if (block == 0) return;
    in_parallel(options_.threads, [&](int thread) { by_links_[block].gather(thread); });
    over_rows(block, [&](const Links<T>& links, int64_t row, int n) {
      links.backward(n, by_links_[block].rows(row), adjoints_[block].row(row, net_.node_width));
    });
  }

  void forces(double* forces, double* virial, double* atom_virials) override {
    expect(2 * last_ + 2, true);
    forces_.begin(shares_, 3, forces);
    std::vector<std::array<double, 9>> totals(options_.threads);
    in_parallel(options_.threads, [&](int thread) {
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
        for (int k = 0; k < 9; ++k) totals[thread][k] += w[k];
        if (atom_virials != nullptr) std::copy_n(w, 9, atom_virials + 9 * i);
      }
    });
    in_parallel(options_.threads, [&](int thread) { forces_.gather(thread); });
    std::fill_n(virial, 9, 0.0);
    for (const std::array<double, 9>& total : totals)
      for (int k = 0; k < 9; ++k) virial[k] += total[k];
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
      throw Error("steps are called in another order than begin, forward, readout, backward, forces");
    ++step_;
  }
  const T* vector(int64_t edge) const { return static_cast<const T*>(system_.vectors) + 3 * edge; }
  BlockTape<T>& tape_of(Desk<T>& desk, int block) { return desk.tapes[info.keeps ? 0 : block]; }
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

  // Of the elements at both ends of an edge of an atom.
  std::size_t pair_of(int64_t atom, int64_t edge) const {
    return system_.species[atom] * net_.sizes.n_elements + system_.species[system_.neighbors[edge]];
  }

  // Whether triplets reach an edge, or it has to go through the network in the first block for another reason.
  bool is_inside(int64_t atom, int64_t edge) const {
    const double r = length_of(vector(edge));
    if (r < net_.sizes.triplet_reach || !kLone) return r < net_.sizes.triplet_reach;
    const std::size_t pair = pair_of(atom, edge);
    return counts_[pair] < kWorthTable || r < lone_[pair].begin || r >= net_.sizes.cutoff;
  }

  // Tables of the pairs of elements that have enough edges here to be worth one, whatever was evaluated before.
  void make_tables() {
    counts_.assign(lone_.size(), 0);
    std::vector<std::size_t> pairs;
    for (int64_t i = 0; i < system_.n_owned; ++i)
      for (int64_t e = system_.begins[i]; e < system_.begins[i + 1]; ++e) ++counts_[pair_of(i, e)];
    for (std::size_t pair = 0; pair < lone_.size(); ++pair)
      if (counts_[pair] >= kWorthTable && lone_[pair].columns == 0) pairs.push_back(pair);
    for (std::size_t pair = 0; pair < lone_.size() && !pairs.empty(); ++pair)
      if (counts_[pair] < kWorthTable) lone_[pair] = Table<T>();  // of another structure
    in_parallel(options_.threads, [&](int thread) {
      for (std::size_t k = thread; k < pairs.size(); k += options_.threads)
        lone_[pairs[k]] = lone_edges<T>(*exact_, pairs[k] / net_.sizes.n_elements, pairs[k] % net_.sizes.n_elements);
    });
  }

  // Bytes that a system takes, without the caller's arrays, and whether the edge features are kept.
  void choose_memory() {
    const double n_rows = static_cast<double>(system_.n_rows);
    const double n_edges = static_cast<double>(system_.begins[system_.n_owned]);
    double halo = 0, links = last_ * net_.blocks[last_].neighbor.width();
    for (const Share& share : shares_) halo += share.n_halo;
    const double least = sizeof(T) * (n_rows * 2 * (last_ * net_.node_width + links) + halo * links + 3 * n_edges) +
                         halo * (3 * sizeof(double) + 4) + (options_.threads > 1 ? 4 * options_.threads * n_rows : 0);
    const double all = least + sizeof(T) * n_edges * last_ * net_.edge_width;
    const bool is_free = options_.memory == M3C_MEMORY_AUTO;
    info.keeps = is_free ? all <= options_.budget : options_.memory == M3C_MEMORY_KEEP;
    info.bytes = info.keeps ? all : least;
    if (info.bytes > options_.budget && is_free)
      throw Error("the memory budget of " + std::to_string(options_.budget / 1e6) + " MB is too small: " +
                  std::to_string(system_.n_owned) + " atoms need " + std::to_string(least / 1e6) + " MB");
  }

  // each(links, first row, number of rows) for all rows as neighbours, owned and ghosts, a few at once.
  template <class Each>
  void over_rows(int block, const Each& each) {
    in_parallel(options_.threads, [&](int thread) {
      for (int64_t row = shares_[thread].first_row, end = shares_[thread].end_row; row < end; row += kRowsAtOnce)
        each(net_.blocks[block].neighbor, row, static_cast<int>(std::min<int64_t>(kRowsAtOnce, end - row)));
    });
  }

  // Through a block with every tile: forward, or forward and back.
  void pass(int block, bool back, double* energies) {
    if (block > 0 && !(back && block < last_))
      over_rows(block, [&](const Links<T>& links, int64_t row, int n) {
        links.forward(n, features_[block].row(row, net_.node_width), links_[block].row(row, links.width()));
      });
    in_parallel(options_.threads, [&](int thread) {
      Desk<T>& desk = desks_[thread];
      for (int64_t atom = shares_[thread].first_atom, end = shares_[thread].end_atom; atom < end;) {
        atom = desk.tile.take(system_, [this](auto... edge) { return is_inside(edge...); }, atom, end);
        desk.tile.describe(vector(desk.tile.first_edge), net_.edge_table, net_.triplet_table, net_.sizes.max_l);
        desk.mlps.records = back;
        go_forward(desk, thread, block);
        if (back) {
          go_back(desk, block, energies);
          continue;
        }
        std::copy_n(desk.v.data(), desk.tile.n_atoms * net_.node_width,
                    features_[block + 1].row(desk.tile.first_atom, net_.node_width));
        if (info.keeps) std::copy_n(desk.e.data(), desk.tile.n_edges * net_.edge_width, kept(desk, block + 1));
      }
    });
  }

  // e and v behind a block: e from what was kept, or from the beginning.
  void go_forward(Desk<T>& desk, int thread, int block) {
    const Tile<T>& tile = desk.tile;
    const int width = net_.node_width, first = info.keeps ? block : 0;
    const int size = tile.n_edges * net_.edge_width;
    T *e = desk.e.room(size), *v = desk.v.room(tile.n_atoms * width);
    if (first == 0) net_.embed(tile, rows_of(tile, 0), e, desk.embedding_slope.room(size));
    else std::copy_n(kept(desk, block), size, e);
    for (int b = first; b <= block; ++b) {
      for (int64_t i = tile.first_atom, atom = 0; atom < tile.n_atoms; ++i, ++atom)
        std::copy_n(b == 0 ? net_.elements.row(system_.species[i], width) : features_[b].row(i, width), width,
                    v + atom * width);
      find_ends(tile, thread, b, v, tape_of(desk, b));
      if (b == 0 && kLone) lone_forward(tile, e, v);
      net_.blocks[b].edges_forward(tile, desk.mlps, tape_of(desk, b), e);
    }
    BlockTape<T>& tape = tape_of(desk, block);
    net_.blocks[block].node.forward(tile, tape.ends, desk.mlps, tape.node, e, v);
  }

  // Rows that go through the network in a block; those behind them come from tables.
  static int rows_of(const Tile<T>& tile, int block) { return kLone && block == 0 ? tile.n_inside : tile.n_edges; }

  // each(column, values, derivatives by r) of e behind the first block and of the message of such a row.
  template <class Each>
  void from_table(const Tile<T>& tile, int row, const Each& each) const {
    const int64_t edge = tile.first_edge + tile.edge_of[row];
    lone_[pair_of(tile.first_atom + tile.atom_of[row], edge)].evaluate(length_of(vector(edge)), each);
  }
  void lone_forward(const Tile<T>& tile, T* e, T* v) const {
    const int width = net_.edge_width;
    for (int row = tile.n_inside; row < tile.n_edges; ++row) {
      const int atom = tile.atom_of[row] * net_.node_width;
      from_table(tile, row, [=](int c, Vec<T> value, Vec<T>) M3C_ALWAYS {
        c < width ? store<T>(e + row * width + c, value) : add_to<T>(v + atom + c - width, value);
      });
    }
  }
  // dE/dr from the adjoints of e and, unless that is null, of v.
  void lone_backward(Tile<T>& tile, const T* by_e, const T* by_v) const {
    const int width = net_.edge_width, columns = width + (by_v == nullptr ? 0 : net_.node_width);
    for (int row = tile.n_inside; row < tile.n_edges; ++row) {
      const int atom = tile.atom_of[row] * net_.node_width;
      Vec<T> sum{};
      from_table(tile, row, [&](int c, Vec<T>, Vec<T> slope) M3C_ALWAYS {
        if (c < columns) sum += slope * load(c < width ? by_e + row * width + c : by_v + atom + c - width);
      });
      tile.by_length[row] += sum_lanes<T>(sum);
    }
  }

  // Links of both ends of the edges of a tile; those of the first block follow from the elements.
  void find_ends(const Tile<T>& tile, int thread, int block, const T* v, BlockTape<T>& tape) {
    const Links<T>&center = net_.blocks[block].center, &neighbor = net_.blocks[block].neighbor;
    const int size = tile.n_atoms * center.width();
    T *links = tape.centers.room(size), *by_links = tape.by_centers.zeros(size);
    center.forward(tile.n_atoms, v, links);
    for (std::vector<End<T>>& side : tape.ends) side.resize(rows_of(tile, block));
    for (int row = 0; row < rows_of(tile, block); ++row) {
      const int at = tile.atom_of[row] * center.width();
      const int32_t j = system_.neighbors[tile.first_edge + tile.edge_of[row]];
      tape.ends[0][row] = {links + at, block == 0 ? nullptr : by_links + at};
      if (block == 0) tape.ends[1][row] = {net_.neighbor_links.row(system_.species[j], neighbor.width()), nullptr};
      else tape.ends[1][row] = {links_[block].row(j, neighbor.width()), by_links_[block].row(thread, j)};
    }
  }

  // From the adjoints of v and e behind a block down the chain; adjoints add up over the passes.
  void go_back(Desk<T>& desk, int block, double* energies) {
    Tile<T>& tile = desk.tile;
    const int width = net_.node_width, nodes = tile.n_atoms * width, edges = tile.n_edges * net_.edge_width;
    T *by_v = desk.by_v.zeros(nodes), *by_e = desk.by_e.zeros(edges);
    if (block == last_) read_out(desk, by_v, energies + tile.first_atom);
    else std::copy_n(adjoints_[block + 1].row(tile.first_atom, width), nodes, by_v);
    if (block < last_ && info.keeps) std::copy_n(kept(desk, block + 1), edges, by_e);
    BlockTape<T>& tape = tape_of(desk, block);
    net_.blocks[block].node.backward(tile, tape.ends, tape.node, by_v, by_e);
    for (int b = block; b >= (info.keeps ? block : 0); --b) {
      net_.blocks[b].edges_backward(tile, tape_of(desk, b), by_e);
      if (b == 0) continue;
      T* by_own = adjoints_[b].row(tile.first_atom, width);
      net_.blocks[b].center.backward(tile.n_atoms, tape_of(desk, b).by_centers.data(), by_own);
      for (int at = 0; b == block && at < nodes; at += kLanes<T>) add_to<T>(by_own + at, load(by_v + at));
    }
    if (info.keeps && block > 0) {
      std::copy_n(by_e, edges, kept(desk, block));
    } else {
      if (kLone) lone_backward(tile, by_e, block == 0 ? by_v : nullptr);
      for (int at = 0; at < rows_of(tile, 0) * net_.edge_width; at += kLanes<T>)
        store<T>(by_e + at, load(by_e + at) * load(&desk.embedding_slope[at]));
      add_product(rows_of(tile, 0), by_e, net_.embedding.backward, tile.by_basis.data());
    }
    tile.add_gradient(gradient_.row(tile.first_edge, 3));
  }

  // Energies of the atoms of a tile, and their adjoint by v.
  void read_out(Desk<T>& desk, T* by_v, double* energies) const {
    const Tile<T>& tile = desk.tile;
    auto scale = [&](int64_t i) { return i < system_.n_counted ? net_.scales[system_.species[i]] : 0.0; };
    const Rows<const T> both =
        net_.readout.forward(tile.n_atoms, {desk.v.data(), net_.node_width}, false, desk.mlps, desk.readout);
    for (int atom = 0; atom < tile.n_atoms; ++atom)
      energies[atom] = scale(tile.first_atom + atom) * double(*both.at(atom) * *both.at(atom, net_.readout.out));
    auto only_first = [&](int atom, int column) {
      Vec<T> up{};
      if (column == 0) up[0] = static_cast<T>(scale(tile.first_atom + atom));
      return up;
    };
    net_.readout.add_inputs(tile.n_atoms, net_.readout.backward(tile.n_atoms, only_first, desk.readout), by_v);
  }

  // In float32, tables give what the first block makes of edges that triplets do not reach.
  static constexpr bool kLone = sizeof(T) == 4;
  Network<T> net_;
  std::unique_ptr<Network<double>> exact_;
  std::vector<Table<T>> lone_;   // of every pair of elements, once one is worth it
  std::vector<int64_t> counts_;  // of their edges in this structure
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
