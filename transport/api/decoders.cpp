// Decoder scripts of products (group C of the API).
#include "model/base64.hpp"
#include "model/json.hpp"
#include "transport/api/fields.hpp"
#include "transport/api/product_change.hpp"
#include "transport/api/routes.hpp"
#include "transport/script.hpp"

namespace orrery::transport::api {
namespace {

namespace product = model::product;
using model::errc;
using model::failure;

const auto unknown = failure{errc::not_found, "product_unknown", "no such product"};

failure no_script(const product::state& s) {
  return {errc::not_found, "script_unknown", "product " + s.product_key + " has no script"};
}

/// A script may run for tens of milliseconds: on the query pool, and only so many may wait.
void on_pool(const exchange_ptr& e, std::function<void()> work) {
  constexpr auto most = 8;
  const auto& open = e->parts().scripts;
  if (open->fetch_add(1) >= most) {
    open->fetch_sub(1);
    return e->fail({errc::too_many_requests, "rate_limited", "too many scripts are being tried"});
  }
  e->parts().query->run([open, work = std::move(work)] {
    work();
    open->fetch_sub(1);
  });
}

model::value show(std::string_view text) {
  return model::object{{"language", "lua"}, {"script", text}};
}

void get(const exchange_ptr& e) {
  const auto p = e->product(e->param("product"));
  if (!p)
    return e->fail(unknown);
  if (!p->script)
    return e->fail(no_script(*p->state));
  e->reply(200, show(*p->script), {{"ETag", exchange::etag(p->state->revision)}});
}

void put(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  // Longer than it may be: that it is too long is for the script to say.
  auto text = f.text("script", 8 * product::max_script_bytes);
  f.word("language", {"lua"});
  if (!f.has("script"))
    f.missing("script");
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  if (!e->product(e->param("product")))
    return e->fail(unknown);
  on_pool(e, [e, text = std::move(*text)]() mutable {
    if (const auto compiled = script::compile(text); !compiled)
      return e->fail(compiled.error());
    change_product(e, product::set_script{std::move(text)}, true,
                   [e](const actors::outcome& done, const product::state& s) {
                     e->reply(200, show(*s.script), product_headers(done, s));
                   });
  });
}

void remove(const exchange_ptr& e) {
  change_product(e, product::remove_script{}, true,
                 [e](const actors::outcome& done, const product::state& s) {
                   e->reply_empty(204, product_headers(done, s));
                 });
}

// ---- a try

std::optional<std::string> from_hex(std::string_view text) {
  const auto digit = [](char c) {
    const auto lower = static_cast<char>(c | 0x20);
    return c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  };
  if (text.size() % 2 != 0)
    return std::nullopt;
  auto out = std::string{};
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const auto high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0)
      return std::nullopt;
    out.push_back(static_cast<char>(high << 4 | low));
  }
  return out;
}

std::string to_hex(std::string_view bytes) {
  constexpr auto digits = std::string_view{"0123456789abcdef"};
  auto out = std::string{};
  for (const char c : bytes) {
    out.push_back(digits[static_cast<unsigned char>(c) >> 4]);
    out.push_back(digits[static_cast<unsigned char>(c) & 15]);
  }
  return out;
}

/// What a script is tried with: bytes or JSON.
struct sample {
  std::optional<std::string> bytes, json;
};

sample read_sample(fields& f) {
  constexpr std::size_t most = 512 * 1024;
  auto out = sample{};
  auto given = 0;
  if (const auto hex = f.text("hex", 2 * most)) {
    ++given;
    out.bytes = from_hex(*hex);
    if (!out.bytes)
      f.note("hex", "type_mismatch", "expected hexadecimal digits, two for each byte");
  }
  if (const auto base64 = f.text("base64", 2 * most)) {
    ++given;
    out.bytes = model::from_base64(*base64);
    if (!out.bytes)
      f.note("base64", "type_mismatch", "expected base64 with padding");
  }
  if (auto json = f.object("json")) {
    ++given;
    out.json = model::to_json(std::move(*json));
  }
  if (given != 1 && f.problems.empty())
    f.note("", given == 0 ? "required_missing" : "not_allowed",
           "expected one of hex, base64 and json");
  return out;
}

model::value show(const failure& why, const script_report& report) {
  auto error = model::object{{"code", why.reason}, {"detail", why.detail}};
  if (report.line)
    error.emplace_back("line", *report.line);
  return error;
}

model::value run(std::string_view text, const sample& with) {
  auto report = script_report{};
  auto out = model::object{};
  const auto fail = [&](const failure& why) {
    out = {{"ok", false}, {"error", show(why, report)}};
  };
  const auto compiled = script::compile(text, {}, &report);
  if (!compiled) {
    fail(compiled.error());
  } else if (with.bytes) {
    const auto json = raw_to_json(*compiled, *with.bytes, &report);
    if (json)
      out = {{"ok", true}, {"json", *model::parse_json(*json)}};  // it is JSON: raw_to_json looked
    else
      fail(json.error());
  } else {
    const auto raw = json_to_raw(*compiled, *with.json, &report);
    if (raw)
      out = {{"ok", true}, {"hex", to_hex(*raw)}, {"base64", model::to_base64(*raw)}};
    else
      fail(raw.error());
  }
  out.emplace_back("instructions", static_cast<std::int64_t>(report.instructions));
  out.emplace_back("memoryBytes", static_cast<std::int64_t>(report.memory_bytes));
  return out;
}

void test(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto f = fields{*body};
  const auto given = f.text("script", 8 * product::max_script_bytes);
  auto with = read_sample(f);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  const auto p = e->product(e->param("product"));
  if (!p)
    return e->fail(unknown);
  if (!given && !p->script)
    return e->fail(no_script(*p->state));
  on_pool(e, [e, text = given ? std::make_shared<const std::string>(*given) : p->script,
              with = std::move(with)] { e->reply(200, run(*text, with)); });
}

}  // namespace

std::vector<route> decoder_routes() {
  return {
      {"GET", "~/products/{product}/decoder", "product:read", get, "getDecoder",
       "The script between the bytes of a product's devices and JSON", "", "Decoder", 200, ""},
      {"PUT", "~/products/{product}/decoder", "product:write", put, "setDecoder",
       "Give a product of raw data its script", "NewDecoder", "Decoder", 200, ""},
      {"DELETE", "~/products/{product}/decoder", "product:write", remove, "deleteDecoder",
       "Take away the script of a product", "", "", 204, ""},
      {"POST", "~/products/{product}/decoder:test", "product:write", test, "testDecoder",
       "Run a script, the product's or a given one, on bytes or JSON", "DecoderTest",
       "DecoderResult", 200, ""},
  };
}

}  // namespace orrery::transport::api
