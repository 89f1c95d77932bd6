/* libm3c: energies, forces and virials of an M3GNet on the CPU; see docs/native.md.
 *
 * Lengths are in Angstrom, energies and virials in eV, forces in eV/A. An edge i->j has the vector
 * r_ij = x_j - x_i (of the image of j that is meant); every edge within the cutoff is there in both
 * directions, except those of ghosts, which have none. Functions that return int return 0, or 1 and
 * leave a message for m3c_error. One handle serves one caller at a time.
 */
#ifndef M3C_H
#define M3C_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define M3C_API __attribute__((visibility("default")))
#define M3C_VERSION 3

#define M3C_MEMORY_KEEP 0      /* edge features of every block stay in memory */
#define M3C_MEMORY_RECOMPUTE 1 /* nothing per edge but its vector and its gradient */
#define M3C_MEMORY_AUTO 2      /* keep, where the budget allows it */

typedef struct m3c_model m3c_model;

typedef struct {
  int precision;   /* bytes of a number, 4 or 8 */
  int threads;     /* at least 1 */
  int memory;      /* M3C_MEMORY_... */
  double budget;   /* bytes that a system may take, for M3C_MEMORY_AUTO */
  const char* isa; /* "baseline", "avx2", "avx512", or null for the best that runs here */
} m3c_options;

typedef struct {
  const char* isa; /* of the build that runs */
  int n_elements;
  const char* symbols;            /* [n_elements][2], the second one 0 where there is none */
  const double* element_energies; /* [n_elements], and an offset of every structure */
  double energy_offset, cutoff;
  int n_blocks;
  int row_width; /* numbers in a row of features or adjoints */
  int keeps;     /* whether the last system was evaluated in mode keep */
  double bytes;  /* that it took */
} m3c_info;

typedef struct {
  int64_t n_counted, n_owned; /* atoms whose energies count, and those that have edges */
  int64_t n_rows;             /* and ghosts behind them */
  const int32_t* species;     /* [n_rows], position in the elements of the model */
  const int64_t* begins;      /* [n_owned + 1], edges of atom i are begins[i] ... begins[i + 1] - 1 */
  const int32_t* neighbors;   /* [n_edges], rows */
  const void* vectors;        /* [n_edges][3], float or double as the precision says */
} m3c_system;

M3C_API int m3c_version(void);
/* Null if the file cannot be used; then `error` holds why. */
M3C_API m3c_model* m3c_open(const char* path, const m3c_options* options, char* error, size_t size);
M3C_API void m3c_close(m3c_model* model);
M3C_API const char* m3c_error(const m3c_model* model);
M3C_API m3c_info m3c_describe(const m3c_model* model);

/* The whole in one call. energies [n_owned] are those of the network, without those of the elements;
 * forces [n_rows][3], where those on ghosts are for their owners; virial [9] = dE/dstrain;
 * atom_virials [n_owned][9] or null. With ghosts, all that is within n_blocks cutoffs of an owned
 * atom must be owned too, or the caller exchanges features in steps, as below. */
M3C_API int m3c_evaluate(m3c_model* model, const m3c_system* system, double* energies, double* forces, double* virial,
                         double* atom_virials);

/* The same in steps:
 *
 *   begin; forward(b) for b = 0 ... n_blocks - 2, after each of which the features of block b + 1
 *   of the ghosts are to be set to those of their owners; readout; backward(b) for b = n_blocks - 1
 *   ... 0, after each of which the adjoints of block b (> 0) of the ghosts are to be added to those
 *   of their owners; forces, of which those on ghosts are to be added to those on their owners.
 *
 * The arrays of the system stay in place until then. */
M3C_API int m3c_begin(m3c_model* model, const m3c_system* system);
M3C_API int m3c_forward(m3c_model* model, int block);
M3C_API int m3c_readout(m3c_model* model, double* energies);
M3C_API int m3c_backward(m3c_model* model, int block);
M3C_API int m3c_forces(m3c_model* model, double* forces, double* virial, double* atom_virials);
/* Features (0) or adjoints (1) [n_rows][row_width] of block 1 ... n_blocks - 1; null for others. */
M3C_API void* m3c_rows(m3c_model* model, int adjoints, int block);

/* Atoms in bins, for a search of edges; engines/native/cells.py puts them there. */
typedef struct {
  int64_t n_atoms;
  const double* positions; /* [n_atoms][3], bin after bin, inside the cell where it is periodic */
  const int32_t* bins;     /* [n_atoms][3] */
  const int32_t* ranges;   /* atoms in a bin: from first to before last, [counts...][2] */
  double cell[9];          /* rows */
  int32_t counts[3];       /* bins along the axes */
  int32_t reach[3];        /* bins within the cutoff, on either side */
  int32_t periodic[3];
} m3c_bins;

/* Edges of an atom in the order of the bins. Without neighbors and vectors, begins [n_atoms + 1] is
 * filled; with them, of the precision's bytes, they are. Neighbors are places in these arrays. */
M3C_API void m3c_edges(const m3c_bins* bins, double cutoff, int threads, int precision, int64_t* begins,
                       int32_t* neighbors, void* vectors);

#ifdef __cplusplus
}
#endif
#endif
