// The C functions: no exception leaves them, and nothing is shared between handles.
#include "m3c.h"

#include <cstdio>
#include <cstring>
#include <new>

#include "cells.h"
#include "engine.h"
#include "parallel.h"

struct m3c_model {
  m3c::Model model;
  std::unique_ptr<m3c::Engine> engine;
  m3c::Options options;
  m3c::Cells<float> cells_float;
  m3c::Cells<double> cells_double;
  std::string isa;
  std::string error;
};

namespace {

struct Build {
  const char* name;
  m3c::MakeEngine make;
  bool runs_here;
};

// The builds of this library, the best one first.
std::vector<Build> builds() {
  std::vector<Build> found;
#ifdef M3C_X86
  __builtin_cpu_init();
  found.push_back({"avx512", m3c::avx512::make_engine,
                   __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")});
  found.push_back({"avx2", m3c::avx2::make_engine,
                   __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")});
#endif
  found.push_back({"baseline", m3c::baseline::make_engine, true});
  return found;
}

const Build choose_build(const char* name) {
  for (const Build& build : builds())
    if (build.runs_here && (name == nullptr || std::strcmp(name, build.name) == 0)) return build;
  throw m3c::Error(std::string("there is no build for \"") + name + "\" that runs on this machine");
}

m3c::Options checked(const m3c_options& given) {
  if (given.precision != 4 && given.precision != 8)
    throw m3c::Error("the precision is " + std::to_string(given.precision) + " bytes, expected 4 or 8");
  if (given.threads < 1 || given.threads > 1024)
    throw m3c::Error("threads is " + std::to_string(given.threads) + ", expected 1 to 1024");
  if (given.memory < M3C_MEMORY_KEEP || given.memory > M3C_MEMORY_AUTO)
    throw m3c::Error("there is no memory mode " + std::to_string(given.memory));
  m3c::Options options;
  options.precision = given.precision;
  options.threads = given.threads;
  options.memory = given.memory == M3C_MEMORY_KEEP        ? m3c::Memory::keep
                   : given.memory == M3C_MEMORY_RECOMPUTE ? m3c::Memory::recompute
                                                          : m3c::Memory::automatic;
  options.budget = given.budget;
  return options;
}

// Runs something for a handle; what it throws becomes the handle's error.
template <class Work>
int guarded(m3c_model* model, const Work& work) {
  if (model == nullptr) return 1;
  try {
    model->error.clear();
    work(*model->engine);
    return 0;
  } catch (const std::bad_alloc&) {
    model->error = "the memory of the machine is not enough for this system";
  } catch (const std::exception& failure) {
    model->error = failure.what();
  }
  return 1;
}

m3c::System system_of(const m3c_system& given) {
  return {given.n_owned, given.n_rows, given.species, given.begins, given.neighbors, given.vectors};
}

void evaluate(m3c_model& model, const m3c::System& system, double* energies, double* forces,
              double* virial, double* atom_virials) {
  m3c::Engine& engine = *model.engine;
  const int n_blocks = model.model.n_blocks;
  engine.begin(system);
  for (int block = 0; block + 1 < n_blocks; ++block) engine.forward(block);
  engine.readout(energies);
  for (int block = n_blocks - 1; block >= 0; --block) engine.backward(block);
  engine.forces(forces, virial, atom_virials);
}

// Rows [n][width] from the order of the cells into that of the caller.
void put_back(const std::vector<int32_t>& order, int width, const std::vector<double>& from, double* to) {
  if (to == nullptr) return;
  for (std::size_t place = 0; place < order.size(); ++place)
    std::copy_n(&from[place * width], width, to + static_cast<std::size_t>(order[place]) * width);
}

template <class T>
void evaluate_structure(m3c_model& model, m3c::Cells<T>& cells, const m3c::Structure& structure,
                        double* energies, double* forces, double* virial, double* atom_virials) {
  const int64_t n = structure.n_atoms;
  if (n < 1) throw m3c::Error("there are no atoms, expected at least one");
  for (int64_t i = 0; i < n; ++i)
    if (structure.species[i] < 0 || structure.species[i] >= structure.n_elements)
      throw m3c::Error("atom " + std::to_string(i) + " is of no element that the model knows");
  cells.search(structure, model.model.cutoff, model.options.threads);
  const std::size_t size = static_cast<std::size_t>(n);
  std::vector<double> own_energies(size), own_forces(3 * size);
  std::vector<double> own_virials(atom_virials == nullptr ? 0 : 9 * size);
  evaluate(model,
           {n, n, cells.species.data(), cells.begins.data(), cells.neighbors.data(),
            cells.vectors.data()},
           own_energies.data(), own_forces.data(), virial,
           atom_virials == nullptr ? nullptr : own_virials.data());
  put_back(cells.order, 1, own_energies, energies);
  put_back(cells.order, 3, own_forces, forces);
  put_back(cells.order, 9, own_virials, atom_virials);
}

}  // namespace

extern "C" {

int m3c_version(void) { return M3C_VERSION; }

int m3c_has_threads(void) { return 1; }

m3c_model* m3c_open(const char* path, const m3c_options* options, char* error, size_t size) {
  std::string message;
  try {
    const m3c::Options checked_options = checked(*options);
    auto model = std::make_unique<m3c_model>();
    const Build build = choose_build(options->isa);
    model->isa = build.name;
    model->options = checked_options;
    model->model = m3c::read_model(path);
    model->engine = build.make(model->model, checked_options);
    model->model.arrays.clear();  // the engine has them in its own order
    return model.release();
  } catch (const std::bad_alloc&) {
    message = "the memory of the machine is not enough for this model";
  } catch (const std::exception& failure) {
    message = failure.what();
  }
  if (error != nullptr && size > 0) std::snprintf(error, size, "%s", message.c_str());
  return nullptr;
}

void m3c_close(m3c_model* model) { delete model; }
const char* m3c_error(const m3c_model* model) {
  return model == nullptr ? "there is no model" : model->error.c_str();
}
const char* m3c_isa(const m3c_model* model) { return model->isa.c_str(); }
int m3c_n_elements(const m3c_model* model) { return static_cast<int>(model->model.elements.size()); }
const char* m3c_element(const m3c_model* model, int element) {
  return model->model.elements.at(static_cast<std::size_t>(element)).c_str();
}
double m3c_element_energy(const m3c_model* model, int element) {
  return model->model.element_energies.at(static_cast<std::size_t>(element));
}
double m3c_energy_offset(const m3c_model* model) { return model->model.energy_offset; }
double m3c_cutoff(const m3c_model* model) { return model->model.cutoff; }
int m3c_n_blocks(const m3c_model* model) { return model->model.n_blocks; }
double m3c_bytes(const m3c_model* model) { return model->engine->bytes(); }
int m3c_keeps(const m3c_model* model) { return model->engine->memory() == m3c::Memory::keep; }

int m3c_begin(m3c_model* model, const m3c_system* system) {
  return guarded(model, [&](m3c::Engine& engine) { engine.begin(system_of(*system)); });
}
int m3c_forward(m3c_model* model, int block) {
  return guarded(model, [&](m3c::Engine& engine) { engine.forward(block); });
}
int m3c_readout(m3c_model* model, double* energies) {
  return guarded(model, [&](m3c::Engine& engine) { engine.readout(energies); });
}
int m3c_backward(m3c_model* model, int block) {
  return guarded(model, [&](m3c::Engine& engine) { engine.backward(block); });
}
int m3c_forces(m3c_model* model, double* forces, double* virial, double* atom_virials) {
  return guarded(model, [&](m3c::Engine& engine) { engine.forces(forces, virial, atom_virials); });
}

int m3c_evaluate(m3c_model* model, const m3c_system* system, double* energies, double* forces,
                 double* virial, double* atom_virials) {
  return guarded(model, [&](m3c::Engine&) {
    evaluate(*model, system_of(*system), energies, forces, virial, atom_virials);
  });
}

int m3c_evaluate_structure(m3c_model* model, const m3c_structure* given, double* energies,
                           double* forces, double* virial, double* atom_virials,
                           m3c_pair* closest) {
  return guarded(model, [&](m3c::Engine&) {
    const m3c::Structure structure = {given->n_atoms, given->species, given->positions, given->cell,
                                      given->periodic, given->limits, m3c_n_elements(model)};
    const bool single = model->options.precision == 4;
    if (single)
      evaluate_structure(*model, model->cells_float, structure, energies, forces, virial, atom_virials);
    else
      evaluate_structure(*model, model->cells_double, structure, energies, forces, virial, atom_virials);
    const m3c::Closest& found = single ? model->cells_float.closest : model->cells_double.closest;
    *closest = {found.first, found.second, found.distance, found.ratio};
  });
}

void* m3c_features(m3c_model* model, int block) {
  void* data = nullptr;
  guarded(model, [&](m3c::Engine& engine) { data = engine.features(block).data; });
  return data;
}
void* m3c_adjoints(m3c_model* model, int block) {
  void* data = nullptr;
  guarded(model, [&](m3c::Engine& engine) { data = engine.adjoints(block).data; });
  return data;
}
int64_t m3c_row_width(m3c_model* model) {
  int64_t width = 0;
  guarded(model, [&](m3c::Engine& engine) { width = engine.features(1).stride; });
  return width;
}

}  // extern "C"
