#include "fixtures/elf.h"

#include <array>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <elf.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "fixtures/library.h"
#include "tests/unit/root_folder.h"

namespace conformance {
namespace {

/// A small shared library as a linker would lay it out: one segment, two functions, one import.
struct Sample {
  struct Layout {
    Elf64_Ehdr header;
    std::array<Elf64_Phdr, 2> segments;
    std::array<Elf64_Dyn, 8> dynamic;
    std::array<Elf64_Sym, 4> symbols;
    std::array<std::uint32_t, 2> hash;
    std::array<char, 64> strings;
  };
  Layout file{};

  Sample() {
    std::memcpy(file.header.e_ident, ELFMAG, SELFMAG);
    file.header.e_ident[EI_CLASS] = ELFCLASS64;
    file.header.e_ident[EI_DATA] = ELFDATA2LSB;
    file.header.e_type = ET_DYN;
    file.header.e_machine = EM_X86_64;
    file.header.e_phoff = offsetof(Layout, segments);
    file.header.e_phentsize = sizeof(Elf64_Phdr);
    file.header.e_phnum = 2;
    file.segments[0].p_type = PT_LOAD;
    file.segments[0].p_filesz = sizeof(Layout);
    file.segments[1].p_type = PT_DYNAMIC;
    file.segments[1].p_offset = offsetof(Layout, dynamic);
    file.segments[1].p_filesz = sizeof(file.dynamic);
    static constexpr char kNames[] = "\0libcuda.so.1\0libc.so.6\0cuInit\0ioctl\0cuLaunch";
    std::memcpy(file.strings.data(), kNames, sizeof(kNames));
    const auto set = [this](std::size_t i, Elf64_Sxword tag, std::uint64_t value) {
      file.dynamic[i].d_tag = tag;
      file.dynamic[i].d_un.d_val = value;
    };
    set(0, DT_STRTAB, offsetof(Layout, strings));
    set(1, DT_STRSZ, sizeof(file.strings));
    set(2, DT_SYMTAB, offsetof(Layout, symbols));
    set(3, DT_HASH, offsetof(Layout, hash));
    set(4, DT_SONAME, 1);
    set(5, DT_NEEDED, 14);
    file.hash = {1, 4};
    const auto symbol = [this](std::size_t i, std::uint32_t name, std::uint16_t section) {
      file.symbols[i].st_name = name;
      file.symbols[i].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
      file.symbols[i].st_shndx = section;
      file.symbols[i].st_size = 11;
    };
    symbol(1, 24, 1);
    symbol(2, 31, SHN_UNDEF);
    symbol(3, 37, 1);
  }
  std::vector<std::byte> bytes() const {
    std::vector<std::byte> out(sizeof(Layout));
    std::memcpy(out.data(), &file, sizeof(Layout));
    return out;
  }
};

class BrokenLibrary : public RootFolder {};

TEST_F(BrokenLibrary, IsKeptFromTheLoader) {
  const Library real = Library::open("libc.so.6");
  ASSERT_TRUE(real.is_open()) << real.error();
  EXPECT_EQ(missing_part(real.real_path()), "");
  const std::string file = root() + "/libbroken.so";
  std::filesystem::copy_file(real.real_path(), file);
  const auto bytes = std::filesystem::file_size(file);
  for (const std::uintmax_t left : {std::uintmax_t{4096}, bytes / 2}) {
    std::filesystem::resize_file(file, left);
    EXPECT_TRUE(missing_part(file).starts_with(fmt::format("it ends after {} bytes, of ", left)))
        << missing_part(file);
    const Library broken = Library::open(file);
    EXPECT_FALSE(broken.is_open());
    EXPECT_NE(broken.error().find("is not whole"), std::string::npos) << broken.error();
  }
  // The loader itself says what is wrong with these.
  for (const std::uintmax_t left : {0, 63}) {
    std::filesystem::resize_file(file, left);
    EXPECT_EQ(missing_part(file), "");
    EXPECT_FALSE(Library::open(file).is_open());
  }
  EXPECT_EQ(missing_part(root() + "/none"), "");
}

TEST(ElfReader, ASharedLibrarysFactsAreRead) {
  const ElfReading read = parse_elf(Sample().bytes());
  ASSERT_TRUE(read.elf) << read.error;
  EXPECT_EQ(read.elf->soname, "libcuda.so.1");
  EXPECT_EQ(read.elf->needed, std::vector<std::string>{"libc.so.6"});
  EXPECT_TRUE(read.elf->exports("cuInit"));
  EXPECT_FALSE(read.elf->exports("ioctl"));
  EXPECT_EQ(read.elf->describe(), "64-bit x86-64 shared library");
}

TEST(ElfReader, AFileCutAnywhereIsRefusedOrReadWithoutHarm) {
  const std::vector<std::byte> whole = Sample().bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    // Exactly as long as it says, so that a sanitizer sees the first byte beyond.
    const std::vector<std::byte> part(whole.begin(),
                                      whole.begin() + static_cast<std::ptrdiff_t>(size));
    const ElfReading read = parse_elf(part);
    EXPECT_FALSE(read.elf && read.elf->soname == "libcuda.so.1" &&
                 size < offsetof(Sample::Layout, strings));
    EXPECT_NE(read.elf.has_value(), !read.error.empty()) << size;
  }
}

TEST(ElfReader, EveryByteMayBeAnythingWithoutHarm) {
  const std::vector<std::byte> whole = Sample().bytes();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const unsigned value : {0x00U, 0x01U, 0x7fU, 0x80U, 0xffU}) {
      std::vector<std::byte> changed = whole;
      changed[at] = static_cast<std::byte>(value);
      const ElfReading read = parse_elf(changed);
      EXPECT_NE(read.elf.has_value(), !read.error.empty()) << at;
    }
  }
}

TEST(ElfReader, ThirtyTwoBitAndForeignFilesAreTold) {
  Sample sample;
  sample.file.header.e_ident[EI_CLASS] = ELFCLASS32;
  sample.file.header.e_machine = EM_386;
  const ElfReading small = parse_elf(sample.bytes());
  ASSERT_TRUE(small.elf);
  EXPECT_FALSE(small.elf->loadable_here());
  EXPECT_EQ(small.elf->describe(), "32-bit x86 shared library");
  EXPECT_FALSE(parse_elf(std::as_bytes(std::span("#!/bin/sh, and on"))).elf);
}

TEST(ElfReader, ThisSystemsOwnLibraryIsReadByItsGnuHash) {
  const Library c = Library::open("libc.so.6");
  ASSERT_TRUE(c.is_open());
  const ElfReading read = read_elf(c.real_path());
  ASSERT_TRUE(read.elf) << read.error;
  EXPECT_EQ(read.elf->soname, "libc.so.6");
  EXPECT_TRUE(read.elf->exports("malloc"));
  EXPECT_TRUE(read.elf->loadable_here());
  EXPECT_FALSE(stub_evidence(*read.elf, c.real_path()).proven());
}

TEST(ElfReader, WhatIsNoFileIsRefused) {
  EXPECT_FALSE(read_elf("/nonexistent").elf);
  EXPECT_FALSE(read_elf("/").elf);
  EXPECT_FALSE(read_elf("/dev/zero").elf);
}

TEST(StubDetection, ADriverThatImportsIsNoStub) {
  const Elf elf = *parse_elf(Sample().bytes()).elf;
  EXPECT_FALSE(stub_evidence(elf, "/usr/lib/libcuda.so.1").proven());
  EXPECT_TRUE(stub_evidence(elf, "/opt/cuda/lib64/stubs/libcuda.so").proven());
  EXPECT_FALSE(stub_evidence(elf, "/opt/stubs/libcuda.so.580.159.04").proven());
}

TEST(StubDetection, ALibraryThatUsesNothingIsAStub) {
  Sample sample;
  sample.file.dynamic[5].d_tag = DT_DEBUG;
  sample.file.symbols[2].st_info = ELF64_ST_INFO(STB_WEAK, STT_NOTYPE);
  const Elf elf = *parse_elf(sample.bytes()).elf;
  EXPECT_TRUE(stub_evidence(elf, "/usr/lib/libcuda.so.1").imports_nothing);
}

TEST(StubDetection, ManyFunctionsOfOneTinySizeAreAStub) {
  Elf elf;
  elf.needed = {"libc.so.6"};
  for (int i = 0; i < 64; ++i) {
    elf.symbols.push_back({"cuFunction" + std::to_string(i), 11, true, true, false});
  }
  EXPECT_TRUE(stub_evidence(elf, "/usr/lib/libcuda.so.1").functions_alike);
  elf.symbols.back().size = 500;
  EXPECT_FALSE(stub_evidence(elf, "/usr/lib/libcuda.so.1").proven());
}

}  // namespace
}  // namespace conformance
