// Copyright (c) the authors of m3compress; distributed under the GNU General Public License, version 2.
//
// What LAMMPS calls when it loads the plugin. Nothing is registered with a LAMMPS that it does not fit:
// classes of another version have their members elsewhere.
#include <cstdio>
#include <string>

#include "library.h"
#include "pair_m3compress.h"

namespace {

// As in lammpsplugin.h, which is not installed everywhere.
struct Plugin {
  const char *version, *style, *name, *info, *author;
  void* (*create)(void*);
  void* handle;
};

// Why the plugin does not fit; empty if it does. Asks by C functions alone, which every version has.
std::string misfit(void* lmp) {
  char mpi[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int size = 0;
  MPI_Get_library_version(mpi, &size);
#ifdef OPEN_MPI
  const bool has_open_mpi = true;
#else
  const bool has_open_mpi = false;
#endif
  if (has_open_mpi != (std::string(mpi).find("Open MPI") != std::string::npos))
    return "another kind of MPI than " + std::string(mpi).substr(0, std::string(mpi).find('\n'));
  if (lammps_version(lmp) != M3C_LAMMPS_VERSION)
    return "LAMMPS " + std::to_string(M3C_LAMMPS_VERSION) + ", this is " + std::to_string(lammps_version(lmp));
  if (lammps_extract_setting(lmp, "bigint") != static_cast<int>(sizeof(LAMMPS_NS::bigint)) ||
      lammps_extract_setting(lmp, "tagint") != static_cast<int>(sizeof(LAMMPS_NS::tagint)) ||
      lammps_extract_setting(lmp, "imageint") != static_cast<int>(sizeof(LAMMPS_NS::imageint)))
    return "a LAMMPS whose integers have other sizes";
  if (m3c_version() != M3C_VERSION) return "another libm3c";
  return "";
}

void* create(void* lmp) { return new m3compress::PairM3Compress(static_cast<LAMMPS_NS::LAMMPS*>(lmp)); }

}  // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void* lmp, void* handle, void* add) {
  const std::string problem = misfit(lmp);
  if (!problem.empty()) {
    if (lammps_extract_setting(lmp, "world_rank") == 0)
      std::fprintf(stderr, "m3compress: the pair style was built for %s: `m3compress lammps build`\n",
                   problem.c_str());
    return;
  }
  Plugin plugin = {static_cast<LAMMPS_NS::LAMMPS*>(lmp)->version,
                   "pair",
                   "m3compress",
                   "pair style m3compress",
                   "the authors of m3compress",
                   create,
                   handle};
  reinterpret_cast<void (*)(Plugin*, void*)>(add)(&plugin, lmp);
}
