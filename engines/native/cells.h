// Edges of a structure by cells of about one cutoff, any lattice, any periodicity, images of an atom
// itself included.
//
// Atoms are put into the order of their cells along a Z curve, in which neighbours in space are
// neighbours in memory; `order` leads back to the atoms of the caller.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "model.h"
#include "parallel.h"

namespace m3c {

// Two atoms that are closer than a limit of their elements; the worst of them by the ratio.
struct Closest {
  double ratio = INFINITY;  // of squares
  int64_t first = -1, second = -1;
  double distance = 0;
};

struct Structure {
  int64_t n_atoms = 0;
  const int32_t* species = nullptr;  // [n_atoms]
  const double* positions = nullptr;  // [n_atoms][3]
  const double* cell = nullptr;       // rows, [3][3]; not singular, also where it is not periodic
  const int* periodic = nullptr;      // [3]
  const double* limits = nullptr;     // shortest distances by elements, [n][n], or null
  int n_elements = 0;
};

template <class T>
class Cells {
 public:
  std::vector<int32_t> order, species, neighbors;  // order[place] is an atom of the caller
  std::vector<int64_t> begins;
  std::vector<T> vectors;
  Closest closest;

  void search(const Structure& structure, double cutoff, int n_threads) {
    lay_out(structure, cutoff);
    const int64_t n = structure.n_atoms;
    begins.assign(static_cast<std::size_t>(n) + 1, 0);
    auto over = [&](auto&& each) {
      in_parallel(n_threads, [&](int thread) {
        for (int64_t i = n * thread / n_threads; i < n * (thread + 1) / n_threads; ++i)
          each(i, thread);
      });
    };
    over([&](int64_t i, int) {
      int64_t count = 0;
      around(i, cutoff, [&](int64_t, const double*, double) { ++count; });
      begins[i + 1] = count;
    });
    std::partial_sum(begins.begin(), begins.end(), begins.begin());
    neighbors.resize(static_cast<std::size_t>(begins[n]));
    vectors.resize(3 * static_cast<std::size_t>(begins[n]));
    std::vector<Closest> worst(static_cast<std::size_t>(n_threads));
    over([&](int64_t i, int thread) {
      int64_t edge = begins[i];
      around(i, cutoff, [&](int64_t j, const double* vector, double squared) {
        neighbors[edge] = static_cast<int32_t>(j);
        for (int axis = 0; axis < 3; ++axis) vectors[3 * edge + axis] = static_cast<T>(vector[axis]);
        ++edge;
        judge(structure, i, j, squared, worst[thread]);
      });
    });
    closest = Closest();
    for (const Closest& one : worst)
      if (one.ratio < closest.ratio) closest = one;
  }

 private:
  static constexpr double kShortest = 1e-3;  // A; closer atoms are a mistake

  void judge(const Structure& structure, int64_t i, int64_t j, double squared, Closest& worst) {
    if (squared < kShortest * kShortest)
      throw Error("atoms " + std::to_string(order[i]) + " and " + std::to_string(order[j]) +
                  " (counting from 0) are " + std::to_string(std::sqrt(squared)) +
                  " A apart; remove duplicate atoms, or use a shorter time step");
    if (structure.limits == nullptr) return;
    const double limit = structure.limits[species[i] * structure.n_elements + species[j]];
    const double ratio = limit > 0 ? squared / (limit * limit) : INFINITY;
    if (ratio < worst.ratio) worst = {ratio, order[i], order[j], std::sqrt(squared)};
  }

  void lay_out(const Structure& structure, double cutoff) {
    const int64_t n = structure.n_atoms;
    std::copy(structure.cell, structure.cell + 9, &cell_[0][0]);
    double inverse[3][3], volume = 0;
    for (int a = 0; a < 3; ++a) {
      const double *b = cell_[(a + 1) % 3], *c = cell_[(a + 2) % 3];
      for (int k = 0; k < 3; ++k)  // b x c, which is V times a row of the inverse, transposed
        inverse[a][k] = b[(k + 1) % 3] * c[(k + 2) % 3] - b[(k + 2) % 3] * c[(k + 1) % 3];
      volume = cell_[a][0] * inverse[a][0] + cell_[a][1] * inverse[a][1] + cell_[a][2] * inverse[a][2];
    }
    if (!(std::fabs(volume) > 1e-9)) throw Error("the cell is singular");
    std::vector<double> fractions(3 * static_cast<std::size_t>(n));
    for (int a = 0; a < 3; ++a) {
      periodic_[a] = structure.periodic[a] != 0;
      double low = INFINITY, high = -INFINITY;
      for (int64_t i = 0; i < n; ++i) {
        const double* x = structure.positions + 3 * i;
        double s = (x[0] * inverse[a][0] + x[1] * inverse[a][1] + x[2] * inverse[a][2]) / volume;
        if (!std::isfinite(s)) throw Error("the position of atom " + std::to_string(i) + " is not finite");
        if (periodic_[a]) s -= std::floor(s);
        fractions[3 * i + a] = s;
        low = std::min(low, s);
        high = std::max(high, s);
      }
      const double* v = inverse[a];
      const double width = std::fabs(volume) / std::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
      low_[a] = periodic_[a] ? 0.0 : low;
      extent_[a] = periodic_[a] ? 1.0 : std::max(high - low, 1e-9 / width);
      const double length = extent_[a] * width;
      length_[a] = length;
      count_[a] = static_cast<int>(std::clamp(std::floor(length / cutoff), 1.0, kMostCells));
    }
    // Not many more cells than atoms, where these lie far apart.
    while (static_cast<double>(count_[0]) * count_[1] * count_[2] > 4.0 * n + 64) {
      int* largest = std::max_element(count_, count_ + 3);
      *largest = (*largest + 1) / 2;
    }
    for (int a = 0; a < 3; ++a) {
      const double cells = std::ceil(cutoff * count_[a] / length_[a]);
      reach_[a] = static_cast<int>(periodic_[a] ? std::min(cells, 1e4) : std::min<double>(cells, count_[a]));
    }
    sort(structure, fractions);
  }

  void sort(const Structure& structure, const std::vector<double>& fractions) {
    const std::size_t n = static_cast<std::size_t>(structure.n_atoms);
    std::vector<std::array<int, 3>> cells(n);
    std::vector<uint64_t> keys(n);
    for (std::size_t i = 0; i < n; ++i) {
      uint64_t key = 0;
      for (int a = 0; a < 3; ++a) {
        const double place = (fractions[3 * i + a] - low_[a]) / extent_[a] * count_[a];
        cells[i][a] = std::clamp(static_cast<int>(place), 0, count_[a] - 1);
        for (int bit = 0; bit < 16; ++bit)
          key |= static_cast<uint64_t>(cells[i][a] >> bit & 1) << (3 * bit + a);
      }
      keys[i] = key;
    }
    order.resize(n);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return keys[a] < keys[b]; });
    const std::size_t n_cells = static_cast<std::size_t>(count_[0]) * count_[1] * count_[2];
    first_.assign(n_cells, 0);
    end_.assign(n_cells, 0);
    species.resize(n);
    cell_of_.resize(n);
    positions_.resize(3 * n);
    for (std::size_t place = 0; place < n; ++place) {
      const std::size_t i = static_cast<std::size_t>(order[place]);
      species[place] = structure.species[i];
      cell_of_[place] = cells[i];
      for (int k = 0; k < 3; ++k)
        positions_[3 * place + k] = fractions[3 * i] * cell_[0][k] + fractions[3 * i + 1] * cell_[1][k] +
                                    fractions[3 * i + 2] * cell_[2][k];
      const std::size_t cell = index(cells[i][0], cells[i][1], cells[i][2]);
      if (end_[cell] == 0) first_[cell] = static_cast<int32_t>(place);
      end_[cell] = static_cast<int32_t>(place) + 1;
    }
  }

  std::size_t index(int x, int y, int z) const {
    return (static_cast<std::size_t>(x) * count_[1] + y) * count_[2] + z;
  }

  // found(j, vector, squared length) for every edge of the atom at place i.
  template <class Found>
  void around(int64_t i, double cutoff, const Found& found) const {
    const std::array<int, 3>& home = cell_of_[i];
    int at[3], image[3];
    auto wrap = [&](int axis, int place) {
      image[axis] = place >= 0 ? place / count_[axis] : -((count_[axis] - 1 - place) / count_[axis]);
      at[axis] = place - image[axis] * count_[axis];
      return periodic_[axis] || image[axis] == 0;
    };
    for (int x = home[0] - reach_[0]; x <= home[0] + reach_[0]; ++x) {
      if (!wrap(0, x)) continue;
      for (int y = home[1] - reach_[1]; y <= home[1] + reach_[1]; ++y) {
        if (!wrap(1, y)) continue;
        for (int z = home[2] - reach_[2]; z <= home[2] + reach_[2]; ++z) {
          if (!wrap(2, z)) continue;
          double shift[3];
          for (int k = 0; k < 3; ++k)
            shift[k] = image[0] * cell_[0][k] + image[1] * cell_[1][k] + image[2] * cell_[2][k] -
                       positions_[3 * i + k];
          const std::size_t cell = index(at[0], at[1], at[2]);
          const bool own = image[0] == 0 && image[1] == 0 && image[2] == 0;
          for (int32_t j = first_[cell]; j < end_[cell]; ++j) {
            double vector[3], squared = 0;
            for (int k = 0; k < 3; ++k) {
              vector[k] = positions_[3 * static_cast<std::size_t>(j) + k] + shift[k];
              squared += vector[k] * vector[k];
            }
            if (squared < cutoff * cutoff && !(own && j == i)) found(j, vector, squared);
          }
        }
      }
    }
  }

  static constexpr double kMostCells = 1024;
  double cell_[3][3], low_[3], extent_[3], length_[3];
  bool periodic_[3];
  int count_[3], reach_[3];
  std::vector<int32_t> first_, end_;
  std::vector<std::array<int, 3>> cell_of_;
  std::vector<double> positions_;
};

}  // namespace m3c
