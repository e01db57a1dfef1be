#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "ci/audit/archive.h"
#include "ci/audit/examine.h"
#include "ci/audit/loader.h"
#include "fixtures/child.h"
#include "fixtures/toolkit.h"
#include "tests/unit/root_folder.h"

namespace conformance::audit {
namespace {

using Kind = DeviceCode::Kind;
using Scope = DeviceCode::Scope;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

std::string member(std::string name, const std::string& content) {
  const std::string size = std::to_string(content.size());
  name.resize(48, ' ');
  return name + size + std::string(10 - size.size(), ' ') + "`\n" + content +
         std::string(content.size() % 2, '\n');
}

TEST(StaticLibrary, MembersHaveTheirNamesAndBytes) {
  const std::string library = "!<arch>\n" + member("/", "symbols") +
                              member("//", "a_name_of_many_letters.o/\n") +
                              member("a.o/", "12345") + member("/0", "67");
  const ByteSource source(bytes_of(library));
  ASSERT_TRUE(is_archive(source));
  const std::vector<Member> members = archive_members(source);
  ASSERT_EQ(members.size(), 2U);
  EXPECT_EQ(members[0].name, "a.o");
  EXPECT_EQ(members[0].bytes.size(), 5U);
  EXPECT_EQ(members[1].name, "a_name_of_many_letters.o");
  EXPECT_EQ(members[1].bytes.bytes(0, 2), std::vector({std::byte{'6'}, std::byte{'7'}}));
  EXPECT_THROW(members[1].bytes.bytes(0, 3), Malformed) << "the next member's are not its own";
}

TEST(StaticLibrary, WhatIsDamagedIsRefused) {
  const std::string start = "!<arch>\n";
  for (const std::string& text :
       {start + "x", start + member("/99", "12"), start + member("a.o/", "12345").substr(0, 62),
        start + std::string(60, ' '), start + std::string(58, '9') + "`\n"}) {
    EXPECT_THROW(archive_members(ByteSource(bytes_of(text))), Malformed) << text;
  }
  EXPECT_TRUE(archive_members(ByteSource(bytes_of(start))).empty());
  EXPECT_FALSE(is_archive(ByteSource(bytes_of("!<thin>\n"))));
}

/// A cache of the loader with one library for this machine and one for another.
std::string made_cache() {
  std::string cache = "glibc-ld.so.cache1.1";
  const auto put = [&cache](auto value) {
    cache.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  const std::uint32_t here =
#if defined(__x86_64__)
      0x0303;
#else
      0x0a03;
#endif
  const std::string strings =
      std::string("libx.so.1") + '\0' + "/lib/libx.so.1" + '\0' + "/other/libx.so.1" + '\0';
  put(std::uint32_t{2});
  put(static_cast<std::uint32_t>(strings.size()));
  cache.append(20, '\0');
  const std::uint32_t text = 48 + 2 * 24;
  for (const auto& [flags, path] : {std::pair{0x0804U, text + 25}, {here, text + 10}}) {
    put(flags);
    put(text);
    put(path);
    put(std::uint32_t{0});
    put(std::uint64_t{0});
  }
  return cache + strings;
}

TEST(LoaderCache, HoldsTheLibrariesForThisMachine) {
  using Cache = std::map<std::string, std::string>;
  EXPECT_EQ(parse_loader_cache(made_cache()), (Cache{{"libx.so.1", "/lib/libx.so.1"}}));
  EXPECT_EQ(parse_loader_cache(""), Cache());
  const std::string whole = made_cache();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_LE(parse_loader_cache(whole.substr(0, size)).size(), 1U);
  }
}

TEST(Loader, FindsWhatTheLoaderItselfFinds) {
  ChildOptions options;
  options.argv = {own_executable()};
  options.environment["LD_TRACE_LOADED_OBJECTS"] = "1";
  const ChildResult traced = run_child(options);
  Loader loader(loader_places());
  const std::vector<NeededLibrary> found = loader.load(own_executable());
  std::size_t compared = 0;
  for (const LoadedLibrary& library : parse_loader_trace(traced.output)) {
    const auto same = std::find_if(found.begin(), found.end(), [&](const NeededLibrary& needed) {
      return needed.name == library.name;
    });
    if (same == found.end()) continue;
    EXPECT_TRUE(std::filesystem::equivalent(same->path, library.path))
        << library.name << ": " << same->path << " by " << same->how << ", not " << library.path;
    ++compared;
  }
  // The loader itself is needed too, but not traced.
  EXPECT_GE(compared + 1, found.size()) << traced.output;
  EXPECT_GT(compared, 3U);
}

Host host_with(std::optional<DriverCudaVersion> driver) { return {{{"the GPU", {9, 0}}}, driver}; }

std::vector<std::string> fatal(const Examined& examined) {
  std::vector<std::string> texts;
  for (const Problem& problem : examined.problems) {
    EXPECT_NE(problem.remedy, "");
    if (problem.fatal) texts.push_back(problem.what);
  }
  return texts;
}

DeviceModule ptx_module(int major, int minor) {
  DeviceCode code{Kind::ptx, Scope::portable, {8, 0}};
  code.ptx_major = major;
  code.ptx_minor = minor;
  return {code};
}
const DeviceModule kMachineCode{DeviceCode{Kind::binary, Scope::portable, {9, 0}}};

TEST(AuditVerdict, PtxNeedsADriverThatKnowsIt) {
  for (const auto& [driver, problems] :
       {std::pair{DriverCudaVersion{13, 0}, 0U}, {{12, 9}, 0U}, {{12, 8}, 1U}}) {
    Examined examined;
    judge({ptx_module(8, 8)}, true, host_with(driver), examined);
    EXPECT_EQ(fatal(examined).size(), problems) << driver.text();
  }
  // Where machine code is there for all else, it is a reservation.
  Examined examined;
  judge({kMachineCode, ptx_module(8, 8)}, true, host_with(DriverCudaVersion{12, 8}), examined);
  EXPECT_TRUE(fatal(examined).empty());
  EXPECT_EQ(examined.problems.size(), 1U);
}

TEST(AuditVerdict, TheRuntimeNeedsADriverOfItsMajorVersion) {
  for (const auto& [driver, problems] : {std::pair{DriverCudaVersion{13, 0}, 0U}, {{12, 9}, 1U}}) {
    Examined examined;
    examined.libraries = {{"libcudart.so.13", "/lib/libcudart.so.13", "ld.so.cache", "program"}};
    judge({kMachineCode}, true, host_with(driver), examined);
    EXPECT_EQ(fatal(examined).size(), problems);
    EXPECT_EQ(examined.needed_driver, "580.65.06 (CUDA 13.0)");
  }
}

TEST(AuditVerdict, AProgramNeedsItsLibrariesAndALibraryMayMeetThemLoaded) {
  const auto judged = [](bool program, NeededLibrary library, bool driver) {
    Examined examined;
    examined.libraries = {std::move(library)};
    judge({kMachineCode}, program,
          host_with(driver ? std::optional(DriverCudaVersion{13, 0}) : std::nullopt), examined);
    return fatal(examined).size();
  };
  const NeededLibrary missing{"libcublas.so.13", "", "", "program"};
  EXPECT_EQ(judged(true, missing, false), 1U);
  EXPECT_EQ(judged(false, missing, false), 0U);
  // The driver's library is on the host that has one.
  const NeededLibrary driver{"libcuda.so.1", "", "", "program"};
  EXPECT_EQ(judged(true, driver, false), 0U);
  EXPECT_EQ(judged(true, driver, true), 1U);
  EXPECT_EQ(judged(true, {"libcuda.so.1", "/cuda/lib64/stubs/libcuda.so.1", "", "x"}, true), 1U);
}

TEST(AuditVerdict, WhatHoldsNoKernelNeedsNoArchitecture) {
  DeviceCode leftover{Kind::binary, Scope::portable, {7, 5}};
  leftover.unpacked = 1896;
  Examined examined;
  judge({{leftover}}, false, host_with({}), examined);
  EXPECT_EQ(examined.modules, 0U);
  EXPECT_TRUE(examined.problems.empty());
  leftover.unpacked = 2832;
  judge({{leftover}}, false, host_with({}), examined);
  EXPECT_EQ(fatal(examined).size(), 1U);
}

class AuditFiles : public RootFolder {};

TEST_F(AuditFiles, PtxIsKnownByItsNameAndRead) {
  write("k.ptx", "//\n.version 8.8\n.target sm_90a, debug\n.address_size 64\n");
  write("k.txt", "\n.version 8.8\n.target sm_90a\n");
  Loader loader({});
  const auto ptx = examine(root() + "/k.ptx", host_with({}), loader);
  ASSERT_TRUE(ptx);
  EXPECT_TRUE(ptx->code.contains("compute_90a (PTX 8.8)"));
  EXPECT_EQ(ptx->covers.at(0).best, Coverage::ptx);
  EXPECT_EQ(ptx->needed_driver, "525.60.13 (CUDA 12.0)");
  EXPECT_FALSE(examine(root() + "/k.txt", host_with({}), loader));
  write("bad.ptx", "nothing");
  EXPECT_THROW(examine(root() + "/bad.ptx", host_with({}), loader), Malformed);
}

}  // namespace
}  // namespace conformance::audit
