// Products (group C of the API).
#include <algorithm>

#include "transport/api/fields.hpp"
#include "transport/api/people.hpp"
#include "transport/api/product_change.hpp"
#include "transport/api/product_parts.hpp"
#include "transport/api/routes.hpp"
#include "transport/api/topic_rules.hpp"

namespace orrery::transport::api {
namespace {

namespace filter = model::filter;
namespace product = model::product;
using model::errc;
using model::failure;

const auto unknown = failure{errc::not_found, "product_unknown", "no such product"};

// Words of the enumerations, in their order.
const std::vector<std::string_view> node_types{"device", "gateway"};
const std::vector<std::string_view> access_modes{"direct", "viaGateway", "both"};
const std::vector<std::string_view> formats{"json", "raw"};
const std::vector<std::string_view> auths{"secret", "certificate", "both"};
const std::vector<std::string_view> modes{"strict", "lenient", "mark", "off"};
const std::vector<std::string_view> methods{"sha256", "sha1", "md5"};

template <class E>
std::optional<E> read(fields& f, std::string_view name,
                      const std::vector<std::string_view>& words) {
  const auto w = f.word(name, words);
  if (!w)
    return std::nullopt;
  return static_cast<E>(std::find(words.begin(), words.end(), *w) - words.begin());
}

template <class E>
std::string_view word(E e, const std::vector<std::string_view>& words) {
  return words[static_cast<std::size_t>(e)];
}

std::vector<std::string> words_of(const std::vector<std::string_view>& all) {
  return {all.begin(), all.end()};
}

std::optional<std::uint8_t> read_methods(fields& f) {
  const auto all = f.texts("signMethods", 3);
  if (!all)
    return std::nullopt;
  auto bits = std::uint8_t{0};
  for (const auto& m : *all)
    if (const auto found = std::find(methods.begin(), methods.end(), m); found != methods.end())
      bits = static_cast<std::uint8_t>(bits | 1u << (found - methods.begin()));
    else
      f.note("signMethods", "not_allowed", "expected sha256, sha1 or md5");
  return bits;
}

/// "latest" or a number.
std::optional<std::uint64_t> read_revision(fields& f) {
  const auto* v = f.any("modelRevision");
  if (!v)
    return std::nullopt;
  if (v->is_string() && v->as_string() == "latest")
    return 0;
  if (v->is_int() && v->as_int() > 0)
    return static_cast<std::uint64_t>(v->as_int());
  f.note("modelRevision", "type_mismatch",
         "expected \"latest\" or the number of a published revision");
  return std::nullopt;
}

}  // namespace

model::value show_product(const exchange& e, const product::state& s) {
  auto signs = model::array{};
  for (std::size_t i = 0; i < methods.size(); ++i)
    if ((s.sign_methods >> i & 1) != 0)
      signs.emplace_back(methods[i]);
  auto tags = model::object{};
  for (const auto& [k, v] : s.tags)
    tags.emplace_back(k, v);
  return model::object{
      {"productKey", s.product_key},
      {"name", s.name},
      {"description", s.description},
      {"modelId", s.model},
      {"modelRevision", s.pinned_revision == 0
                            ? model::value{"latest"}
                            : model::value{static_cast<std::int64_t>(s.pinned_revision)}},
      {"nodeType", word(s.node, node_types)},
      {"access", word(s.access, access_modes)},
      {"dataFormat", word(s.format, formats)},
      {"auth", word(s.auth, auths)},
      {"dynamicActivation", s.dynamic_activation},
      {"signMethods", std::move(signs)},
      {"validation", s.mode ? model::value{word(*s.mode, modes)} : model::value{}},
      {"tags", std::move(tags)},
      {"hasDecoder", !s.script->empty()},
      {"topics", show_topic_rules(*s.topics)},
      {"createdAt", e.show(s.created_at)},
      {"updatedAt", e.show(s.updated_at)}};
}

namespace {

std::shared_ptr<const product::state> state_in(const actors::outcome& done) {
  return std::get<product::product_snapshot>(std::get<product::reply>(done.answer)).what;
}

const auto fields_of_products = filter::schema{
    {{.name = "productKey", .sortable = true},
     {.name = "name", .sortable = true},
     {.name = "description"},
     {.name = "modelId", .sortable = true},
     {.name = "nodeType", .type = filter::field_type::word, .words = words_of(node_types)},
     {.name = "access", .type = filter::field_type::word, .words = words_of(access_modes)},
     {.name = "dataFormat", .type = filter::field_type::word, .words = words_of(formats)},
     {.name = "auth", .type = filter::field_type::word, .words = words_of(auths)},
     {.name = "dynamicActivation", .type = filter::field_type::truth},
     {.name = "signMethods", .type = filter::field_type::texts},
     {.name = "tags.*"},
     {.name = "hasDecoder", .type = filter::field_type::truth},
     {.name = "createdAt", .type = filter::field_type::time, .sortable = true},
     {.name = "updatedAt", .type = filter::field_type::time, .sortable = true}}};

using product_ptr = std::shared_ptr<const actors::catalogue_product>;

std::vector<product_ptr> products_seen_of(const exchange& e) {
  auto all = std::vector<product_ptr>{};
  const auto known = e.parts().known->current();
  for (const auto& [key, p] : known->products)
    if (e.sees(*p->state))
      all.push_back(p);
  return all;
}

list_row row_of(const exchange& e, const product_ptr& p) {
  return {p->state->product_key, [&e, p] { return show_product(e, *p->state); }};
}

void list(const exchange_ptr& e) {
  const auto model_id = e->query("modelId");
  auto all = std::vector<list_row>{};
  for (const auto& p : products_seen_of(*e))
    if (model_id.empty() || p->state->model == model_id)
      all.push_back(row_of(*e, p));
  reply_list(e, fields_of_products, std::move(all));
}

/// The same, with the question in the body.
void search(const exchange_ptr& e) {
  if (auto ok = e->read_question({"modelId"}); !ok)
    return e->fail(ok.error());
  list(e);
}

/// Another product of the organisation has that name: people tell products by it.
bool name_taken(const exchange& e, const std::string& name, const std::string& product_key) {
  const auto known = e.parts().known->current();
  return std::any_of(known->products.begin(), known->products.end(), [&](const auto& entry) {
    const auto& s = *entry.second->state;
    return s.organisation == e.who.organisation && s.name == name && s.product_key != product_key;
  });
}
failure name_exists(const std::string& name) {
  return {errc::already_exists, "name_exists", "another product has the name " + name};
}

void create(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto c = read_new_product(*e, *body);
  if (!c)
    return e->fail(c.error());
  if (auto ok = check_catalogue_quota(*e, "products"); !ok)
    return e->fail(ok.error());
  const auto secret = model::random_text(32);
  c->secret = e->parts().keys->seal(secret, product::secret_owner(c->product_key));
  const auto id = actors::catalogue_id(model::entity_kind::product, c->product_key);
  e->ask(id, product::command{std::move(*c), e->who.actor, {}},
         [e, secret](const actors::outcome& done) {
           const auto s = state_in(done);
           auto shown = show_product(*e, *s).as_object();
           shown.emplace_back("productSecret", secret);
           e->reply(201, std::move(shown), product_headers(done, *s));
         });
}

void get(const exchange_ptr& e) {
  const auto p = e->product(e->param("product"));
  if (!p)
    return e->fail(unknown);
  e->reply(200, show_product(*e, *p->state), {{"ETag", exchange::etag(p->state->revision)}});
}

void update(const exchange_ptr& e) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  auto u = read_product_change(*e, e->param("product"), *body);
  if (!u)
    return e->fail(u.error());
  change_product(e, std::move(*u), true, [e](const auto& done, const auto& s) {
    e->reply(200, show_product(*e, s), product_headers(done, s));
  });
}

void remove(const exchange_ptr& e) {
  change_product(e, product::remove_product{}, true, [e](const actors::outcome& done, const auto&) {
    e->reply_empty(204, exchange::revision_headers(done));
  });
}

void reset_secret(const exchange_ptr& e) {
  const auto secret = model::random_text(32);
  change_product(e,
                 product::reset_product_secret{
                     e->parts().keys->seal(secret, product::secret_owner(e->param("product")))},
                 false, [e, secret](const auto& done, const auto& s) {
                   e->reply(200,
                            model::object{{"productKey", s.product_key}, {"productSecret", secret}},
                            product_headers(done, s));
                 });
}

void get_tags(const exchange_ptr& e) {
  const auto p = e->product(e->param("product"));
  if (!p)
    return e->fail(unknown);
  e->reply(200, *show_product(*e, *p->state).find("tags"),
           {{"ETag", exchange::etag(p->state->revision)}});
}

void write_tags(const exchange_ptr& e, bool replace) {
  const auto body = e->body();
  if (!body)
    return e->fail(body.error());
  const auto wrapped = model::value{model::object{{"tags", *body}}};
  auto f = fields{wrapped};
  auto u = product::update_product{};
  u.tags = f.text_map("tags", !replace);
  if (auto ok = f.finish(); !ok)
    return e->fail(ok.error());
  // With If-Match: * somebody may add a tag meanwhile, which stays.
  if (const auto p = e->product(e->param("product")); p && replace)
    for (const auto& [key, text] : p->state->tags)
      u.tags.emplace(key, std::nullopt);
  change_product(e, std::move(u), true, [e](const auto& done, const auto& s) {
    e->reply(200, *show_product(*e, s).find("tags"), product_headers(done, s));
  });
}
void put_tags(const exchange_ptr& e) {
  write_tags(e, true);
}
void patch_tags(const exchange_ptr& e) {
  write_tags(e, false);
}

void delete_tag(const exchange_ptr& e) {
  auto u = product::update_product{};
  u.tags.emplace(e->param("key"), std::nullopt);
  change_product(e, std::move(u), true, [e](const actors::outcome& done, const auto& s) {
    e->reply_empty(204, product_headers(done, s));
  });
}

}  // namespace

model::result<product::create_product> read_new_product(const exchange& e,
                                                        const model::value& from) {
  auto f = fields{from};
  auto c = product::create_product{};
  // A chosen key is ours: migrations and tests bring theirs along.
  c.product_key = f.text("productKey", 20).value_or(model::random_text(8));
  c.organisation = e.who.organisation;
  c.name = f.text("name", 256).value_or("");
  c.description = f.text("description", 2000).value_or("");
  c.model = f.text("modelId", 129).value_or("");  // "Pump", or "acme/Pump"
  c.pinned_revision = read_revision(f).value_or(0);
  c.node = read<product::node_type>(f, "nodeType", node_types).value_or(c.node);
  c.access = read<product::access_mode>(f, "access", access_modes).value_or(c.access);
  c.format = read<product::data_format>(f, "dataFormat", formats).value_or(c.format);
  c.auth = read<product::authentication>(f, "auth", auths).value_or(c.auth);
  c.dynamic_activation = f.truth("dynamicActivation").value_or(false);
  c.sign_methods = read_methods(f).value_or(1);
  c.mode = read<model::validation>(f, "validation", modes);
  for (auto& [k, v] : f.text_map("tags", false))
    c.tags[k] = *v;
  c.topics = read_topic_rules(f, "topics").value_or(c.topics);
  if (c.name.empty())
    f.missing("name");
  if (c.model.empty())
    f.missing("modelId");
  if (auto ok = f.finish(); !ok)
    return ok.error();
  const auto known = e.parts().known->current();
  const auto blueprint = known->visible_blueprint(c.organisation, c.model);
  if (!blueprint)
    return failure{errc::not_found, "model_unknown", "no model " + c.model};
  if (blueprint->state->deprecated)
    return failure{errc::conflict, "model_deprecated",
                   "the model " + c.model + " is deprecated: no new product is made on it"};
  if (c.pinned_revision != 0 && !blueprint->compiled.contains(c.pinned_revision))
    return failure{errc::not_found, "revision_unknown",
                   "model " + c.model + " has no revision " + std::to_string(c.pinned_revision)};
  if (name_taken(e, c.name, c.product_key))
    return name_exists(c.name);
  return c;
}

model::result<product::update_product> read_product_change(const exchange& e,
                                                           const std::string& product_key,
                                                           const model::value& from) {
  auto f = fields{from};
  auto u = product::update_product{};
  u.name = f.text("name", 256);
  u.description = f.text("description", 2000);
  u.pinned_revision = read_revision(f);
  u.access = read<product::access_mode>(f, "access", access_modes);
  u.auth = read<product::authentication>(f, "auth", auths);
  u.dynamic_activation = f.truth("dynamicActivation");
  u.sign_methods = read_methods(f);
  if (const auto* v = f.any("validation")) {
    if (v->is_null())
      u.mode = std::optional<model::validation>{};
    else if (const auto m = read<model::validation>(f, "validation", modes))
      u.mode = std::optional{*m};
  }
  u.tags = f.text_map("tags", true);
  u.topics = read_topic_rules(f, "topics");
  if (auto ok = f.finish(); !ok)
    return ok.error();
  if (u.name && name_taken(e, *u.name, product_key))
    return name_exists(*u.name);
  if (u.pinned_revision.value_or(0) != 0)
    if (const auto p = e.product(product_key)) {
      const auto* b = e.parts().known->current()->blueprint(e.who.organisation, p->state->model);
      if (!b || !b->compiled.contains(*u.pinned_revision))
        return failure{errc::not_found, "revision_unknown",
                       "the model has no revision " + std::to_string(*u.pinned_revision)};
    }
  return u;
}

const filter::schema& product_fields() {
  return fields_of_products;
}

std::vector<list_row> products_seen(const exchange& e) {
  auto all = std::vector<list_row>{};
  for (const auto& p : products_seen_of(e))
    all.push_back(row_of(e, p));
  return all;
}

exchange::headers product_headers(const actors::outcome& done, const product::state& s) {
  auto h = exchange::revision_headers(done);
  h.emplace_back("ETag", exchange::etag(s.revision));
  return h;
}

void change_product(const exchange_ptr& e, product::order what, bool needs_match,
                    std::function<void(const actors::outcome&, const product::state&)> then) {
  const auto p = e->product(e->param("product"));
  if (!p)
    return e->fail(unknown);
  const auto expected = e->if_match(needs_match);
  if (!expected)
    return e->fail(expected.error());
  e->was(show_product(*e, *p->state));
  const auto removes = std::holds_alternative<product::remove_product>(what);
  e->ask(p->id, product::command{std::move(what), e->who.actor, *expected},
         [e, removes, then = std::move(then)](const actors::outcome& done) {
           const auto& now = *state_in(done);
           if (!removes)
             e->facts.after = show_product(*e, now);
           then(done, now);
         });
}

std::vector<route> product_routes() {
  return {
      {"GET", "~/products", "product:read", list, "listProducts", "Products", "", "ProductList",
       200, "limit cursor filter sort fields modelId"},
      {"POST", "~/products/search", "product:read", search, "searchProducts",
       "The same, with the question in the body", "ProductSearch", "FoundProducts", 200, ""},
      {"POST", "~/products", "product:write", create, "createProduct",
       "Make a product; its secret is shown once", "NewProduct", "CreatedProduct", 201, ""},
      {"GET", "~/products/{product}", "product:read", get, "getProduct", "A product", "", "Product",
       200, ""},
      {"PATCH", "~/products/{product}", "product:write", update, "updateProduct",
       "Change a product", "ProductChange", "Product", 200, ""},
      {"DELETE", "~/products/{product}", "product:write", remove, "deleteProduct",
       "Delete a product without devices", "", "", 204, ""},
      {"POST", "~/products/{product}:resetSecret", "device:credential", reset_secret,
       "resetProductSecret", "A new product secret, shown once", "", "ProductSecret", 200, ""},
      {"GET", "~/products/{product}/tags", "product:read", get_tags, "getProductTags",
       "Tags of a product", "", "Tags", 200, ""},
      {"PUT", "~/products/{product}/tags", "product:write", put_tags, "replaceProductTags",
       "Replace all tags of a product", "Tags", "Tags", 200, ""},
      {"PATCH", "~/products/{product}/tags", "product:write", patch_tags, "changeProductTags",
       "Set tags of a product; null takes one away", "TagChanges", "Tags", 200, ""},
      {"DELETE", "~/products/{product}/tags/{key}", "product:write", delete_tag, "deleteProductTag",
       "Take a tag of a product away", "", "", 204, ""},
  };
}

}  // namespace orrery::transport::api
