// Reads NAME.m3c.safetensors: eight bytes with the length of a header, the header, the numbers.
//
// The header is JSON, but it need not be parsed: safetensors writes every entry without blanks as
//
//   "NAME":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}
//
// and in the strings of the metadata quotes are escaped, so that no such text can stand there. The file
// comes from elsewhere: every number that is read is looked at.
#include "file.h"

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

namespace m3c {
namespace {
constexpr int kFormat = 2;
constexpr const char* kRewrite = "; export the model again with `m3compress export MODEL --to native`";
}  // namespace

File::File(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  data_.assign(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  uint64_t size = 0;
  if (data_.size() >= 8) std::memcpy(&size, data_.data(), 8);
  if (data_.size() < 8 || size > data_.size() - 8) throw Error("it is not a safetensors file, or it is truncated");
  header_ = data_.substr(8, size);
  data_.erase(0, 8 + size);
  if (!has("core.sizes"))
    throw Error(std::string("it holds nothing for the native core, or for an older one") + kRewrite);
}

std::size_t File::entry(const std::string& name) const { return header_.find('"' + name + "\":{\"dtype\":\""); }

std::vector<double> File::array(const std::string& name, const std::vector<int64_t>& shape) const {
  const std::size_t at = entry(name);
  if (at == std::string::npos) throw Error("the file has no tensor " + name + kRewrite);
  const char* text = header_.c_str() + at + name.size() + 13;  // behind "NAME":{"dtype":"
  const char* offsets = std::strstr(text, "data_offsets");
  const std::string type(text, std::strcspn(text, "\""));
  if (type != "F32" && type != "F64") throw Error("the tensor " + name + " holds " + type + ", expected F32 or F64");
  const int bytes = type == "F32" ? 4 : 8;
  long long n[4], begin = -1, end = -1;
  bool fits = std::sscanf(text + type.size(), "\",\"shape\":[%12lld,%12lld,%12lld,%12lld", n, n + 1, n + 2, n + 3) ==
              static_cast<int>(shape.size());
  int64_t count = 1;
  for (std::size_t k = 0; fits && k < shape.size(); ++k) {
    fits = shape[k] < 0 ? n[k] > 0 && n[k] <= 1 << 20 : n[k] == shape[k];
    count *= n[k];
  }
  if (!fits) throw Error("the tensor " + name + " has another shape than the sizes of the model need" + kRewrite);
  if (offsets != nullptr) std::sscanf(offsets, "data_offsets\":[%15lld,%15lld", &begin, &end);
  if (begin < 0 || end > static_cast<int64_t>(data_.size()) || end - begin != count * bytes)
    throw Error("the tensor " + name + " does not lie within the file: it is truncated or garbled");
  std::vector<double> values(count);
  const char* from = data_.data() + begin;
  for (double& value : values) {
    float single = 0;
    std::memcpy(bytes == 4 ? static_cast<void*>(&single) : &value, from, bytes);
    if (bytes == 4) value = single;
    if (!std::isfinite(value)) throw Error("the tensor " + name + " holds numbers that are not finite");
    from += bytes;
  }
  return values;
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
