#pragma once

#include <filesystem>
#include <string_view>

#include "fixtures/scratch_folder.h"

namespace conformance::support {

using conformance::ScratchFolder;

/// Writes a file of scratch, and the folders above it that are missing. Throws std::runtime_error.
void write_scratch(const std::filesystem::path& path, std::string_view text);

}  // namespace conformance::support
