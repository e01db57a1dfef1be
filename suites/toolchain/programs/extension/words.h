#pragma once

#include <vector>

/// The words that a kernel wrote on a GPU. Throws std::runtime_error.
std::vector<unsigned> words_of_gpu(int ordinal, unsigned count, unsigned seed);
