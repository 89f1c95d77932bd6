// gMLP(x) = MLP_value(x) * MLP_gate(x): SiLU inside, the last gate layer a sigmoid.
//
// Both branches stand side by side, [rows][value, gate]. Slopes of activations are all that hidden layers leave for
// the way back, which needs no exponential then; the last one leaves y besides: the slope of the gate is y (1 - y).
#pragma once

#include "file.h"
#include "kernels.h"

namespace m3c::M3C_ISA {
// y = x W + b, and the transpose of W for the way back. Layers of the file can stand side by side in
// one; each is padded.
template <class T>
struct Dense {
  Matrix<T> forward, backward;  // [in][columns], [columns][in, padded]
  Buffer<T> bias;               // [columns]

  void fill(int in, const std::vector<Layer>& layers) {
    std::vector<std::pair<const Layer*, int>> rows;  // of the layers, for every column
    for (const Layer& layer : layers)
      for (int o = 0; o < padded(layer.out); ++o) rows.emplace_back(&layer, o);
    const int columns = static_cast<int>(rows.size());
    auto weight = [&](int k, int c) { return k < in ? rows[c].first->weight(rows[c].second, k) : 0.0; };
    forward.fill(in, columns, weight);
    backward.fill(columns, padded(in), [&](int c, int k) { return weight(k, c); });
    bias.zeros(columns);
    for (int c = 0; c < columns; ++c)
      if (const auto [layer, o] = rows[c]; o < layer->out) bias[c] = static_cast<T>(layer->bias[o]);
  }
  int columns() const { return forward.columns; }
  Rows<const T> start() const { return {bias.data(), 0}; }
};

// What a pass forward leaves for the way back, where adjoints of what goes into the activations take its place.
template <class T>
struct MlpTape {
  Buffer<T> last;                 // value and gate of the last layer
  std::vector<Buffer<T>> slopes;  // of every layer; of the last one, that of the value
};

// What all gated MLPs of a thread use in turn: a layer and the next one.
template <class T>
struct MlpDesk {
  bool records = true;  // slopes; else there is no way back
  Buffer<T> y[2];
};

template <class T>
class GatedMlp {
 public:
  int out = 0;    // width of the result, padded
  int first = 0;  // width of both branches of the first layer, padded

  // Layers `prefix`.value.N and .gate.N. The first one reads `n_in` columns; the caller applies those before `from`.
  void fill(const File& file, const std::string& prefix, int n_in, int from, int n_out, bool bias,
            bool activate_last = true) {
    activate_last_ = activate_last;
    for (int l = 0, width = n_in; file.has(prefix + ".value." + std::to_string(l) + ".weight"); ++l, width = out) {
      const int before = l == 0 ? from : 0;
      const Layer value(file, prefix + ".value." + std::to_string(l), -1, width, before, bias);
      const Layer gate(file, prefix + ".gate." + std::to_string(l), value.out, width, before, bias);
      auto& parts = layers_.emplace_back(l == 0 ? 1 : 2);
      parts.back().fill(width - before, {gate});
      parts.front().fill(width - before, l == 0 ? std::vector<Layer>{value, gate} : std::vector<Layer>{value});
      out = value.out;
    }
    if (layers_.empty() || out != n_out) throw Error("the layers of " + prefix + " do not end in its width");
    first = layers_[0][0].columns();
    out = padded(out);
  }

  // For what layer l gives: the last one keeps it. What else is added to the sums of the first can stand there
  // before.
  Rows<T> room(std::size_t l, int rows, MlpDesk<T>& desk, MlpTape<T>& tape) const {
    const int width = l == 0 ? first : 2 * layers_[l][0].columns();
    return {(l + 1 < layers_.size() ? desk.y[l % 2] : tape.last).room(rows * width), width};
  }
  // Value and gate of the last layer; their product is the result. `begun` if the sums of the first are.
  Rows<const T> forward(int rows, Rows<const T> x, bool begun, MlpDesk<T>& desk, MlpTape<T>& tape) const {
    const int last = static_cast<int>(layers_.size()) - 1;
    tape.slopes.resize(last + 1);
    for (int l = 0;; ++l) {
      const Rows<T> y = room(l, rows, desk, tape);
      for (int part = 0, from = 0, to = 0; part < static_cast<int>(layers_[l].size()); ++part) {
        const Dense<T>& layer = layers_[l][part];
        const Rows<const T> start = l == 0 && begun ? Rows<const T>{y.data, y.stride} : layer.start();
        product<T>(rows, {x.at(0, from), x.stride}, layer.forward, start, {y.at(0, to), y.stride});
        from += layer.backward.columns, to += layer.columns();
      }
      x = {y.data, y.stride};
      if (l == last) break;
      silu<T>(rows, y, y.stride, desk.records ? tape.slopes[l].room(rows * y.stride) : nullptr);
    }
    if (activate_last_)
      silu<T>(rows, {tape.last.data(), 2 * out}, out, desk.records ? tape.slopes[last].room(rows * out) : nullptr);
    sigmoid<T>(rows, {tape.last.data() + out, 2 * out}, out);
    return x;
  }
  Rows<const T> result(const MlpTape<T>& tape) const { return {tape.last.data(), 2 * out}; }

  // From the adjoint of the result, `upstream(row, column)`, to that of the sums of the first layer.
  template <class Upstream>
  Rows<const T> backward(int rows, const Upstream& upstream, MlpTape<T>& tape) const {
    Rows<T> adjoint{tape.last.data(), 2 * out};
    const T* slope = tape.slopes.back().data();
    for (int row = 0; row < rows; ++row)
      for (int c = 0; c < out; c += kLanes<T>) {
        T *value = adjoint.at(row, c), *gate = adjoint.at(row, out + c);
        const Vec<T> y = load(value), g = load(gate), up = upstream(row, c) * g;
        store<T>(value, activate_last_ ? up * load(slope + row * out + c) : up);
        store<T>(gate, up * y * (T(1) - g));
      }
    for (int l = static_cast<int>(layers_.size()) - 1; l > 0; --l) {
      const int width = layers_[l][0].columns(), inner = layers_[l][0].backward.columns;
      const Rows<T> next{tape.slopes[l - 1].data(), 2 * inner};
      for (int branch = 0; branch < 2; ++branch) {
        const Matrix<T>& weights = layers_[l][branch].backward;
        product<T>(rows, {adjoint.at(0, branch * width), adjoint.stride}, weights, weights.nothing(),
                   {next.at(0, branch * inner), next.stride}, true);
      }
      adjoint = next;
    }
    return {adjoint.data, adjoint.stride};
  }

  // Adds what the adjoint of the first layer makes of that of its inputs, [rows][padded inputs].
  void add_inputs(int rows, Rows<const T> adjoint, T* by_x) const {
    add_product<T>(rows, adjoint.data, layers_[0][0].backward, by_x);
  }

 private:
  bool activate_last_ = true;
  std::vector<std::vector<Dense<T>>> layers_;  // value and gate: side by side in the first, then apart
};
}  // namespace m3c::M3C_ISA
