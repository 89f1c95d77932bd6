// What the C functions ask for, whatever the instruction set and the precision.
#pragma once

#include <cstdint>
#include <memory>

#include "model.h"

namespace m3c {

// Atoms and edges; the arrays are the caller's and stay in place until the forces are out.
struct System {
  int64_t n_owned = 0;   // atoms that have edges and energies
  int64_t n_rows = 0;    // and ghosts behind them
  const int32_t* species = nullptr;    // [n_rows], position in the elements of the model
  const int64_t* begins = nullptr;     // [n_owned + 1], edges of atom i are begins[i]...
  const int32_t* neighbors = nullptr;  // [n_edges], rows
  const void* vectors = nullptr;       // [n_edges][3] in Angstrom, of the precision of the engine
};

enum class Memory { keep, recompute, automatic };

struct Options {
  int precision = 4;  // bytes of a number, 4 or 8
  int threads = 1;
  Memory memory = Memory::automatic;
  double budget = 0;  // bytes that a system may take
};

// Rows of numbers of atoms that a caller may read and write: features and their adjoints.
struct Rows {
  void* data = nullptr;
  int64_t stride = 0;  // numbers from one row to the next
};

// The steps of an evaluation, in their order: begin, forward(0 ... n_blocks - 2), readout,
// backward(n_blocks - 1 ... 0), forces. The last block goes forward and back inside readout,
// because the energy of an atom needs nothing but its own features behind it.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual void begin(const System& system) = 0;
  virtual void forward(int block) = 0;
  // Network energies of the owned atoms in eV, [n_owned].
  virtual void readout(double* energies) = 0;
  virtual void backward(int block) = 0;
  // [n_rows][3] in eV/A, ghosts included; virial dE/dstrain [9] in eV; of atoms [n_owned][9] or null.
  virtual void forces(double* forces, double* virial, double* atom_virials) = 0;
  // v as it goes into a block (1 ... n_blocks - 1), and dE/dv.
  virtual Rows features(int block) = 0;
  virtual Rows adjoints(int block) = 0;
  virtual double bytes() const = 0;    // what the last system took
  virtual Memory memory() const = 0;   // what was chosen for it
};

using MakeEngine = std::unique_ptr<Engine> (*)(const Model&, const Options&);

#define M3C_DECLARE(isa) \
  namespace isa {        \
  std::unique_ptr<Engine> make_engine(const Model& model, const Options& options); \
  }
M3C_DECLARE(baseline)
M3C_DECLARE(avx2)
M3C_DECLARE(avx512)
#undef M3C_DECLARE

}  // namespace m3c
