// gMLP(x) = MLP_value(x) * MLP_gate(x): SiLU inside, the last gate layer a sigmoid.
//
// Both branches stand one behind the other, [value, gate][rows][width]. Of every layer the activated output y and
// the sigmoid s = sigma(x) are recorded: the slope of SiLU is s + y (1 - s), that of the gate
// y (1 - y), so that the way back needs no exponential.
#pragma once

#include "file.h"
#include "product.h"

namespace m3c::M3C_ISA {

// y = x W + b, and the transpose of W for the way back. Layers of the file can stand side by side in
// one; each is padded.
template <class T>
struct Dense {
  Matrix<T> forward, backward;  // [in][columns], [columns][in, padded]
  Buffer<T> bias;               // [columns]

  void fill(int in, const std::vector<Layer>& layers) {
    int columns = 0;
    for (const Layer& layer : layers) columns += padded(layer.out);
    std::vector<double> all(static_cast<std::size_t>(in) * columns);
    bias.zeros(columns);
    int first = 0;
    for (const Layer& layer : layers) {
      for (int o = 0; o < layer.out; ++o) {
        for (int k = 0; k < in; ++k) all[static_cast<std::size_t>(k) * columns + first + o] = layer.weight(o, k);
        if (!layer.bias.empty()) bias[first + o] = static_cast<T>(layer.bias[o]);
      }
      first += padded(layer.out);
    }
    auto weight = [&](int k, int c) { return k < in ? all[static_cast<std::size_t>(k) * columns + c] : 0.0; };
    forward.fill(in, columns, weight);
    backward.fill(columns, padded(in), [&](int c, int k) { return weight(k, c); });
  }
  int columns() const { return forward.columns; }
};

// What a pass forward leaves for the way back, for all rows of a tile.
template <class T>
struct MlpTape {
  bool records = true;          // s too; else there is no way back
  std::vector<Buffer<T>> y, s;  // per layer
  Buffer<T> adjoint[2];         // of what goes into a layer's activation
};

template <class T>
class GatedMlp {
 public:
  int out = 0;    // width of the result, padded
  int first = 0;  // width of one branch of the first layer, padded

  // Layers `prefix`.value.N and .gate.N. The first one reads `n_in` columns, of which those before
  // `from` are applied per atom by whoever calls.
  void fill(const File& file, const std::string& prefix, int n_in, int from, int n_out, bool bias,
            bool activate_last = true) {
    activate_last_ = activate_last;
    for (int l = 0, width = n_in; file.has(prefix + ".value." + std::to_string(l) + ".weight"); ++l) {
      auto& layer = layers_.emplace_back();
      const int before = l == 0 ? from : 0;
      int branch = 0;
      for (const char* name : {".value.", ".gate."}) {
        const Layer one(file, prefix + name + std::to_string(l), branch == 0 ? -1 : out, width, before, bias);
        layer[branch++].fill(width - before, {one});
        out = one.out;
      }
      width = out;
    }
    if (layers_.empty() || out != n_out) throw Error("the layers of " + prefix + " do not end in its width");
    first = layers_.front()[0].columns();
    out = layers_.back()[0].columns();
  }

  // What the first layer begins with where nobody else has a part in it.
  auto own_bias() const {
    return [this](int branch) {
      const T* bias = layers_[0][branch].bias.data();
      return [=](int, int c) M3C_ALWAYS { return load(bias + c); };
    };
  }

  // Value and gate of the last layer, [rows][out] each; their product is the result. The first layer
  // begins with `init(branch)(row, column)`.
  template <class Init>
  const T* forward(int rows, const T* x, int stride, const Init& init, MlpTape<T>& tape) const {
    const int n_layers = static_cast<int>(layers_.size());
    tape.y.resize(n_layers);
    tape.s.resize(n_layers);
    for (int l = 0; l < n_layers; ++l)
      for (int branch = 0; branch < 2; ++branch) {
        const Dense<T>& layer = layers_[l][branch];
        const int width = layer.columns(), shift = branch * rows * width;
        T *y = tape.y[l].room(rows * 2 * width) + shift, *s = tape.s[l].room(rows * 2 * width) + shift;
        const bool records = tape.records, is_last = l + 1 == n_layers, is_gate = branch == 1;
        const bool is_silu = !is_last || (!is_gate && activate_last_);
        auto activate = [=](int row, int c, Vec<T> sum) M3C_ALWAYS {
          const Vec<T> sigma = sigmoid<T>(sum);
          if (records) store<T>(s + row * width + c, sigma);
          store<T>(y + row * width + c, is_silu ? sum * sigma : is_gate ? sigma : sum);
        };
        const T* bias = layer.bias.data();
        if (l == 0) {
          product(rows, x, stride, layer.forward, init(branch), activate);
        } else {
          auto begin = [=](int, int c) M3C_ALWAYS { return load(bias + c); };
          const int before = layers_[l - 1][0].columns();
          product(rows, tape.y[l - 1].data() + branch * rows * before, before, layer.forward, begin, activate);
        }
      }
    return result(tape);
  }
  const T* result(const MlpTape<T>& tape) const { return tape.y.back().data(); }

  // From the adjoint of the result, `upstream(row, column)`, to that of the sums of the first layer,
  // [value, gate][rows][first].
  template <class Upstream>
  const T* backward(int rows, const Upstream& upstream, MlpTape<T>& tape) const {
    T* adjoint = tape.adjoint[0].room(rows * 2 * out);
    const T *last = tape.y.back().data(), *slopes = tape.s.back().data();
    for (int row = 0, at = 0; row < rows; ++row)
      for (int c = 0; c < out; c += kLanes<T>, at += kLanes<T>) {
        const Vec<T> value = load(last + at), gate = load(last + rows * out + at), up = upstream(row, c) * gate;
        store<T>(adjoint + at, activate_last_ ? up * silu_slope<T>(value, load(slopes + at)) : up);
        store<T>(adjoint + rows * out + at, up * value * (T(1) - gate));
      }
    for (int l = static_cast<int>(layers_.size()) - 1, turn = 1; l > 0; --l, turn = 1 - turn) {
      const int width = layers_[l][0].columns(), before = layers_[l - 1][0].columns();
      T* next = tape.adjoint[turn].room(rows * 2 * before);
      for (int branch = 0; branch < 2; ++branch) {
        const T *y = tape.y[l - 1].data(), *s = tape.s[l - 1].data();
        product(rows, adjoint + branch * rows * width, width, layers_[l][branch].backward, Zero<T>(),
                [=](int row, int c, Vec<T> sum) M3C_ALWAYS {
                  const int at = (branch * rows + row) * before + c;
                  store<T>(next + at, sum * silu_slope<T>(load(y + at), load(s + at)));
                });
      }
      adjoint = next;
    }
    return adjoint;
  }

  // Adds what the adjoint of the first layer makes of that of its inputs, [rows][padded inputs].
  void add_inputs(int rows, const T* adjoint, T* by_x) const {
    for (int branch = 0; branch < 2; ++branch)
      add_product(rows, adjoint + branch * rows * first, first, layers_[0][branch].backward, by_x);
  }

 private:
  bool activate_last_ = true;
  std::vector<std::array<Dense<T>, 2>> layers_;  // value, gate
};

}  // namespace m3c::M3C_ISA
