#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "fixtures/clock_watch.h"
#include "suites/cublas/matmul.h"

namespace conformance::cublas {

// Smaller on GPUs with little memory, where several may then be one.
inline constexpr std::array<unsigned, 3> kSides{4096, 8192, 16384};
/// The largest of kSides is the largest of which a product takes no longer.
inline constexpr double kLongestProduct = 0.5;
/// The side on a device for one of kSides.
unsigned side_on(unsigned wanted, const CudaDevice& device);

/// What a GPU took for square products of one type and size.
struct Taken {
  unsigned side = 0;
  std::vector<double> seconds;  ///< of each
  Conditions conditions;        ///< meanwhile

  /// 2·n³ / time, in TFLOP/s.
  std::vector<double> throughputs() const;
};

/// The figure of a GPU, with its limit.
Figure throughput_figure(const std::string& name, const Precision& precision,
                         const CudaDevice& device, const Taken& taken, std::string_view when);

/// Records that figure with a floor: by the other GPUs of the same name among `all`, which worked
/// at the same time, or by what products were measured to reach, whichever is higher. A GPU under
/// its floor is a finding that says why.
void judge_throughput(Figure figure, const Precision& precision, const CudaDevice& device,
                      const CudaInventory& all, const std::map<int, Taken>& taken);

}  // namespace conformance::cublas
