// The C functions: no exception leaves them, and nothing is shared between handles.
#include "m3c.h"

#include <cstdio>
#include <cstring>
#include <new>

#include "engine.h"

struct m3c_model {
  std::unique_ptr<m3c::Engine> engine;
  std::vector<char> symbols;
  std::vector<double> element_energies;
  std::string error;
};

namespace {
struct Build {
  const char* isa;
  m3c::MakeEngine* make;
  bool runs_here;
};

// The best build that runs here, or the one of that name.
Build choose_build(const char* isa) {
  const Build builds[] = {
#ifdef M3C_X86
      {"avx512", m3c::avx512::make_engine,
       __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma")},
      {"avx2", m3c::avx2::make_engine, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")},
#endif
      {"baseline", m3c::baseline::make_engine, true}};
  for (const Build& build : builds)
    if (build.runs_here && (isa == nullptr || std::strcmp(isa, build.isa) == 0)) return build;
  throw m3c::Error(std::string("there is no build for \"") + isa + "\" that runs on this machine");
}

std::unique_ptr<m3c_model> open_model(const char* path, const m3c_options& options) {
  if ((options.precision != 4 && options.precision != 8) || options.threads < 1 || options.threads > 1024 ||
      options.memory < M3C_MEMORY_KEEP || options.memory > M3C_MEMORY_AUTO)
    throw m3c::Error("the options make no sense: expected 4 or 8 bytes, 1 to 1024 threads, a mode of memory");
  const Build build = choose_build(options.isa);
  const m3c::File file(path);
  const m3c::Sizes sizes(file);
  auto model = std::make_unique<m3c_model>();
  model->element_energies = file.array("element_energies", {sizes.n_elements});
  for (const double letter : file.array("core.symbols", {sizes.n_elements, 2}))
    model->symbols.push_back(letter >= 'A' && letter <= 'z' ? static_cast<char>(letter) : 0);
  model->engine = build.make(file, sizes, options);
  m3c_info& info = model->engine->info;
  info.isa = build.isa;
  info.n_elements = sizes.n_elements;
  info.symbols = model->symbols.data();
  info.element_energies = model->element_energies.data();
  info.energy_offset = sizes.energy_offset;
  info.cutoff = sizes.cutoff;
  info.n_blocks = sizes.n_blocks;
  return model;
}

// The message of what some work throws; empty if it throws nothing.
template <class Work>
std::string message_of(const Work& work) {
  try {
    work();
    return "";
  } catch (const std::bad_alloc&) {
    return "the memory of the machine is not enough";
  } catch (const std::exception& failure) {
    return failure.what();
  }
}

using m3c::Engine;
template <class Work>
int guarded(m3c_model* model, const Work& work) {
  model->error = message_of([&] { work(*model->engine); });
  return model->error.empty() ? 0 : 1;
}
template <class Step, class... Arguments>
int take(m3c_model* model, Step step, Arguments... arguments) {
  return guarded(model, [&](Engine& engine) { (engine.*step)(arguments...); });
}
}  // namespace

extern "C" {

int m3c_version(void) { return M3C_VERSION; }

m3c_model* m3c_open(const char* path, const m3c_options* options, char* error, size_t size) {
  std::unique_ptr<m3c_model> model;
  const std::string message = message_of([&] { model = open_model(path, *options); });
  if (error != nullptr && size > 0) std::snprintf(error, size, "%s", message.c_str());
  return model.release();
}
void m3c_close(m3c_model* model) { delete model; }
const char* m3c_error(const m3c_model* model) { return model->error.c_str(); }

m3c_info m3c_describe(const m3c_model* model) { return model->engine->info; }

int m3c_evaluate(m3c_model* model, const m3c_system* system, double* energies, double* forces, double* virial,
                 double* atom_virials) {
  return guarded(model, [&](Engine& engine) {
    engine.begin(*system);
    for (int block = 0; block + 1 < engine.info.n_blocks; ++block) engine.forward(block);
    engine.readout(energies);
    for (int block = engine.info.n_blocks - 1; block >= 0; --block) engine.backward(block);
    engine.forces(forces, virial, atom_virials);
  });
}

int m3c_begin(m3c_model* m, const m3c_system* system) { return take(m, &Engine::begin, *system); }
int m3c_forward(m3c_model* m, int block) { return take(m, &Engine::forward, block); }
int m3c_readout(m3c_model* m, double* energies) { return take(m, &Engine::readout, energies); }
int m3c_backward(m3c_model* m, int block) { return take(m, &Engine::backward, block); }
int m3c_forces(m3c_model* m, double* forces, double* virial, double* atom_virials) {
  return take(m, &Engine::forces, forces, virial, atom_virials);
}

void* m3c_rows(m3c_model* model, int adjoints, int block) {
  void* data = nullptr;
  guarded(model, [&](Engine& engine) { data = engine.rows(adjoints != 0, block); });
  return data;
}

}  // extern "C"
