// Reads NAME.m3c.safetensors: eight bytes with the length of a JSON header, the header, the numbers.
//
// The file comes from elsewhere: every size is compared with what the configuration needs and every
// number is looked at, so that nothing behind this can go wrong because of it.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

#include "json.h"
#include "model.h"

namespace m3c {
namespace {

constexpr int kSchema = 1;
constexpr int kWidest = 8192;
constexpr const char* kRewrite = "; export the model again with `m3compress export MODEL --to native`";

struct Closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Closer>;

std::string read_whole(const std::string& path) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (!file) throw Error(path + " cannot be opened");
  std::string content;
  std::vector<char> piece(1 << 16);
  for (std::size_t n; (n = std::fread(piece.data(), 1, piece.size(), file.get())) > 0;)
    content.append(piece.data(), n);
  if (std::ferror(file.get())) throw Error(path + " cannot be read");
  return content;
}

uint64_t little_endian(const std::string& bytes) {
  uint64_t value = 0;
  for (int k = 7; k >= 0; --k) value = value << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(k)]);
  return value;
}

template <class Number>
void copy_numbers(const char* from, std::vector<double>& to) {
  for (std::size_t k = 0; k < to.size(); ++k) {
    Number value;
    std::memcpy(&value, from + k * sizeof(Number), sizeof(Number));
    to[k] = static_cast<double>(value);
  }
}

Array read_array(const std::string& name, const Json& entry, const char* data, std::size_t size) {
  const std::string& type = entry.text_at("dtype");
  if (type != "F32" && type != "F64")
    throw Error("the tensor " + name + " has numbers of type " + type + ", expected F32 or F64");
  const std::size_t width = type == "F32" ? 4 : 8;
  Array array;
  double count = 1;
  for (const Json& length : entry.list_at("shape")) {
    if (length.kind != Json::Kind::number || !(length.number >= 0 && length.number <= 1e9))
      throw Error("the tensor " + name + " has no sound shape");
    array.shape.push_back(static_cast<int64_t>(length.number));
    count *= length.number;
  }
  const std::vector<Json>& offsets = entry.list_at("data_offsets");
  if (offsets.size() != 2 || !(offsets[0].number >= 0 && offsets[0].number <= offsets[1].number) ||
      !(offsets[1].number <= static_cast<double>(size)) ||
      offsets[1].number - offsets[0].number != count * static_cast<double>(width))
    throw Error("the tensor " + name + " does not lie within the file: it is truncated or garbled");
  array.values.resize(static_cast<std::size_t>(count));
  const char* from = data + static_cast<std::size_t>(offsets[0].number);
  if (width == 4) copy_numbers<float>(from, array.values);
  else copy_numbers<double>(from, array.values);
  for (const double value : array.values)
    if (!std::isfinite(value)) throw Error("the tensor " + name + " holds numbers that are not finite");
  return array;
}

std::vector<int> widths_at(const Json& config, const std::string& name) {
  std::vector<int> widths;
  for (const Json& width : config.list_at(name)) {
    if (width.kind != Json::Kind::number || !(width.number >= 1 && width.number <= kWidest) ||
        width.number != std::floor(width.number))
      throw Error("`" + name + "` holds a width that is none, expected 1 to " + std::to_string(kWidest));
    widths.push_back(static_cast<int>(width.number));
  }
  if (widths.size() > 32) throw Error("`" + name + "` names more than 32 layers");
  return widths;
}

const std::string& one_of(const Json& config, const std::string& name,
                          const std::vector<std::string>& known) {
  const std::string& word = config.text_at(name);
  for (const std::string& one : known)
    if (word == one) return word;
  throw Error("`" + name + "` is \"" + word + "\", which is unknown");
}

void read_configuration(const Json& document, Model& model) {
  if (document.whole_at("schema_version", 0, 1 << 20) != kSchema)
    throw Error("the file has another schema version than " + std::to_string(kSchema) + kRewrite);
  const Json& config = document.at("config");
  for (const Json& symbol : config.list_at("elements")) model.elements.push_back(symbol.text);
  if (model.elements.empty() || model.elements.size() > 200) throw Error("the file names no elements");
  model.cutoff = config.number_at("cutoff");
  model.three_body_cutoff = config.number_at("three_body_cutoff");
  if (!(model.cutoff > 0 && model.cutoff < 100 && model.three_body_cutoff > 0 &&
        model.three_body_cutoff <= 100))
    throw Error("a cutoff is not between 0 and 100 A");
  model.max_n = config.whole_at("max_n", 1, 64);
  model.max_l = config.whole_at("max_l", 1, 16);
  model.n_blocks = config.whole_at("n_blocks", 1, 64);
  model.node_width = config.whole_at("node_width", 1, kWidest);
  model.edge_width = config.whole_at("edge_width", 1, kWidest);
  model.hidden = widths_at(config, "hidden");
  model.readout_hidden = widths_at(config, "readout_hidden");
  model.smooth_edges = one_of(config, "edge_basis", {"smooth", "bessel"}) == "smooth";
  model.edge_bias = config.flag_at("edge_bias");
  model.silu_on_radial = one_of(config, "message_activation", {"silu", "identity"}) == "silu";
  const Json& convention = config.at("convention");
  model.messages_to_center = one_of(convention, "messages_to", {"center", "neighbor"}) == "center";
  model.gate_at_center = one_of(convention, "gate_atom", {"center", "neighbor"}) == "center";
  model.energy_offset = document.number_at("energy_offset");
  const std::string& form = document.at("form").text_at("name");
  if (form != "factorized" && form != "removed")
    throw Error("the three-body block of the file is in the form \"" + form +
                "\", expected factorized or removed" + kRewrite);
  model.three_body = form == "factorized";
  if (model.three_body && (!model.messages_to_center ||
                           convention.text_at("triplet_index") != "parent"))
    throw Error("triplets of this convention are misrouted and cannot be factorised");
}

// Compares the shape of every tensor with what the configuration needs.
class Checker {
 public:
  explicit Checker(const Model& model) : model_(model) {}

  void all() const {
    const int v = model_.node_width, e = model_.edge_width, h = model_.edge_basis();
    const int n_elements = static_cast<int>(model_.elements.size());
    matrix("network.embedding.weight", n_elements, v);
    matrix("network.edge_embedding.weight", e, h);
    if (model_.edge_bias) vector("network.edge_embedding.bias", e);
    vector("network.scales", n_elements);
    vector("element_energies", n_elements);
    for (int b = 0; b < model_.n_blocks; ++b) {
      const std::string prefix = "network.blocks." + std::to_string(b);
      mlp(prefix + ".edge_update", 2 * v + e, model_.hidden, e, true);
      mlp(prefix + ".node_update", 2 * v + e, model_.hidden, v, true);
      matrix(prefix + ".edge_weight.weight", e, h);
      matrix(prefix + ".node_weight.weight", v, h);
      if (!model_.three_body) continue;
      matrix(prefix + ".three_body.atom_gate.weight", model_.triplet_basis(), v);
      vector(prefix + ".three_body.atom_gate.bias", model_.triplet_basis());
      mlp(prefix + ".three_body.update", model_.triplet_basis(), {}, e, false);
    }
    mlp("network.readout", v, model_.readout_hidden, 1, true);
    table("tables.edges", h, model_.cutoff);
    if (model_.three_body) table("tables.triplets", model_.triplet_basis() + 1, model_.triplet_reach());
  }

 private:
  void shape(const std::string& name, const std::vector<int64_t>& expected) const {
    if (model_.array(name).shape != expected)
      throw Error("the tensor " + name + " has another shape than the configuration needs");
  }
  void matrix(const std::string& name, int rows, int columns) const { shape(name, {rows, columns}); }
  void vector(const std::string& name, int length) const { shape(name, {length}); }
  void mlp(const std::string& prefix, int in, const std::vector<int>& hidden, int out, bool bias) const {
    std::vector<int> widths = {in};
    widths.insert(widths.end(), hidden.begin(), hidden.end());
    widths.push_back(out);
    for (const char* branch : {".value.", ".gate."}) {
      for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
        const std::string layer = prefix + branch + std::to_string(l);
        matrix(layer + ".weight", widths[l + 1], widths[l]);
        if (bias) vector(layer + ".bias", widths[l + 1]);
      }
      if (model_.has(prefix + branch + std::to_string(widths.size() - 1) + ".weight"))
        throw Error("the network " + prefix + " has more layers than the configuration says");
    }
  }
  // Tables say where they end: a row of points more, [n_points + 1][3][columns], would be simpler to
  // forget than the one number beside them.
  void table(const std::string& name, int columns, double reach) const {
    const Array& array = model_.array(name);
    if (array.shape.size() != 3 || array.shape[0] < 2 || array.shape[0] > 65537 ||
        array.shape[1] != 3 || array.shape[2] != columns)
      throw Error("the table " + name + " has another shape than the configuration needs" + kRewrite);
    const Array& end = model_.array(name + ".reach");
    if (end.values.size() != 1 || std::fabs(end.values[0] - reach) > 1e-9 * reach)
      throw Error("the table " + name + " does not end at the cutoff of the model" + kRewrite);
  }

  const Model& model_;
};

}  // namespace

Model read_model(const std::string& path) {
  const std::string content = read_whole(path);
  if (content.size() < 8 || little_endian(content) > content.size() - 8)
    throw Error(path + " is not a safetensors file, or it is truncated");
  const std::size_t header_size = static_cast<std::size_t>(little_endian(content));
  const Json header = parse_json(content.substr(8, header_size));
  const char* data = content.data() + 8 + header_size;
  const std::size_t data_size = content.size() - 8 - header_size;
  const auto metadata = header.object.find("__metadata__");
  if (metadata == header.object.end() || metadata->second.object.count("m3compress") == 0)
    throw Error(path + " was not written by m3compress");
  Model model;
  read_configuration(parse_json(metadata->second.text_at("m3compress")), model);
  for (const auto& [name, entry] : header.object)
    if (name != "__metadata__") model.arrays[name] = read_array(name, entry, data, data_size);
  if (!model.has("tables.edges"))
    throw Error(path + " is a model without tables, which the native core cannot run" + kRewrite);
  Checker(model).all();
  model.element_energies = model.array("element_energies").values;
  return model;
}

}  // namespace m3c
