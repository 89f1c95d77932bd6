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
#define M3C_VERSION 1

#define M3C_MEMORY_KEEP 0      /* edge features of every block stay in memory */
#define M3C_MEMORY_RECOMPUTE 1 /* nothing per edge but its vector and its gradient */
#define M3C_MEMORY_AUTO 2      /* keep, where the budget allows it */

typedef struct m3c_model m3c_model;

typedef struct {
  int precision;       /* bytes of a number, 4 or 8 */
  int threads;         /* at least 1 */
  int memory;          /* M3C_MEMORY_... */
  double budget;       /* bytes that a system may take, for M3C_MEMORY_AUTO */
  const char* isa;     /* "baseline", "avx2", "avx512", or null for the best that runs here */
} m3c_options;

typedef struct {
  int64_t n_owned;          /* atoms that have edges and an energy */
  int64_t n_rows;           /* and ghosts behind them */
  const int32_t* species;   /* [n_rows], position in the elements of the model */
  const int64_t* begins;    /* [n_owned + 1], edges of atom i are begins[i] ... begins[i + 1] - 1 */
  const int32_t* neighbors; /* [n_edges], rows */
  const void* vectors;      /* [n_edges][3], float or double as the precision says */
} m3c_system;

M3C_API int m3c_version(void);
M3C_API int m3c_has_threads(void);

/* Null if the file cannot be used; then `error` holds why. */
M3C_API m3c_model* m3c_open(const char* path, const m3c_options* options, char* error, size_t size);
M3C_API void m3c_close(m3c_model* model);
M3C_API const char* m3c_error(const m3c_model* model);
M3C_API const char* m3c_isa(const m3c_model* model);

M3C_API int m3c_n_elements(const m3c_model* model);
M3C_API const char* m3c_element(const m3c_model* model, int element);
M3C_API double m3c_element_energy(const m3c_model* model, int element);
M3C_API double m3c_energy_offset(const m3c_model* model);
M3C_API double m3c_cutoff(const m3c_model* model);
M3C_API int m3c_n_blocks(const m3c_model* model);
M3C_API double m3c_bytes(const m3c_model* model);
M3C_API int m3c_keeps(const m3c_model* model);

/* The whole in one call. energies [n_owned] are those of the network, without those of the elements;
 * forces [n_rows][3], where those on ghosts are for their owners; virial [9] = dE/dstrain;
 * atom_virials [n_owned][9] or null. With ghosts, all that is within n_blocks cutoffs of an owned
 * atom must be owned too, or the caller exchanges features in steps, as below. */
M3C_API int m3c_evaluate(m3c_model* model, const m3c_system* system, double* energies,
                         double* forces, double* virial, double* atom_virials);

/* A whole structure: edges are found here, and atoms are taken in an order of their own that keeps
 * neighbours together; results are in that of the caller. */
typedef struct {
  int64_t n_atoms;
  const int32_t* species;  /* [n_atoms] */
  const double* positions; /* [n_atoms][3] */
  const double* cell;      /* rows [3][3]; not singular, also along what is not periodic */
  const int* periodic;     /* [3] */
  const double* limits;    /* shortest distances by pairs of elements [n][n], 0 for any, or null */
} m3c_structure;

/* The pair that is closest by its limit; first is -1 without limits. */
typedef struct {
  int64_t first, second;
  double distance, ratio; /* in A; squared distance over squared limit */
} m3c_pair;

M3C_API int m3c_evaluate_structure(m3c_model* model, const m3c_structure* structure,
                                   double* energies, double* forces, double* virial,
                                   double* atom_virials, m3c_pair* closest);

/* The same in steps:
 *
 *   begin; forward(b) for b = 0 ... n_blocks - 2, after each of which the features of block b + 1
 *   of the ghosts are to be set to those of their owners; readout; backward(b) for b = n_blocks - 1
 *   ... 0, after each of which the adjoints of block b (> 0) of the ghosts are to be added to those
 *   of their owners; forces, of which those on ghosts are to be added to those on their owners.
 *
 * The arrays of the system stay in place until then. Rows of features and adjoints hold numbers of
 * the precision, m3c_row_width of each count. */
M3C_API int m3c_begin(m3c_model* model, const m3c_system* system);
M3C_API int m3c_forward(m3c_model* model, int block);
M3C_API int m3c_readout(m3c_model* model, double* energies);
M3C_API int m3c_backward(m3c_model* model, int block);
M3C_API int m3c_forces(m3c_model* model, double* forces, double* virial, double* atom_virials);
M3C_API void* m3c_features(m3c_model* model, int block);
M3C_API void* m3c_adjoints(m3c_model* model, int block);
M3C_API int64_t m3c_row_width(m3c_model* model);

#ifdef __cplusplus
}
#endif
#endif
