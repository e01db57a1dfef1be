#include <cmath>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "ci/report/charts.h"
#include "ci/report/html.h"
#include "ci/report/metrics.h"
#include "ci/report/page.h"

namespace conformance::report {
namespace {

/// results.json of a run of one layer whose one test has these figures.
Json results_with(Json figures) {
  Json test{{"name", "peer.Speed.Copies"},
            {"entry", "peer.Speed"},
            {"layer", "peer"},
            {"outcome", "passed"},
            {"claim", "Copies arrive"},
            {"source", "CUDA Runtime API: cudaMemcpyPeerAsync"},
            {"blocked_by", nullptr},
            {"skip_reason", nullptr},
            {"seconds", 1.0},
            {"verified", Json::array()},
            {"figures", std::move(figures)},
            {"messages", Json::array()},
            {"findings", Json::array()}};
  Json entry{{"name", "peer.Speed"}, {"layer", "peer"},     {"level", "standard"},
             {"gate", false},        {"selected", true},    {"started", 110.0},
             {"seconds", 5.0},       {"outcome", "passed"}, {"process", nullptr}};
  return {{"title", "CUDA conformance"},
          {"verdict", "conformant"},
          {"simulated", false},
          {"run",
           {{"id", "1"},
            {"started", 100.0},
            {"ended", 120.0},
            {"level", "standard"},
            {"cuda_origin", "nix"}}},
          {"counts", {{"passed", 1}}},
          {"first_finding", nullptr},
          {"findings", Json::array()},
          {"facts", Json::array()},
          {"layers",
           Json::array({{{"name", "peer"}, {"requires", Json::array()}, {"outcome", "passed"}}})},
          {"entries", Json::array({entry})},
          {"tests", Json::array({test})},
          {"warnings", Json::array()}};
}

Json figure(const std::string& name, const std::string& kind, const std::string& subject,
            Json value) {
  return {{"name", name},
          {"value", value},
          {"unit", "GB/s"},
          {"subject", {{"kind", kind}, {"name", subject}}},
          {"samples", Json::array({value})},
          {"formula", "bytes / time"},
          {"floor", {{"value", 100.0}, {"reason", "three quarters of the limit"}}}};
}

bool holds(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(ReportHtml, PairsBecomeAMatrixWhoseSlowCellSaysSo) {
  Json figures = Json::array();
  for (const auto& [from, to, value] :
       {std::tuple{0, 1, 200.0}, {0, 10, 150.0}, {1, 0, 180.0}, {1, 10, 60.0}, {10, 0, 190.0}}) {
    figures.push_back(
        figure("peer-copy-write-bandwidth", "pair",
               "GPU " + std::to_string(from) + " -> GPU " + std::to_string(to) + " (x)", value));
  }
  const std::string page = html(results_with(figures));
  EXPECT_TRUE(holds(page, "<th scope=\"row\">GPU 10</th><td style=\"--share:95%\">190.0</td>"))
      << page;
  EXPECT_TRUE(holds(page, "--share:30%\">60.0<b class=\"failed\"> ▼")) << page;
  EXPECT_LT(page.find("scope=\"col\">GPU 1<"), page.find("scope=\"col\">GPU 10<"));
  EXPECT_TRUE(holds(page, "; floor 100")) << page;
}

TEST(ReportHtml, FiguresOfSimulatedGpusAreCalledSo) {
  Json results = results_with(Json::array({figure("a", "device", "GPU 0", 1.0)}));
  EXPECT_TRUE(holds(html(results), "<h2>Figures</h2>"));
  results["simulated"] = true;
  EXPECT_TRUE(holds(html(results), "<h2>Figures, of modelled time</h2>"));
}

TEST(ReportHtml, PairsThatAreNoneOfGpusStayInTheList) {
  const std::string page = html(results_with(
      Json::array({figure("peer-copy-write-bandwidth", "pair", "left -> right", 200.0)})));
  EXPECT_FALSE(holds(page, "from \\ to"));
  EXPECT_TRUE(holds(page, "left -&gt; right"));
}

TEST(ReportHtml, ThreeSizesMakeACurveAndTwoDoNot) {
  Json figures = Json::array();
  for (const char* size : {"8B", "64KiB"}) {
    figures.push_back(figure(std::string("bus-bandwidth-") + size, "communicator", "all", 5.0));
  }
  EXPECT_FALSE(holds(html(results_with(figures)), "<svg class=\"curve\""));
  figures.push_back(figure("bus-bandwidth-1GiB", "communicator", "all", 300.0));
  figures.push_back(figure("bus-bandwidth-2GiB", "communicator", "all", nullptr));
  const std::string page = html(results_with(figures));
  EXPECT_TRUE(holds(page, "<h3>bus-bandwidth of all</h3>"));
  EXPECT_TRUE(holds(page, "3 sizes from 8 B to 1 GiB; the greatest value is 300 GB/s at 1 GiB."))
      << page;
  EXPECT_TRUE(holds(page, "<th scope=\"row\">2 Gi<wbr>B</th><td class=\"number\">no number</td>"))
      << page;
}

TEST(ReportHtml, SizesAreKnownBySubjectsAndFactsToo) {
  Json figures = Json::array();
  for (const char* size : {"64 MiB", "128 MiB", "1 GiB"}) {
    figures.push_back(
        figure("sweep", "communicator", std::string("communicator of 8 GPUs, ") + size, 5.0));
  }
  Json results = results_with(figures);
  for (const char* text :
       {"8: 10.0 us, 1024: 20.5 us, 1000000: 10.0 us", "8: 1 us, 16: 2 us, 32: x",
        "8: 1 us, 16: 2 us, 32: 3 us, ", "8: 0 us, 16: 0 us, 32: 0 us"}) {
    results["facts"].push_back({{"name", "nccl.sweep"}, {"value", text}, {"entry", "nccl.Speed"}});
  }
  const std::string page = html(results);
  EXPECT_TRUE(holds(page, "<h3>sweep of communicator of 8 GPUs</h3>"));
  EXPECT_TRUE(holds(page, "<h3>nccl.sweep: bytes / time</h3>"));
  EXPECT_TRUE(holds(page, "the greatest value is 100 GB/s at 976.6 KiB.")) << page;
  EXPECT_FALSE(holds(page, "curve-2"));
}

TEST(ReportHtml, NumbersThatAreNoneAndTimesThatCannotBeDrawNothingImpossible) {
  Json results = results_with(
      Json::array({figure("a", "device", "GPU 0", nullptr), figure("a", "device", "GPU 1", 1e308),
                   figure("b", "device", "GPU 0", -5.0), figure("c", "device", "GPU 0", 0.0)}));
  results["entries"][0]["started"] = -1e308;
  results["entries"][0]["seconds"] = 1e308;
  const std::string page = html(results);
  EXPECT_FALSE(holds(page, "nan"));
  EXPECT_FALSE(holds(page, "inf\""));
}

TEST(ReportHtml, ResultsOfAnOlderSuiteHaveNoTimeline) {
  Json results = results_with(Json::array());
  EXPECT_TRUE(holds(html(results), "<h2>Timeline</h2>"));
  results["entries"][0].erase("started");
  EXPECT_FALSE(holds(html(results), "<h2>Timeline</h2>"));
}

TEST(ReportHtml, FindingsOfOneCauseStandTogether) {
  Json results = results_with(Json::array());
  for (const char* subject : {"GPU 0", "GPU 1", "GPU 2"}) {
    results["findings"].push_back({{"code", "peer.slow"},
                                   {"severity", "hardware"},
                                   {"layer", "peer"},
                                   {"entry", "peer.Speed"},
                                   {"test", "peer.Speed.Copies"},
                                   {"outcome", "slow"},
                                   {"subject", {{"kind", "device"}, {"name", subject}}},
                                   {"detail", "seen"},
                                   {"cause", "A lame link."},
                                   {"remedy", "Run `nvidia-smi <nvlink>`."},
                                   {"evidence", {{"output", "one\ntwo"}, {"lanes", 4}}},
                                   {"time", 1.0}});
  }
  results["first_finding"] = results["findings"][0];
  const std::string page = html(results);
  EXPECT_TRUE(holds(page, "<h2>First cause: peer.slow</h2>"));
  EXPECT_TRUE(holds(page, "Run <code>nvidia-smi &lt;nvlink&gt;</code>."));
  EXPECT_TRUE(holds(page, "<summary>2 more</summary>"));
  EXPECT_TRUE(holds(page, "<dt>lanes</dt><dd>4</dd>"));
  EXPECT_LT(page.find("First cause"), page.find("<h2>Findings</h2>"));
}

TEST(ReportHtml, SharesStayBetweenNothingAndAll) {
  EXPECT_EQ(share(1, 4), 0.25);
  EXPECT_EQ(share(5, 4), 1);
  EXPECT_EQ(share(-1, 4), 0);
  EXPECT_EQ(share(1, 0), 0);
  EXPECT_EQ(share(0, 0), 0);
  EXPECT_EQ(share(1e308, 1e-308), 0);
}

TEST(ReportHtml, ABarMarksItsFloorAndLimit) {
  const std::string bar = value_bar(50, 75, 100);
  EXPECT_TRUE(holds(bar, "<rect class=\"bad\" x=\"1\" y=\"2\" width=\"49.00\"")) << bar;
  EXPECT_TRUE(holds(bar, "class=\"mark floor\" stroke=\"currentColor\" d=\"M74.50 ")) << bar;
  EXPECT_TRUE(holds(bar, "class=\"mark limit\" stroke=\"currentColor\" d=\"M99.00 ")) << bar;
  EXPECT_TRUE(holds(value_bar(80, 75, 100), "<rect class=\"value\""));
}

TEST(ReportHtml, DotsStandByTheirDistanceFromTheMedian) {
  const std::vector<double> values{98, 100, 101};
  EXPECT_DOUBLE_EQ(greatest_deviation(values), 2);
  const std::string drawn = dots(values, 2);
  EXPECT_TRUE(holds(drawn, "cx=\"8.0\"") && holds(drawn, "cx=\"96.0\"") &&
              holds(drawn, "cx=\"140.0\""))
      << drawn;
  EXPECT_TRUE(holds(drawn, "± 2 %")) << drawn;
}

TEST(ReportHtml, SizesHaveBinaryUnits) {
  EXPECT_EQ(size_text(8), "8 B");
  EXPECT_EQ(size_text(65536), "64 KiB");
  EXPECT_EQ(size_text(0x1p32), "4 GiB");
}

TEST(ReportHtml, NamesBreakWhereAWordBegins) {
  EXPECT_EQ(breakable("peer.Speed.CopiesAreFast<b>"),
            "peer.<wbr>Speed.<wbr>Copies<wbr>Are<wbr>Fast&lt;b&gt;");
}

/// The samples of an exposition by name and labels, read as strictly as Prometheus' own parser:
/// throws for what is not of the text format, for a sample outside its family and for a second one
/// with the same labels.
std::map<std::string, double> read_exposition(const std::string& text) {
  std::map<std::string, double> samples;
  std::set<std::string> families;
  std::string family;
  const auto refuse_unless = [](bool holds, const std::string& line) {
    if (!holds) throw std::invalid_argument(line);
  };
  refuse_unless(text.ends_with('\n'), "no line feed at the end");
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, keyword, name;
    if (line.starts_with('#')) {
      words >> hash >> keyword >> name;
      refuse_unless(keyword == "HELP" || (keyword == "TYPE" && name == family), line);
      if (keyword == "HELP") refuse_unless(families.insert(name).second, line);
      family = name;
      continue;
    }
    const std::string metric = line.substr(0, line.find_first_of("{ "));
    refuse_unless(metric == family, line);
    std::size_t at = metric.size();
    std::set<std::string> labels;
    if (line[at] == '{') {
      do {
        const std::size_t equals = line.find('=', ++at);
        refuse_unless(equals != line.npos && line.at(equals + 1) == '"', line);
        const std::string label = line.substr(at, equals - at);
        refuse_unless(!label.empty() &&
                          label.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == label.npos &&
                          labels.insert(label).second,
                      line);
        at = equals + 2;
        while (line.at(at) != '"') {
          if (line[at] == '\\')
            refuse_unless(std::string_view("\\\"n").find(line.at(++at)) != std::string_view::npos,
                          line);
          ++at;
        }
        ++at;
      } while (line.at(at) == ',');
      refuse_unless(line[at++] == '}', line);
    }
    refuse_unless(line.at(at) == ' ', line);
    std::size_t read = 0;
    const std::string value = line.substr(at + 1);
    const double number = std::stod(value, &read);
    refuse_unless(read == value.size(), line);
    refuse_unless(samples.emplace(line.substr(0, at), number).second, line);
  }
  return samples;
}

TEST(ReportMetrics, TheyAreValidAndHoldVerdictCountsAndFigures) {
  const std::string odd = "a\\b\"c\nd{}=,é\xff";
  Json figures = Json::array({figure("speed", "device", "GPU 0", 5.5),
                              figure("speed", "device", "GPU 1", nullptr),
                              figure("speed", "device", "GPU 0", 6.5)});
  figures.push_back(figure(odd, odd, odd, 1e-300));
  const auto samples = read_exposition(metrics(results_with(figures)));
  EXPECT_EQ(samples.at("conformance_conformant"), 1);
  EXPECT_EQ(samples.at("conformance_run_started_timestamp_seconds"), 100);
  EXPECT_EQ(samples.at("conformance_tests{layer=\"peer\",outcome=\"passed\"}"), 1);
  const auto figure_of = [&](const std::string& name, const std::string& subject) {
    return samples.at(name + "{name=\"speed\",unit=\"GB/s\",kind=\"device\",subject=\"" + subject +
                      "\",test=\"peer.Speed.Copies\"}");
  };
  EXPECT_EQ(figure_of("conformance_figure", "GPU 0"), 6.5) << "the last of two counts";
  EXPECT_TRUE(std::isnan(figure_of("conformance_figure", "GPU 1")));
  EXPECT_EQ(figure_of("conformance_figure_floor", "GPU 1"), 100);
}

TEST(ReportMetrics, ThoseOfSimulatedGpusSaySoInEachSample) {
  Json results = results_with(Json::array({figure("speed", "device", "GPU 0", 5.5)}));
  results["simulated"] = true;
  for (const auto& [name, value] : read_exposition(metrics(results))) {
    EXPECT_TRUE(holds(name, "simulated=\"true\"")) << name;
  }
}

TEST(ReportMetrics, MeasurementsAreNamedWithoutWhatIsThisHostsOwn) {
  EntryRecord record;
  record.tests.emplace_back().name = "peer.Speed.Copies";
  record.tests[0].figures = Json::array({figure("a<b", "device", "GPU 0 (GPU-1b2c)", 5.5),
                                         figure("none", "device", "GPU 0", nullptr)});
  EXPECT_EQ(measurements(record),
            "<CTestMeasurement type=\"numeric/double\" name=\"Copies a&lt;b [GPU 0], GB/s\">5.5"
            "</CTestMeasurement>\n");
}

}  // namespace
}  // namespace conformance::report
