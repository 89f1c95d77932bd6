// Edges of a structure whose atoms lie in bins of about one cutoff, images of an atom itself included.
#include "m3c.h"
#include "threads.h"

namespace m3c {
namespace {
// found(j, vector) for every edge of an atom.
template <class Found>
void around(const m3c_bins& in, double cutoff, int64_t i, const Found& found) {
  const int64_t steps[3] = {2 * in.reach[0] + 1, 2 * in.reach[1] + 1, 2 * in.reach[2] + 1};
  for (int64_t s = 0; s < steps[0] * steps[1] * steps[2]; ++s) {
    const int64_t step[3] = {s / steps[2] / steps[1], s / steps[2] % steps[1], s % steps[2]};
    int64_t bin = 0;
    double shift[3];  // from the atom to the origin of the image of the cell
    for (int k = 0; k < 3; ++k) shift[k] = -in.positions[3 * i + k];
    bool exists = true, home = true;
    for (int axis = 0; axis < 3; ++axis) {
      const int64_t count = in.counts[axis], place = in.bins[3 * i + axis] + step[axis] - in.reach[axis];
      const int64_t image = place >= 0 ? place / count : -((count - 1 - place) / count);
      bin = bin * count + place - image * count;
      for (int k = 0; k < 3; ++k) shift[k] += static_cast<double>(image) * in.cell[3 * axis + k];
      home = home && image == 0;
      exists = exists && (image == 0 || in.periodic[axis] != 0);
    }
    for (int64_t j = in.ranges[2 * bin]; exists && j < in.ranges[2 * bin + 1]; ++j) {
      const double* x = in.positions + 3 * j;
      const double vector[3] = {x[0] + shift[0], x[1] + shift[1], x[2] + shift[2]};
      const double squared = vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2];
      if (squared < cutoff * cutoff && !(home && j == i)) found(j, vector);
    }
  }
}
}  // namespace
}  // namespace m3c

extern "C" void m3c_edges(const m3c_bins* bins, double cutoff, int threads, int precision, int64_t* begins,
                          int32_t* neighbors, void* vectors) {
  const int64_t n = bins->n_atoms;
  m3c::M3C_ISA::in_parallel(threads, [&](int thread) {
    for (int64_t i = n * thread / threads; i < n * (thread + 1) / threads; ++i) {
      int64_t edge = neighbors == nullptr ? 0 : begins[i];
      m3c::around(*bins, cutoff, i, [&](int64_t j, const double* vector) {
        if (neighbors != nullptr) neighbors[edge] = static_cast<int32_t>(j);
        for (int k = 0; k < 3 && neighbors != nullptr; ++k)
          if (precision == 4) static_cast<float*>(vectors)[3 * edge + k] = static_cast<float>(vector[k]);
          else static_cast<double*>(vectors)[3 * edge + k] = vector[k];
        ++edge;
      });
      if (neighbors == nullptr) begins[i + 1] = edge;
    }
  });
  for (int64_t i = 0; neighbors == nullptr && i < n; ++i) begins[i + 1] += begins[i];
}
