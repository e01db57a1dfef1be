#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ci/report/journals.h"
#include "ci/report/statistics.h"

namespace conformance::report {

/// What a node of a job left.
struct NodeReport {
  std::string name;
  std::optional<Json> results;  ///< results.json; nothing if there is none
  std::string problem;          ///< why not
};

/// What a rank of the communicator over all nodes wrote.
struct RankReport {
  std::string name;  ///< of its journal: host and process
  EntryRecord record;
};

/// Reads a node's report; its name is that of the folder.
NodeReport read_node(const std::filesystem::path& folder);
/// Reads the journals of the ranks, by conformance-nccl-mpi; throws CannotRun if the folder cannot
/// be read.
std::vector<RankReport> read_ranks(const std::filesystem::path& folder,
                                   std::vector<std::string>& warnings);

/// How far a node's figure may be off the median of all nodes' to its disadvantage: so many times
/// their spread(), and the noise of healthy runs (FigureKind), which a few nodes that happen to
/// agree closely do not undercut.
inline constexpr double kOutlierSpreads = 3.5;
/// With fewer nodes there is no telling which one is off.
inline constexpr std::size_t kFewestNodes = 3;

/// Which of the values are outliers to the worse side; none of fewer than kFewestNodes.
std::vector<std::size_t> outliers(std::span<const double> values, const FigureKind& kind);

/// The reports of a job's nodes as one, in the form of results.json: an entry for each node with
/// all its tests, one for the ranks that all nodes had together, and "job", whose tests say whether
/// all nodes reported, and whether they are alike. `ranks` is nothing if none were asked for.
Json merge(const std::vector<NodeReport>& nodes,
           const std::optional<std::vector<RankReport>>& ranks, std::vector<std::string> warnings);

/// Whether results are those of a job's nodes.
bool is_of_job(const Json& results);
/// What each node of a merged report has in it, as results.json of its own, by its name: all that a
/// comparison looks at.
std::map<std::string, Json> results_of_nodes(const Json& merged);

/// Of so many nodes at most a page shows everything.
inline constexpr std::size_t kNodesInFull = 16;
/// A merged report with what a page has room for: of all nodes those that differ from the others,
/// or have a finding, and one of the others; "in_full" of each node says so. Other results as they
/// are.
Json for_page(Json results);

}  // namespace conformance::report
