#include "actors/blocking_calls.hpp"

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

namespace orrery::actors {
namespace {

constexpr auto pause = std::chrono::milliseconds{50};

/// Those of `all` whose places are in `which`, at once.
void ask_some(caller& ask, const std::vector<question>& all, const std::vector<std::size_t>& which,
              std::vector<answer>& answers) {
  struct round {
    std::atomic<std::size_t> open;
    std::promise<void> done;
  };
  const auto r = std::make_shared<round>();
  r->open = which.size();
  auto over = r->done.get_future();
  for (const auto place : which)
    ask.ask(all[place].whom, all[place].what, [r, to = &answers[place]](answer got) {
      *to = std::move(got);
      if (r->open.fetch_sub(1) == 1)
        r->done.set_value();
    });
  over.wait();
}

template <class Page, class Question>
model::result<Page> read_one(query& reads, Question what,
                             void (query::*read)(Question, query::then<Page>)) {
  const auto done = std::make_shared<std::promise<model::result<Page>>>();
  auto got = done->get_future();
  (reads.*read)(std::move(what),
                [done](model::result<Page> page) { done->set_value(std::move(page)); });
  return got.get();
}

}  // namespace

bool is_passing(const model::failure& why) {
  switch (why.code) {
    case model::errc::unavailable:
    case model::errc::timeout:
    case model::errc::wrong_node:
      return why.reason != "device_deleted";
    case model::errc::too_many_requests:  // a quota stays full for as long as nobody deletes
      return why.reason != "device_deleted" && why.reason != "quota_exceeded";
    default:
      return false;
  }
}

answer ask_and_wait(caller& ask, target whom, any_command what) {
  auto all = std::vector<question>{};
  all.push_back({std::move(whom), std::move(what)});
  return ask_and_wait(ask, std::move(all), {}).front();
}

std::vector<answer> ask_and_wait(caller& ask, std::vector<question> all,
                                 model::milliseconds patience) {
  auto answers = std::vector<answer>(all.size(), answer{outcome{}});
  auto which = std::vector<std::size_t>(all.size());
  for (std::size_t i = 0; i < which.size(); ++i)
    which[i] = i;
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!which.empty()) {
    ask_some(ask, all, which, answers);
    std::erase_if(which, [&](auto i) { return answers[i] || !is_passing(answers[i].error()); });
    if (which.empty() || std::chrono::steady_clock::now() >= until)
      break;
    std::this_thread::sleep_for(pause);
  }
  return answers;
}

model::result<device_page> read_and_wait(query& reads, device_list_question what) {
  return read_one<device_page>(reads, std::move(what), &query::devices);
}
model::result<tree_page> read_and_wait(query& reads, tree_question what) {
  return read_one<tree_page>(reads, std::move(what), &query::trees);
}
model::result<operation_page> read_and_wait(query& reads, operation_rows_question what) {
  return read_one<operation_page>(
      reads, what,
      static_cast<void (query::*)(operation_rows_question, query::then<operation_page>)>(
          &query::operations));
}

}  // namespace orrery::actors
