// Copyright (c) the authors of m3compress; distributed under the GNU General Public License, version 2.
//
// The pair style m3compress: an exported M3GNet on any number of ranks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "edges.h"
#include "m3c.h"
#include "pair.h"

namespace m3compress {

// A square array of LAMMPS, from 1 on.
template <class T>
class Square {
 public:
  T** of(int n, T value) {
    cells_.assign((n + 1) * (n + 1), value);
    rows_.clear();
    for (int i = 0; i <= n; ++i) rows_.push_back(&cells_[i * (n + 1)]);
    return rows_.data();
  }

 private:
  std::vector<T> cells_;
  std::vector<T*> rows_;
};

class PairM3Compress : public LAMMPS_NS::Pair {
 public:
  explicit PairM3Compress(LAMMPS_NS::LAMMPS* lmp);

  void settings(int n_words, char** words) override;
  void coeff(int n_words, char** words) override;
  void init_style() override;
  double init_one(int i, int j) override;
  void compute(int eflag, int vflag) override;
  double memory_usage() override;
  void finish() override;

  int pack_forward_comm(int n, int* rows, double* buffer, int pbc_flag, int* pbc) override;
  void unpack_forward_comm(int n, int first, double* buffer) override;
  int pack_reverse_comm(int n, int first, double* buffer) override;
  void unpack_reverse_comm(int n, int* rows, double* buffer) override;

 private:
  [[noreturn]] void refuse(const std::string& message);
  template <class Work>
  void agree(const Work& work);
  void step(int failed);
  void require_metal();
  void open(const std::string& path);
  void take_elements(int n_words, char** words);
  double budget();
  void exchange(bool adjoints, int block);
  char* row(int64_t index) { return rows_ + index * row_bytes_; }
  void check_numbers() const;
  void tally();
  void tally_virial_of(int atom, const double* virial);

  struct Close {
    void operator()(m3c_model* model) const { m3c_close(model); }
  };
  std::unique_ptr<m3c_model, Close> model_;
  m3c_info info_{};
  m3c_options options_{};
  bool wide_ = false;
  double ghosts_asked_for_ = 0;       // A, in place of the user
  std::vector<int> element_of_type_;  // position in the elements of the model
  Square<int> set_;
  Square<double> squared_, ghost_;

  Edges edges_;
  std::vector<int32_t> species_;
  std::vector<double> energies_, forces_, atom_virials_;
  double virial_of_rank_[9];

  char* rows_ = nullptr;  // that are being exchanged
  int row_bytes_ = 0;
  std::vector<double> relayed_;  // rows of a rank without atoms, which passes on those of others
  double exchange_seconds_ = 0;
};

}  // namespace m3compress
