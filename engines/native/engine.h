// What the C functions ask for, whatever the instruction set and the precision.
#pragma once

#include <memory>

#include "file.h"
#include "m3c.h"

namespace m3c {
// The steps of an evaluation, in their order: begin, forward(0 ... n_blocks - 2), readout,
// backward(n_blocks - 1 ... 0), forces (see m3c.h). The last block goes forward and back inside
// readout, because the energy of an atom needs nothing but its own features behind it.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual void begin(const m3c_system& system) = 0;
  virtual void forward(int block) = 0;
  virtual void readout(double* energies) = 0;
  virtual void backward(int block) = 0;
  virtual void forces(double* forces, double* virial, double* atom_virials) = 0;
  virtual void* rows(bool adjoints, int block) = 0;

  m3c_info info{};  // whoever opens the model writes what does not depend on the engine
};

using MakeEngine = std::unique_ptr<Engine>(const File&, const Sizes&, const m3c_options&);
namespace baseline { MakeEngine make_engine; }
namespace avx2 { MakeEngine make_engine; }
namespace avx512 { MakeEngine make_engine; }
}  // namespace m3c
