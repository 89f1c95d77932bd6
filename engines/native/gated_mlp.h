// gMLP(x) = MLP_value(x) * MLP_gate(x): SiLU inside, the last gate layer a sigmoid.
//
// Rows hold both branches side by side, [value | gate]. Of every layer the activated output y and
// the sigmoid s = sigma(x) are recorded: the slope of SiLU is s + y (1 - s), that of the gate
// y (1 - y), so that the way back needs no exponential.
#pragma once

#include <memory>
#include <vector>

#include "model.h"
#include "product.h"

namespace m3c {
namespace M3C_ISA {

// What a pass forward leaves for the way back, for up to `reserve`d rows.
template <class T>
struct MlpTape {
  std::vector<Buffer<T>> y, s;  // per layer, [rows][2 * width]
  Buffer<T> adjoint[2];         // of what goes into a layer's activation, [rows][2 * width]
};

template <class T>
class GatedMlp {
 public:
  int out = 0;    // width of the result, padded
  int first = 0;  // width of one branch of the first layer, padded

  // Layers `prefix`.value.N and .gate.N of a model; the first one reads `n_inputs` columns of its
  // weights from `offset` on (the others are applied per atom by whoever calls).
  void fill(const Model& model, const std::string& prefix, int offset, int n_inputs, bool bias,
            bool activate_last) {
    activate_last_ = activate_last;
    int n_layers = 0;
    while (model.has(prefix + ".value." + std::to_string(n_layers) + ".weight")) ++n_layers;
    layers_ = std::vector<Layer>(static_cast<std::size_t>(n_layers));
    for (int l = 0; l < n_layers; ++l) {
      Layer& layer = layers_[l];
      const std::string end = "." + std::to_string(l);
      const Array& value = model.array(prefix + ".value" + end + ".weight");
      const Array& gate = model.array(prefix + ".gate" + end + ".weight");
      const int n_out = value.rows(), n_in = l == 0 ? n_inputs : value.columns();
      const int from = l == 0 ? offset : 0, width = padded(n_out);
      auto weight = [=](const Array& array, int k, int o) {
        return k < n_in && o < n_out ? static_cast<T>(array.at(o, from + k)) : T(0);
      };
      auto both = [&](int k, int o) {
        return o < width ? weight(value, k, o) : weight(gate, k, o - width);
      };
      layer.width = width;
      layer.bias.reserve(2 * width);
      if (bias)
        for (int o = 0; o < n_out; ++o) {
          layer.bias[o] = static_cast<T>(model.array(prefix + ".value" + end + ".bias").values[o]);
          layer.bias[width + o] =
              static_cast<T>(model.array(prefix + ".gate" + end + ".bias").values[o]);
        }
      if (l == 0) {
        layer.value.fill(n_in, 2 * width, both);
        layer.value_back.fill(2 * width, padded(n_in), [&](int o, int k) { return both(k, o); });
        continue;
      }
      layer.value.fill(padded(n_in), width, [&](int k, int o) { return weight(value, k, o); });
      layer.gate.fill(padded(n_in), width, [&](int k, int o) { return weight(gate, k, o); });
      layer.value_back.fill(width, padded(n_in), [&](int o, int k) { return weight(value, k, o); });
      layer.gate_back.fill(width, padded(n_in), [&](int o, int k) { return weight(gate, k, o); });
    }
    first = layers_.front().width;
    out = layers_.back().width;
  }

  void reserve(MlpTape<T>& tape, int rows) const {
    std::size_t widest = 0;
    tape.y.resize(layers_.size());
    tape.s.resize(layers_.size());
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      const std::size_t size = static_cast<std::size_t>(rows) * 2 * layers_[l].width;
      tape.y[l].reserve(size);
      tape.s[l].reserve(size);
      widest = size > widest ? size : widest;
    }
    for (Buffer<T>& adjoint : tape.adjoint) adjoint.reserve(widest);
  }

  FromBias<T> own_bias() const { return {layers_.front().bias.data()}; }
  const T* first_bias() const { return layers_.front().bias.data(); }

  // [value | gate] of the last layer, [rows][2 * out]; their product is the result. `init` starts
  // the first layer: its bias, and what the atoms contribute.
  template <bool Record, class Init>
  const T* forward(int rows, const T* x, int stride, const Init& init, MlpTape<T>& tape) const {
    const int n_layers = static_cast<int>(layers_.size());
    if (n_layers == 1)
      product(rows, x, stride, layers_[0].value, init, activation<Record, true>(tape, 0, 0));
    else
      product(rows, x, stride, layers_[0].value, init, activation<Record, false>(tape, 0, 0));
    for (int l = 1; l < n_layers; ++l) {
      const Layer& layer = layers_[l];
      const int before = 2 * layers_[l - 1].width;
      const T* y = tape.y[l - 1].data();
      const FromBias<T> value_bias{layer.bias.data()}, gate_bias{layer.bias.data() + layer.width};
      const T* y_gate = y + before / 2;
      if (l + 1 < n_layers) {
        product(rows, y, before, layer.value, value_bias, activation<Record, false>(tape, l, 0));
        product(rows, y_gate, before, layer.gate, gate_bias,
                activation<Record, false>(tape, l, layer.width));
      } else {
        product(rows, y, before, layer.value, value_bias, activation<Record, true>(tape, l, 0));
        product(rows, y_gate, before, layer.gate, gate_bias,
                activation<Record, true>(tape, l, layer.width));
      }
    }
    return tape.y.back().data();
  }

  // From the adjoint of the result, `upstream(row, column)`, to that of what goes into the
  // activations of the first layer, [rows][2 * first].
  template <class Upstream>
  const T* backward(int rows, const Upstream& upstream, MlpTape<T>& tape) const {
    const int last = static_cast<int>(layers_.size()) - 1;
    T* adjoint = tape.adjoint[0].data();
    for (int row = 0; row < rows; ++row) {
      const std::size_t at = static_cast<std::size_t>(row) * 2 * out;
      const T *y = tape.y[last].data() + at, *s = tape.s[last].data() + at;
      for (int c = 0; c < out; c += kLanes<T>) {
        const Vec<T> value = load(y + c), gate = load(y + out + c), up = upstream(row, c) * gate;
        store<T>(adjoint + at + c, up * silu_slope<T>(value, load(s + c)));
        store<T>(adjoint + at + out + c, up * value * (static_cast<T>(1) - gate));
      }
    }
    for (int l = last; l > 0; --l) {
      const int width = layers_[l].width, before = layers_[l - 1].width;
      T* next = tape.adjoint[(last - l + 1) % 2].data();
      const T *y = tape.y[l - 1].data(), *s = tape.s[l - 1].data();
      auto sloped = [=](int shift) {
        return [=](int row, int column, Vec<T> sum) {
          const std::size_t at = static_cast<std::size_t>(row) * 2 * before + shift + column;
          store<T>(next + at, sum * silu_slope<T>(load(y + at), load(s + at)));
        };
      };
      const FromZero<T> zero;
      product(rows, adjoint, 2 * width, layers_[l].value_back, zero, sloped(0));
      product(rows, adjoint + width, 2 * width, layers_[l].gate_back, zero, sloped(before));
      adjoint = next;
    }
    return adjoint;
  }

  // Carries the adjoint of the first layer on to its inputs.
  template <class Init, class Done>
  void to_inputs(int rows, const T* adjoint, const Init& init, const Done& done) const {
    product(rows, adjoint, 2 * first, layers_.front().value_back, init, done);
  }

 private:
  struct Layer {
    int width = 0;
    Buffer<T> bias;                // [2 * width]
    Matrix<T> value, gate;         // the first layer has both branches in `value`
    Matrix<T> value_back, gate_back;
  };

  // Activates a branch of layer l whose columns begin at `shift`, and records it.
  template <bool Record, bool Last>
  auto activation(MlpTape<T>& tape, int l, int shift) const {
    const int width = layers_[l].width;
    const bool linear = Last && !activate_last_;
    T *y = tape.y[l].data(), *s = tape.s[l].data();
    return [=](int row, int column, Vec<T> x) {
      const std::size_t at = static_cast<std::size_t>(row) * 2 * width + shift + column;
      const Vec<T> sigma = sigmoid<T>(x);
      if (Last && shift + column >= width) {
        store<T>(y + at, sigma);
      } else if (linear) {
        store<T>(y + at, x);
        if (Record) store<T>(s + at, one_from_memory<T>());  // then the slope below is one
      } else {
        store<T>(y + at, x * sigma);
        if (Record) store<T>(s + at, sigma);
      }
    };
  }

  bool activate_last_ = true;
  std::vector<Layer> layers_;
};

}  // namespace M3C_ISA
}  // namespace m3c
