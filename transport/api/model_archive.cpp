#include "transport/api/model_archive.hpp"

#include <algorithm>
#include <memory>
#include <set>
#include <zip.h>

#include "model/blueprint/inheritance.hpp"
#include "model/enos_dialect.hpp"
#include "model/ids.hpp"
#include "model/json.hpp"
#include "model/model_csv.hpp"

namespace orrery::transport::api {
namespace {

using model::errc;
using model::failure;

struct closer {
  void operator()(zip_t* z) const { zip_discard(z); }
  void operator()(zip_file_t* f) const { zip_fclose(f); }
  void operator()(zip_source_t* s) const { zip_source_free(s); }
};
using archive = std::unique_ptr<zip_t, closer>;
using source = std::unique_ptr<zip_source_t, closer>;

failure damaged(std::string detail) {
  return {errc::invalid_argument, "import_invalid", std::move(detail)};
}

failure beyond(const archive_limits& limits) {
  return {errc::too_large, "too_large",
          "an import has at most " + std::to_string(limits.max_files) + " files and " +
              std::to_string(limits.max_bytes) + " bytes in all"};
}

/// The content of one file, at most `most` bytes.
model::result<std::string> read_file(zip_t* from, zip_uint64_t at, std::size_t most,
                                     const archive_limits& limits) {
  const auto file = std::unique_ptr<zip_file_t, closer>{zip_fopen_index(from, at, 0)};
  if (!file)
    return damaged("a file of the zip cannot be opened");
  auto text = std::string{};
  auto piece = std::string(16 * 1024, '\0');
  for (;;) {
    const auto n = zip_fread(file.get(), piece.data(), piece.size());
    if (n < 0)
      return damaged("a file of the zip is damaged");
    if (n == 0)
      return text;
    // What the archive says of a file's size is not believed: a small one may unpack to anything.
    if (text.size() + static_cast<std::size_t>(n) > most)
      return beyond(limits);
    text.append(piece, 0, static_cast<std::size_t>(n));
  }
}

source source_of(const void* bytes, std::size_t size) {
  return source{zip_source_buffer_create(bytes, size, 0, nullptr)};
}

imported_model read_document(std::string file, const model::value& given) {
  auto made = imported_model{std::move(file), {}, given, false};
  if (model::is_enos_model(given))
    made.document = model::from_enos(given);
  if (!made.document)
    return made;
  const auto* id = made.document->find("id");
  if (!made.document->is_object() || !id || !id->is_string() ||
      !model::is_valid_key(id->as_string(), 1, 64)) {
    made.document =
        damaged("a thing model is an object with an id of 1 to 64 characters of A-Z a-z 0-9 . _ -");
    return made;
  }
  made.id = id->as_string();
  auto document = made.document->as_object();
  std::erase_if(document, [](const auto& member) {
    return member.first == "revision" || member.first == "publishedAt";  // ours to say
  });
  made.document = model::value{std::move(document)};
  return made;
}

void add_documents(std::vector<imported_model>& out, const archive_file& file,
                   const archive_limits& limits) {
  if (constexpr auto ending = std::string_view{".csv"}; file.name.ends_with(ending)) {
    const auto begin = file.name.rfind('/') + 1;  // 0 if it is in no folder
    const auto id = file.name.substr(begin, file.name.size() - begin - ending.size());
    out.push_back(read_csv(file.name, file.text, id));
    return;
  }
  const auto parsed = model::parse_json(
      file.text, {.max_bytes = limits.max_bytes, .max_depth = 32, .max_nodes = 500'000});
  if (!parsed) {
    out.push_back({file.name, {}, damaged("it is not JSON: " + parsed.error().detail), false});
    return;
  }
  if (!parsed->is_array()) {
    out.push_back(read_document(file.name, *parsed));
    return;
  }
  auto n = std::size_t{0};
  for (const auto& one : parsed->as_array()) {
    if (out.size() > limits.max_files)
      return;  // it is refused whole
    out.push_back(read_document(file.name + '#' + std::to_string(++n), one));
  }
}

/// Parents first, else as they are.
void order_by_inheritance(std::vector<imported_model>& all) {
  auto ids = std::set<std::string>{};
  for (const auto& m : all)
    ids.insert(m.id);
  auto placed = std::vector<imported_model>{};
  auto done = std::set<std::string>{};
  while (!all.empty()) {
    const auto waits = [&](const imported_model& m) {
      const auto parent = m.document ? model::blueprint::parent_of(*m.document) : std::string{};
      return ids.contains(parent) && !done.contains(parent);
    };
    auto next = std::find_if_not(all.begin(), all.end(), waits);
    if (next == all.end())
      next = all.begin();  // they wait for each other: each will be refused by itself
    done.insert(next->id);
    placed.push_back(std::move(*next));
    all.erase(next);
  }
  all = std::move(placed);
}

}  // namespace

imported_model read_csv(std::string file, std::string_view text, const std::string& id) {
  auto document = model::from_csv(text, id);
  if (!document)
    return {std::move(file), model::is_valid_key(id, 1, 64) ? id : "", document.error(), true};
  auto made = read_document(std::move(file), *document);
  made.elements_only = true;
  return made;
}

model::result<std::vector<archive_file>> unpack(std::string_view zip,
                                                const archive_limits& limits) {
  auto from = source_of(zip.data(), zip.size());
  if (!from)
    return failure{errc::internal, "no memory for a zip"};
  const auto opened =
      archive{zip_open_from_source(from.get(), ZIP_RDONLY | ZIP_CHECKCONS, nullptr)};
  if (!opened)
    return damaged("the zip is damaged");
  (void)from.release();  // the archive has it
  const auto count = zip_get_num_entries(opened.get(), 0);
  auto files = std::vector<archive_file>{};
  auto left = limits.max_bytes;
  for (zip_int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<zip_uint64_t>(i);
    const auto* name = zip_get_name(opened.get(), at, 0);
    if (!name)
      return damaged("a file of the zip has no name");
    if (std::string_view{name}.ends_with('/'))
      continue;
    if (files.size() == limits.max_files)
      return beyond(limits);
    auto text = read_file(opened.get(), at, left, limits);
    if (!text)
      return text.error();
    left -= text->size();
    files.push_back({name, std::move(*text)});
  }
  return files;
}

model::result<std::string> pack(const std::vector<archive_file>& files) {
  const auto failed = failure{errc::internal, "the zip could not be written"};
  auto into = source{zip_source_buffer_create(nullptr, 0, 0, nullptr)};
  if (!into)
    return failed;
  zip_source_keep(into.get());  // the archive takes one hold, this function keeps the other
  auto made = archive{zip_open_from_source(into.get(), ZIP_TRUNCATE, nullptr)};
  if (!made) {
    zip_source_free(into.get());
    return failed;
  }
  for (const auto& f : files) {
    auto content = source{zip_source_buffer(made.get(), f.text.data(), f.text.size(), 0)};
    if (!content || zip_file_add(made.get(), f.name.c_str(), content.get(), ZIP_FL_ENC_UTF_8) < 0)
      return failed;
    (void)content.release();
  }
  if (zip_close(made.get()) != 0)
    return failed;
  (void)made.release();
  if (zip_source_open(into.get()) != 0)
    return failed;
  auto bytes = std::string{};
  auto piece = std::string(64 * 1024, '\0');
  for (zip_int64_t n = 0; (n = zip_source_read(into.get(), piece.data(), piece.size())) > 0;)
    bytes.append(piece, 0, static_cast<std::size_t>(n));
  zip_source_close(into.get());
  return bytes;
}

model::result<std::vector<imported_model>> read_models(std::string_view bytes,
                                                       const archive_limits& limits) {
  auto files = std::vector<archive_file>{};
  if (bytes.starts_with("PK")) {
    auto unpacked = unpack(bytes, limits);
    if (!unpacked)
      return unpacked.error();
    files = std::move(*unpacked);
  } else {
    if (bytes.size() > limits.max_bytes)
      return beyond(limits);
    files.push_back({"body", std::string{bytes}});
  }
  auto all = std::vector<imported_model>{};
  for (const auto& f : files)
    add_documents(all, f, limits);
  if (all.size() > limits.max_files)
    return beyond(limits);
  if (all.size() == 1 && !all[0].document && all[0].id.empty() && files[0].name == "body")
    return all[0].document.error();
  auto seen = std::set<std::string>{};
  for (auto& m : all)
    if (!m.id.empty() && !seen.insert(m.id).second)
      m.document = damaged("the model " + m.id + " is in the import twice");
  order_by_inheritance(all);
  return all;
}

}  // namespace orrery::transport::api
