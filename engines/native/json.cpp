#include "json.h"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "model.h"

namespace m3c {
namespace {

constexpr int kDeepest = 64;

class Parser {
 public:
  explicit Parser(const std::string& text) : at_(text.data()), end_(at_ + text.size()) {}

  Json document() {
    Json result = value(0);
    skip();
    if (at_ != end_) fail("something follows the document");
    return result;
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw Error(std::string("the description in the file is not valid JSON: ") + what);
  }
  void skip() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
  }
  char peek() {
    skip();
    if (at_ == end_) fail("it ends too early");
    return *at_;
  }
  void expect(char wanted) {
    if (peek() != wanted) fail("a character is missing");
    ++at_;
  }
  bool word(const char* name) {
    const std::size_t length = std::strlen(name);
    if (static_cast<std::size_t>(end_ - at_) < length || std::memcmp(at_, name, length) != 0)
      return false;
    at_ += length;
    return true;
  }

  Json value(int depth) {
    if (depth > kDeepest) fail("it is nested too deeply");
    Json result;
    switch (peek()) {
      case '{': members(result, depth); break;
      case '[': elements(result, depth); break;
      case '"':
        result.kind = Json::Kind::text;
        result.text = string();
        break;
      case 't':
      case 'f':
        result.kind = Json::Kind::boolean;
        result.boolean = *at_ == 't';
        if (!word(result.boolean ? "true" : "false")) fail("an unknown word");
        break;
      case 'n':
        if (!word("null")) fail("an unknown word");
        break;
      default:
        result.kind = Json::Kind::number;
        result.number = digits();
    }
    return result;
  }

  void members(Json& result, int depth) {
    result.kind = Json::Kind::object;
    ++at_;
    if (peek() == '}') {
      ++at_;
      return;
    }
    do {
      if (peek() != '"') fail("a name is missing");
      std::string name = string();
      expect(':');
      result.object[name] = value(depth + 1);
    } while (more('}'));
  }

  void elements(Json& result, int depth) {
    result.kind = Json::Kind::list;
    ++at_;
    if (peek() == ']') {
      ++at_;
      return;
    }
    do {
      result.list.push_back(value(depth + 1));
    } while (more(']'));
  }

  bool more(char closing) {
    const char next = peek();
    if (next != ',' && next != closing) fail("a comma is missing");
    ++at_;
    return next == ',';
  }

  double digits() {
    // No number that we write is longer; a copy, because the text may end without a zero.
    const std::size_t length = std::min<std::size_t>(static_cast<std::size_t>(end_ - at_), 64);
    const std::string copy(at_, length);
    char* stop = nullptr;
    const double result = std::strtod(copy.c_str(), &stop);
    if (stop == copy.c_str()) fail("an unknown character");
    at_ += stop - copy.c_str();
    return result;
  }

  std::string string() {
    std::string result;
    for (++at_; at_ != end_ && *at_ != '"'; ++at_) {
      if (*at_ != '\\') {
        result += *at_;
        continue;
      }
      if (++at_ == end_) break;
      switch (*at_) {
        case 'n': result += '\n'; break;
        case 't': result += '\t'; break;
        case 'r': result += '\r'; break;
        case 'b': result += '\b'; break;
        case 'f': result += '\f'; break;
        case 'u': code_point(result); break;
        default: result += *at_;
      }
    }
    if (at_ == end_) fail("a string has no end");
    ++at_;
    return result;
  }

  // \uXXXX as UTF-8; halves of surrogate pairs become one unknown character each.
  void code_point(std::string& result) {
    if (end_ - at_ < 5) fail("a string has no end");
    const std::string hex(at_ + 1, 4);
    const unsigned code = static_cast<unsigned>(std::strtoul(hex.c_str(), nullptr, 16));
    at_ += 4;
    if (code < 0x80) {
      result += static_cast<char>(code);
    } else if (code < 0x800) {
      result += static_cast<char>(0xC0 | (code >> 6));
      result += static_cast<char>(0x80 | (code & 0x3F));
    } else {
      result += static_cast<char>(0xE0 | (code >> 12));
      result += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
      result += static_cast<char>(0x80 | (code & 0x3F));
    }
  }

  const char* at_;
  const char* end_;
};

[[noreturn]] void refuse(const std::string& name, const char* expected) {
  throw Error("the description in the file has no sound `" + name + "`, expected " + expected);
}

}  // namespace

const Json& Json::at(const std::string& name) const {
  const auto found = object.find(name);
  if (found == object.end()) refuse(name, "it to be there");
  return found->second;
}

const std::string& Json::text_at(const std::string& name) const {
  const Json& part = at(name);
  if (part.kind != Kind::text) refuse(name, "a text");
  return part.text;
}

double Json::number_at(const std::string& name) const {
  const Json& part = at(name);
  if (part.kind != Kind::number || !std::isfinite(part.number)) refuse(name, "a finite number");
  return part.number;
}

int Json::whole_at(const std::string& name, int least, int most) const {
  const double value = number_at(name);
  if (value < least || value > most || value != std::floor(value))
    refuse(name, ("a whole number from " + std::to_string(least) + " to " + std::to_string(most)).c_str());
  return static_cast<int>(value);
}

bool Json::flag_at(const std::string& name) const {
  const Json& part = at(name);
  if (part.kind != Kind::boolean) refuse(name, "true or false");
  return part.boolean;
}

const std::vector<Json>& Json::list_at(const std::string& name) const {
  const Json& part = at(name);
  if (part.kind != Kind::list) refuse(name, "a list");
  return part.list;
}

Json parse_json(const std::string& text) { return Parser(text).document(); }

}  // namespace m3c
