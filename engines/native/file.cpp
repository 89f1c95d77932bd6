// Reads NAME.m3c.safetensors: eight bytes with the length of a header, the header, the numbers.
//
// The header is JSON, but it need not be parsed: safetensors writes every entry without blanks as
//
//   "NAME":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}
//
// and in the strings of the metadata quotes are escaped, so that no such text can stand there. The file
// comes from elsewhere: every number that is read is looked at.
#include "file.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

namespace m3c {
namespace {

constexpr int kFormat = 2;
constexpr const char* kRewrite = "; export the model again with `m3compress export MODEL --to native`";

// Numbers behind `name`, "[2,3]", from a place on; it moves behind them.
std::vector<int64_t> numbers(const std::string& header, const char* name, std::size_t& at) {
  std::vector<int64_t> found;
  if (header.compare(at, std::strlen(name), name) != 0) return found;
  const char* next = header.c_str() + at + std::strlen(name);
  while (*next >= '0' && *next <= '9' && found.size() < 8) {
    char* end = nullptr;
    found.push_back(std::min<int64_t>(std::strtoll(next, &end, 10), int64_t{1} << 40));
    next = *end == ',' ? end + 1 : end;
  }
  at = static_cast<std::size_t>(next - header.c_str());
  return found;
}

template <class Number>
std::vector<double> copy_numbers(const char* from, int64_t count, const std::string& name) {
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& value : values) {
    Number number;
    std::memcpy(&number, from, sizeof(Number));
    from += sizeof(Number);
    value = static_cast<double>(number);
    if (!std::isfinite(value)) throw Error("the tensor " + name + " holds numbers that are not finite");
  }
  return values;
}

}  // namespace

File::File(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  data_.assign(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  uint64_t size = 0;
  for (std::size_t k = 0; k < 8 && k < data_.size(); ++k)
    size |= static_cast<uint64_t>(static_cast<unsigned char>(data_[k])) << (8 * k);
  if (data_.size() < 8 || size > data_.size() - 8) throw Error("it is not a safetensors file, or it is truncated");
  header_ = data_.substr(8, size);
  data_.erase(0, 8 + size);
  if (!has("core.sizes"))
    throw Error(std::string("it holds nothing for the native core, or for an older one") + kRewrite);
}

std::size_t File::entry(const std::string& name) const { return header_.find('"' + name + "\":{\"dtype\":\""); }

std::vector<double> File::array(const std::string& name, const std::vector<int64_t>& shape) const {
  std::size_t at = entry(name);
  if (at == std::string::npos) throw Error("the file has no tensor " + name + kRewrite);
  at += name.size() + 13;  // behind "NAME":{"dtype":"
  const std::string type = header_.substr(at, header_.find('"', at) - at);
  if (type != "F32" && type != "F64")
    throw Error("the tensor " + name + " has numbers of type " + type + ", expected F32 or F64");
  at += type.size();
  const std::vector<int64_t> found = numbers(header_, "\",\"shape\":[", at);
  const std::vector<int64_t> range = numbers(header_, "],\"data_offsets\":[", at);
  bool fits = found.size() == shape.size();
  int64_t count = 1;
  for (std::size_t k = 0; fits && k < shape.size(); ++k) {
    fits = shape[k] < 0 ? found[k] > 0 && found[k] <= 1 << 20 : found[k] == shape[k];
    count *= found[k];
  }
  if (!fits) throw Error("the tensor " + name + " has another shape than the sizes of the model need" + kRewrite);
  if (range.size() != 2 || range[1] > static_cast<int64_t>(data_.size()) ||
      range[1] - range[0] != count * (type == "F32" ? 4 : 8))
    throw Error("the tensor " + name + " does not lie within the file: it is truncated or garbled");
  const char* from = data_.data() + range[0];
  return type == "F32" ? copy_numbers<float>(from, count, name) : copy_numbers<double>(from, count, name);
}

Sizes::Sizes(const File& file) {
  const std::vector<double> values = file.array("core.sizes", {14});
  std::size_t next = 0;
  auto number = [&](const char* name, double least, double most) {
    const double value = values[next++];
    if (!(value >= least && value <= most))
      throw Error(std::string("the size ") + name + " is " + std::to_string(value) + ", expected " +
                  std::to_string(least) + " to " + std::to_string(most) + kRewrite);
    return value;
  };
  auto whole = [&](const char* name, int least, int most) { return static_cast<int>(number(name, least, most)); };
  whole("format", kFormat, kFormat);
  cutoff = number("cutoff", 1e-3, 100);
  triplet_reach = number("triplet_reach", 0, cutoff);
  energy_offset = number("energy_offset", -1e12, 1e12);
  n_elements = whole("n_elements", 1, 200);
  max_n = whole("max_n", 1, 64);
  max_l = whole("max_l", 1, 16);
  n_blocks = whole("n_blocks", 1, 64);
  node_width = whole("node_width", 1, 8192);
  edge_width = whole("edge_width", 1, 8192);
  edge_basis = whole("edge_basis", 1, 1024);
  silu_on_radial = whole("silu_on_radial", 0, 1);
  gate_at_center = whole("gate_at_center", 0, 1);
  messages_to_center = whole("messages_to_center", three_body() ? 1 : 0, 1);
}

}  // namespace m3c
