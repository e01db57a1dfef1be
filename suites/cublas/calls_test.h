#pragma once

#include "suites/cublas/matmul.h"

namespace conformance::cublas {

/// Base of the tests of the ways in which cuBLAS can be called: one suite in several files.
class Calls : public MatmulTest {};

}  // namespace conformance::cublas
