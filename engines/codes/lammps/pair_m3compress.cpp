// Copyright (c) the authors of m3compress; distributed under the GNU General Public License, version 2.
#include "pair_m3compress.h"

#include <unistd.h>

#include <cmath>
#include <cstring>

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "neighbor.h"
#include "seal.h"
#include "update.h"

namespace m3compress {

using namespace LAMMPS_NS;

namespace {

constexpr char kFile[] = "pair_m3compress.cpp";
constexpr double kShareOfMemory = 0.5;  // of the machine, for all ranks on it

bool ends_are_excluded(const double* lj, const double* coul) {
  for (int k = 1; k <= 3; ++k)
    if (lj[k] == 0.0 && coul[k] == 0.0) return true;
  return false;
}

}  // namespace

PairM3Compress::PairM3Compress(LAMMPS* lmp) : Pair(lmp) {
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  no_virial_fdotr_compute = 1;
  centroidstressflag = CENTROID_AVAIL;
  options_ = {4, 1, M3C_MEMORY_AUTO, 0.0, nullptr};
}

// One line, one exit code, on all ranks; to be called by all of them.
void PairM3Compress::refuse(const std::string& message) { error->all(kFile, __LINE__, "m3compress: " + message); }

// Does some work on all ranks; if it throws on one, all stop with the message of the first of these.
template <class Work>
void PairM3Compress::agree(const Work& work) {
  std::string message;
  try {
    work();
  } catch (const std::exception& failure) {
    message = failure.what();
  }
  int mine = message.empty() ? comm->nprocs : comm->me, first = 0;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == comm->nprocs) return;
  int size = static_cast<int>(message.size());
  MPI_Bcast(&size, 1, MPI_INT, first, world);
  message.resize(size);
  MPI_Bcast(message.data(), size, MPI_CHAR, first, world);
  refuse(message + (comm->nprocs > 1 ? " (rank " + std::to_string(first) + ")" : ""));
}

// For what can fail in the middle of an exchange, where the others do not listen: too little memory.
void PairM3Compress::step(int failed) {
  if (failed) error->one(kFile, __LINE__, std::string("m3compress: ") + m3c_error(model_.get()));
}

void PairM3Compress::require_metal() {
  if (std::strcmp(update->unit_style, "metal") != 0)
    refuse(std::string("units are ") + update->unit_style + ", expected metal");
}

// pair_style m3compress [comm|wide] [float32|float64] [auto|keep|recompute]
void PairM3Compress::settings(int n_words, char** words) {
  require_metal();
  for (int k = 0; k < n_words; ++k) {
    const std::string word = words[k];
    if (word == "comm" || word == "wide") wide_ = word == "wide";
    else if (word == "float32" || word == "float64") options_.precision = word == "float64" ? 8 : 4;
    else if (word == "auto") options_.memory = M3C_MEMORY_AUTO;
    else if (word == "keep") options_.memory = M3C_MEMORY_KEEP;
    else if (word == "recompute") options_.memory = M3C_MEMORY_RECOMPUTE;
    else refuse("pair_style knows no " + word + ", expected [comm|wide] [float32|float64] [auto|keep|recompute]");
  }
  ghostneigh = wide_;
}

// pair_coeff * * model.m3c.safetensors Si O
void PairM3Compress::coeff(int n_words, char** words) {
  const int n_types = atom->ntypes;
  if (n_words < 3 || std::strcmp(words[0], "*") != 0 || std::strcmp(words[1], "*") != 0)
    refuse("expected pair_coeff * * model.m3c.safetensors, and the element of every atom type");
  if (n_words - 3 != n_types)
    refuse("pair_coeff names " + std::to_string(n_words - 3) + " elements for " + std::to_string(n_types) +
           " atom types, expected one for every type");
  options_.budget = budget();
  agree([&] { open(words[2]); });
  agree([&] { take_elements(n_words - 3, words + 3); });
  setflag = set_.of(n_types, 1);
  cutsq = squared_.of(n_types, info_.cutoff * info_.cutoff);
  cutghost = ghost_.of(n_types, info_.cutoff);
  allocated = 1;
  if (comm->me == 0)
    utils::logmesg(lmp, "m3compress: {}: libm3c ({}), float{}, {} threads, {} blocks, cutoff {} A, {}\n", words[2],
                   info_.isa, 8 * options_.precision, options_.threads, info_.n_blocks, info_.cutoff,
                   wide_ ? "wide ghosts" : "ghosts by communication");
}

void PairM3Compress::open(const std::string& path) {
  check_seal(path);
  options_.threads = comm->nthreads;
  char message[2000];
  model_.reset(m3c_open(path.c_str(), &options_, message, sizeof message));
  if (!model_) throw std::runtime_error(path + ": " + message);
  info_ = m3c_describe(model_.get());
  row_bytes_ = info_.row_width * options_.precision;
  const int numbers = (row_bytes_ + static_cast<int>(sizeof(double)) - 1) / static_cast<int>(sizeof(double));
  comm_forward = comm_reverse = wide_ || info_.n_blocks == 1 ? 0 : numbers;
}

void PairM3Compress::take_elements(int n_words, char** words) {
  element_of_type_.assign(1, -1);
  for (int k = 0; k < n_words; ++k) {
    int found = -1;
    for (int e = 0; e < info_.n_elements; ++e)
      if (std::string(info_.symbols + 2 * e, strnlen(info_.symbols + 2 * e, 2)) == words[k]) found = e;
    if (found < 0)
      throw std::runtime_error(std::string("the model does not know ") + words[k] + ", the element of atom type " +
                               std::to_string(k + 1));
    element_of_type_.push_back(found);
  }
}

// Of the memory of this machine, what a rank may take.
double PairM3Compress::budget() {
  MPI_Comm machine;
  int n_ranks = 1;
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
  MPI_Comm_size(machine, &n_ranks);
  MPI_Comm_free(&machine);
  const double bytes = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  return kShareOfMemory * bytes / n_ranks;
}

void PairM3Compress::init_style() {
  require_metal();  // units may have come behind the pair style
  if (!force->newton_pair) refuse("newton is off for pairs, expected newton on");
  if (std::strncmp(update->integrate_style, "respa", 5) == 0) refuse("run_style respa is not supported");
  if (atom->nbonds > 0 && ends_are_excluded(force->special_lj, force->special_coul))
    refuse("bonded atoms are no neighbors; the model needs them: special_bonds lj/coul 1 1 1");
  neighbor->add_request(this, wide_ ? NeighConst::REQ_FULL | NeighConst::REQ_GHOST : NeighConst::REQ_FULL);
  // Hybrid styles have asked for these before pair_coeff told.
  force->pair->comm_forward = MAX(force->pair->comm_forward, comm_forward);
  force->pair->comm_reverse = MAX(force->pair->comm_reverse, comm_reverse);
  const double reach = info_.n_blocks * info_.cutoff + neighbor->skin;
  if (!wide_ || comm->cutghostuser >= reach) return;
  if ((comm->cutghostuser > 0.0 && comm->cutghostuser != ghosts_asked_for_) || comm->mode != Comm::SINGLE)
    refuse("comm_modify asks for ghosts within " + std::to_string(comm->cutghostuser) + " A, and wide needs " +
           std::to_string(reach) + " A: comm_modify mode single cutoff " + std::to_string(reach));
  comm->cutghostuser = ghosts_asked_for_ = reach;
}

double PairM3Compress::init_one(int, int) { return info_.cutoff; }

void PairM3Compress::compute(int eflag, int vflag) {
  ev_init(eflag, vflag);
  if (neighbor->exclude || neighbor->includegroup)
    refuse("neigh_modify exclude or include hides neighbors, which the model needs");
  m3c_model* model = model_.get();
  const int last = info_.n_blocks - 1;
  const bool has_atoms = atom->nlocal > 0;
  agree([&] {
    edges_.find(*atom, *list, info_.cutoff, info_.n_blocks, wide_, options_.precision == 8, options_.threads);
    species_.resize(edges_.n_rows());
    for (int i = 0; i < edges_.n_rows(); ++i) species_[i] = element_of_type_[atom->type[i]];
    const m3c_system system = edges_.system(species_);
    energies_.assign(system.n_owned, 0.0);
    forces_.assign(3 * system.n_rows, 0.0);
    atom_virials_.assign(vflag_atom || cvflag_atom ? 9 * system.n_owned : 0, 0.0);
    std::fill_n(virial_of_rank_, 9, 0.0);
    if (has_atoms && m3c_begin(model, &system)) throw std::runtime_error(m3c_error(model));
  });
  for (int block = 0; block < last; ++block) {
    if (has_atoms) step(m3c_forward(model, block));
    exchange(false, block + 1);
  }
  if (has_atoms) step(m3c_readout(model, energies_.data()));
  for (int block = last; block >= 0; --block) {
    if (has_atoms) step(m3c_backward(model, block));
    if (block > 0) exchange(true, block);
  }
  if (has_atoms)
    step(m3c_forces(model, forces_.data(), virial_of_rank_, atom_virials_.empty() ? nullptr : atom_virials_.data()));
  agree([&] { check_numbers(); });
  tally();
}

// Features of ghosts from their owners, or adjoints of ghosts to their owners.
void PairM3Compress::exchange(bool adjoints, int block) {
  if (wide_) return;
  const double begin = MPI_Wtime();
  if (atom->nlocal == 0) relayed_.assign(static_cast<size_t>(atom->nghost) * comm_forward, 0.0);
  rows_ = static_cast<char*>(atom->nlocal == 0 ? relayed_.data() : m3c_rows(model_.get(), adjoints, block));
  if (adjoints) comm->reverse_comm(this);
  else comm->forward_comm(this);
  exchange_seconds_ += MPI_Wtime() - begin;
}

int PairM3Compress::pack_forward_comm(int n, int* rows, double* buffer, int, int*) {
  for (int k = 0; k < n; ++k) std::memcpy(buffer + k * comm_forward, row(rows[k]), row_bytes_);
  return n * comm_forward;
}

void PairM3Compress::unpack_forward_comm(int n, int first, double* buffer) {
  for (int k = 0; k < n; ++k) std::memcpy(row(first + k), buffer + k * comm_forward, row_bytes_);
}

int PairM3Compress::pack_reverse_comm(int n, int first, double* buffer) {
  for (int k = 0; k < n; ++k) std::memcpy(buffer + k * comm_reverse, row(first + k), row_bytes_);
  return n * comm_reverse;
}

template <class T>
static void add_row(char* to, const double* from, int width) {
  for (int c = 0; c < width; ++c) reinterpret_cast<T*>(to)[c] += reinterpret_cast<const T*>(from)[c];
}

void PairM3Compress::unpack_reverse_comm(int n, int* rows, double* buffer) {
  for (int k = 0; k < n; ++k) {
    const double* from = buffer + k * comm_reverse;
    if (options_.precision == 8) add_row<double>(row(rows[k]), from, info_.row_width);
    else add_row<float>(row(rows[k]), from, info_.row_width);
  }
}

void PairM3Compress::check_numbers() const {
  double sum = 0.0;
  for (const auto* values : {&energies_, &forces_, &atom_virials_})
    for (const double value : *values) sum += std::fabs(value);
  if (!std::isfinite(sum)) throw std::runtime_error("energy or forces are not finite");
}

// Into LAMMPS's sums; its virials are those of the forces, -dE/dstrain.
void PairM3Compress::tally() {
  for (int i = 0; i < edges_.n_rows(); ++i)
    for (int a = 0; a < 3; ++a) atom->f[i][a] += forces_[3 * i + a];
  if (eflag_global && comm->me == 0) eng_vdwl += info_.energy_offset;
  for (int i = 0; i < edges_.n_owned(); ++i) {
    const double energy = energies_[i] + info_.element_energies[species_[i]];
    if (eflag_global) eng_vdwl += energy;
    if (eflag_atom) eatom[i] += energy;
  }
  const double* w = virial_of_rank_;
  const double sums[6] = {w[0], w[4], w[8], 0.5 * (w[1] + w[3]), 0.5 * (w[2] + w[6]), 0.5 * (w[5] + w[7])};
  if (vflag_global)
    for (int k = 0; k < 6; ++k) virial[k] -= sums[k];
  for (size_t i = 0; 9 * i < atom_virials_.size(); ++i) tally_virial_of(static_cast<int>(i), &atom_virials_[9 * i]);
}

void PairM3Compress::tally_virial_of(int i, const double* w) {
  static constexpr int kOrder[9] = {0, 4, 8, 1, 2, 5, 3, 6, 7};  // xx yy zz xy xz yz yx zx zy
  if (vflag_atom)
    for (int k = 0; k < 6; ++k) vatom[i][k] -= k < 3 ? w[kOrder[k]] : 0.5 * (w[kOrder[k]] + w[kOrder[k + 3]]);
  if (cvflag_atom)
    for (int k = 0; k < 9; ++k) cvatom[i][k] -= w[kOrder[k]];
}

double PairM3Compress::memory_usage() {
  return Pair::memory_usage() + (model_ ? m3c_describe(model_.get()).bytes : 0);
}

// At the end of a run.
void PairM3Compress::finish() {
  double largest = 0.0;
  MPI_Reduce(&exchange_seconds_, &largest, 1, MPI_DOUBLE, MPI_MAX, 0, world);
  if (comm->me == 0 && comm_forward > 0)
    utils::logmesg(lmp, "m3compress: {:.4g} s in exchanging features of ghosts\n", largest);
  exchange_seconds_ = 0.0;
}

}  // namespace m3compress
