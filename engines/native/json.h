// A reader of JSON documents: enough for the header of a safetensors file and what is in it.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace m3c {

struct Json {
  enum class Kind { null, boolean, number, text, list, object };
  Kind kind = Kind::null;
  bool boolean = false;
  double number = 0;
  std::string text;
  std::vector<Json> list;
  std::map<std::string, Json> object;

  // Parts of an object; throws Error where there is none of that name and kind.
  const Json& at(const std::string& name) const;
  const std::string& text_at(const std::string& name) const;
  double number_at(const std::string& name) const;
  int whole_at(const std::string& name, int least, int most) const;
  bool flag_at(const std::string& name) const;
  const std::vector<Json>& list_at(const std::string& name) const;
};

// Throws Error for what is not one JSON document.
Json parse_json(const std::string& text);

}  // namespace m3c
