#include <algorithm>
#include <array>
#include <chrono>
#include <complex>
#include <functional>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "fixtures/cuda_graph.h"
#include "fixtures/held_stream.h"
#include "kernels/compare.h"
#include "suites/cublas/calls_test.h"
#include "suites/cublas/exact_bench.h"
#include "suites/cublas/findings.h"
#include "suites/cublas/lt_matmul.h"

namespace conformance::cublas {
namespace {

constexpr std::array<Transposes, 4> kTransposes{{{CUBLAS_OP_N, CUBLAS_OP_N},
                                                 {CUBLAS_OP_N, CUBLAS_OP_T},
                                                 {CUBLAS_OP_T, CUBLAS_OP_N},
                                                 {CUBLAS_OP_T, CUBLAS_OP_T}}};

/// What all kinds of gemm take of a product, as cuBLAS has it.
struct Arguments {
  explicit Arguments(const Multiplication& it)
      : transpose_a(operation(it.a)),
        transpose_b(operation(it.b)),
        m(static_cast<int>(it.product.m)),
        n(static_cast<int>(it.product.n)),
        k(static_cast<int>(it.product.k)),
        lda(static_cast<int>(it.a.leading)),
        ldb(static_cast<int>(it.b.leading)),
        ldc(static_cast<int>(it.c.leading)) {}
  cublasOperation_t transpose_a, transpose_b;
  int m, n, k, lda, ldb, ldc;
};

std::size_t room_for(const std::vector<Multiplication>& products) {
  std::size_t most = 0;
  for (const Multiplication& it : products) most = std::max(most, ExactBench::room_for(it));
  return most;
}

/// `work` with each of the types on each GPU that has it, if that is one.
void for_each_precision(const CudaInventory& devices,
                        std::initializer_list<const Precision*> precisions,
                        const std::function<void(const Precision&, const CudaDevice&)>& work) {
  for_each_gpu(devices, [&](const CudaDevice& device) {
    for (const Precision* precision : precisions) {
      if (10 * device.major + device.minor >= precision->compute_capability) {
        work(*precision, device);
      }
    }
  });
}

TEST_F(Calls, TinyOddAndEmptyProductsAreRightAtAllScales) {
  claim(
      "Products of any shape, with sides of 1, primes and 0, and of any alpha and beta, are right; "
      "without depth C is scaled, and with beta 0 it is not read",
      "cuBLAS: cublas<t>gemm, cublasGemmEx");
  for_each_precision(
      require(Devices{1}), {&fp64, &fp16},
      [](const Precision& precision, const CudaDevice& device) {
        constexpr std::array<Shape, 10> kShapes{{{1, 1, 1},
                                                 {1, 7, 1},
                                                 {7, 1, 13, 1, 2, 3},
                                                 {1, 1, 47},
                                                 {61, 1, 1},
                                                 {2, 3, 5},
                                                 {5, 3, 0},
                                                 {0, 3, 5},
                                                 {3, 0, 5},
                                                 {31, 37, 41, 4, 0, 1}}};
        constexpr std::array<Scale, 8> kScales{
            {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {-1, 2}, {-1, -1}, {3, -2}, {0, -1}}};
        std::vector<Multiplication> products;
        for (std::size_t i = 0; i < kShapes.size(); ++i) {
          // All of them for the last shape, two for the others.
          const bool last = i + 1 == kShapes.size();
          for (std::size_t j = 0; j < kScales.size(); ++j) {
            if (!last && j % 4 != i % 4) continue;
            const Transposes transposes = kTransposes[(i + j / 4) % kTransposes.size()];
            products.push_back(exact_product(precision, kShapes[i], transposes, kScales[j]));
          }
        }
        ExactBench bench(precision, device, room_for(products));
        for (const Multiplication& it : products) bench.check(it);
      });
}

/// How many products a batch has.
constexpr unsigned kBatch = 5;

std::vector<Multiplication> batch(const Precision& precision) {
  std::vector<Multiplication> products;
  for (unsigned i = 0; i < kBatch; ++i) {
    products.push_back(exact_product(precision, {33, 17, 20, 3, 0, 2}, {CUBLAS_OP_T, CUBLAS_OP_N},
                                     {-1, 1}, i + 1));
  }
  return products;
}

TEST_F(Calls, EachProductOfAStridedBatchIsRight) {
  claim("Each product of cublasGemmStridedBatchedEx is of its own operands",
        "cuBLAS: cublasGemmStridedBatchedEx");
  for_each_precision(
      require(Devices{1}), {&fp64, &fp32, &fp16, &bf16},
      [](const Precision& precision, const CudaDevice& device) {
        const std::vector<Multiplication> products = batch(precision);
        // Different strides, none of which is the size of a matrix.
        const std::size_t room = (room_for(products) + 7) / 8 * 8;
        const Place stride{room, room + 8, room + 16};
        ExactBench bench(precision, device, kBatch * stride.c);
        const auto place = [&](std::size_t i) {
          return Place{i * stride.a, i * stride.b, i * stride.c};
        };
        for (std::size_t i = 0; i < kBatch; ++i) bench.fill(products[i], place(i));
        const Arguments with(products.front());
        const Scalar alpha(scale_type(precision), products.front().product.alpha);
        const Scalar beta(scale_type(precision), products.front().product.beta);
        ensure(CONFORMANCE_CALL(cublasGemmStridedBatchedEx(
            bench.handle().get(), with.transpose_a, with.transpose_b, with.m, with.n, with.k,
            alpha.data(), bench.a(), data_type(precision.element), with.lda,
            static_cast<long long>(stride.a), bench.b(), data_type(precision.element_b), with.ldb,
            static_cast<long long>(stride.b), beta.data(), bench.c(), data_type(precision.result),
            with.ldc, static_cast<long long>(stride.c), kBatch, precision.compute,
            CUBLAS_GEMM_DEFAULT)));
        for (std::size_t i = 0; i < kBatch; ++i) {
          bench.verify(products[i], place(i),
                       fmt::format("product {} of {} of cublasGemmStridedBatchedEx", i, kBatch));
        }
      });
}

TEST_F(Calls, EachProductOfABatchOfPointersIsRight) {
  claim("Each product of cublasGemmBatchedEx is of the operands that its pointers name",
        "cuBLAS: cublasGemmBatchedEx");
  for_each_precision(
      require(Devices{1}), {&fp64, &fp32, &fp16, &bf16},
      [](const Precision& precision, const CudaDevice& device) {
        const std::vector<Multiplication> products = batch(precision);
        const std::size_t room = (room_for(products) + 31) / 32 * 32;
        ExactBench bench(precision, device, kBatch * room);
        // Operands in orders that no stride describes.
        const auto place = [&](std::size_t i) {
          return Place{(kBatch - 1 - i) * room, (2 * i) % kBatch * room, (3 * i) % kBatch * room};
        };
        const PinnedBuffer<void*> pointers(3 * kBatch);
        for (std::size_t i = 0; i < kBatch; ++i) {
          bench.fill(products[i], place(i));
          pointers[i] = bench.a(place(i));
          pointers[kBatch + i] = bench.b(place(i));
          pointers[2 * kBatch + i] = bench.c(place(i));
        }
        const DeviceBuffer<void*> there(pointers.size());
        ensure(CONFORMANCE_CALL(cudaMemcpyAsync(there.data(), pointers.data(), pointers.bytes(),
                                                cudaMemcpyHostToDevice, bench.stream().get())));
        const Arguments with(products.front());
        const Scalar alpha(scale_type(precision), products.front().product.alpha);
        const Scalar beta(scale_type(precision), products.front().product.beta);
        ensure(CONFORMANCE_CALL(cublasGemmBatchedEx(
            bench.handle().get(), with.transpose_a, with.transpose_b, with.m, with.n, with.k,
            alpha.data(), there.data(), data_type(precision.element), with.lda,
            there.data() + kBatch, data_type(precision.element_b), with.ldb, beta.data(),
            there.data() + 2 * kBatch, data_type(precision.result), with.ldc, kBatch,
            precision.compute, CUBLAS_GEMM_DEFAULT)));
        for (std::size_t i = 0; i < kBatch; ++i) {
          bench.verify(products[i], place(i),
                       fmt::format("product {} of {} of cublasGemmBatchedEx", i, kBatch));
        }
      });
}

/// Two scalars in a GPU's memory, there for what is queued later.
class DeviceScalars {
 public:
  DeviceScalars(const ExactBench& bench, const kernels::Product& product)
      : host_(kEach * 2), device_(kEach * 2) {
    const Scalar alpha(scale_type(bench.precision()), product.alpha);
    const Scalar beta(scale_type(bench.precision()), product.beta);
    std::copy_n(static_cast<const std::byte*>(alpha.data()), kEach, &host_[0]);
    std::copy_n(static_cast<const std::byte*>(beta.data()), kEach, &host_[kEach]);
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(device_.data(), host_.data(), host_.bytes(),
                                            cudaMemcpyHostToDevice, bench.stream().get())));
  }
  const void* alpha() const { return device_.data(); }
  const void* beta() const { return device_.data() + kEach; }

 private:
  static constexpr std::size_t kEach = 16;
  const PinnedBuffer<std::byte> host_;
  const DeviceBuffer<std::byte> device_;
};

TEST_F(Calls, ScalarsAreTakenFromDeviceMemory) {
  claim(
      "With CUBLAS_POINTER_MODE_DEVICE, alpha and beta are what device memory holds when the "
      "product runs",
      "cuBLAS: Scalar Parameters, cublasSetPointerMode");
  for_each_precision(
      require(Devices{1}), {&fp64, &fp32, &fp16},
      [](const Precision& precision, const CudaDevice& device) {
        const Multiplication it =
            exact_product(precision, {33, 17, 20}, {CUBLAS_OP_N, CUBLAS_OP_T}, {-1, 2});
        ExactBench bench(precision, device, ExactBench::room_for(it));
        bench.fill(it);
        const DeviceScalars scalars(bench, it.product);
        const Arguments with(it);
        ensure(CONFORMANCE_CALL(
            cublasSetPointerMode(bench.handle().get(), CUBLAS_POINTER_MODE_DEVICE)));
        ensure(CONFORMANCE_CALL(cublasGemmEx(
            bench.handle().get(), with.transpose_a, with.transpose_b, with.m, with.n, with.k,
            scalars.alpha(), bench.a(), data_type(precision.element), with.lda, bench.b(),
            data_type(precision.element_b), with.ldb, scalars.beta(), bench.c(),
            data_type(precision.result), with.ldc, precision.compute, CUBLAS_GEMM_DEFAULT)));
        bench.verify(it, {}, "scalars in device memory");
        ensure(
            CONFORMANCE_CALL(cublasSetPointerMode(bench.handle().get(), CUBLAS_POINTER_MODE_HOST)));
        bench.check(it);
      });
}

TEST_F(Calls, LtProductsAreRight) {
  claim(
      "cublasLtMatmul gives every element exactly where no sum needs rounding: with all "
      "transposes, padded columns, a workspace, and scalars of the host or of the GPU",
      "cuBLAS: cublasLtMatmul, cublasLtMatmulAlgoGetHeuristic");
  for_each_precision(
      require(Devices{1}), {&fp32, &fp16, &bf16, &int8},
      [](const Precision& precision, const CudaDevice& device) {
        // Sides and columns as all kernels take them.
        constexpr Shape kShape{48, 64, 32, 16, 16, 16};
        std::vector<Multiplication> products;
        for (const Transposes transposes : kTransposes) {
          // cuBLASLt's kernels for int8 take no other.
          const bool tn = transposes.a == CUBLAS_OP_T && transposes.b == CUBLAS_OP_N;
          if (precision.only_unit_scales && !tn) continue;
          const Scale scale = precision.only_unit_scales ? Scale{1, 1} : Scale{-1, 1};
          products.push_back(exact_product(precision, kShape, transposes, scale));
        }
        ExactBench bench(precision, device, room_for(products));
        const DeviceBuffer<std::byte> workspace(
            scaled_bytes(std::size_t{32} << 20, device.total_memory));
        for (const Multiplication& it : products) {
          LtOptions options{.workspace = workspace.data(), .workspace_bytes = workspace.bytes()};
          bench.fill(it);
          const Scalar alpha(scale_type(precision), it.product.alpha);
          const Scalar beta(scale_type(precision), it.product.beta);
          ensure(LtMatmul(bench.handle(), precision, it, options)
                     .queue(alpha.data(), bench.a(), bench.b(), beta.data(), bench.c()));
          bench.verify(it, {}, "cublasLtMatmul");
        }
        if (precision.only_unit_scales) return;
        const Multiplication& it = products.front();
        bench.fill(it);
        const DeviceScalars scalars(bench, it.product);
        ensure(
            LtMatmul(bench.handle(), precision, it, {.pointer_mode = CUBLASLT_POINTER_MODE_DEVICE})
                .queue(scalars.alpha(), bench.a(), bench.b(), scalars.beta(), bench.c()));
        bench.verify(it, {}, "cublasLtMatmul with scalars in device memory");
      });
}

TEST_F(Calls, Fp8OperandsAreScaled) {
  claim("cublasLtMatmul multiplies 8-bit floating point operands by their scale factors",
        "cuBLAS: CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER");
  for_each_gpu(capable(require(Devices{1}), e4m3), [](const CudaDevice& device) {
    // Factors of 8 and 1/2 make 2·A·B of A·B.
    Multiplication it = exact_product(e4m3, {64, 32, 48}, {CUBLAS_OP_T, CUBLAS_OP_N}, {2, 1});
    ExactBench bench(e4m3, device, ExactBench::room_for(it));
    bench.fill(it);
    const PinnedBuffer<float> host(2);
    host[0] = 8;
    host[1] = 0.5F;
    // Each is a tensor's only one, and aligned as a tensor.
    const DeviceBuffer<float> a(64);
    const DeviceBuffer<float> b(64);
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(a.data(), &host[0], sizeof(float),
                                            cudaMemcpyHostToDevice, bench.stream().get())));
    ensure(CONFORMANCE_CALL(cudaMemcpyAsync(b.data(), &host[1], sizeof(float),
                                            cudaMemcpyHostToDevice, bench.stream().get())));
    const Scalar half(scale_type(e4m3), 0.5);
    const Scalar one(scale_type(e4m3), 1);
    ensure(LtMatmul(bench.handle(), e4m3, it, {.scale_a = a.data(), .scale_b = b.data()})
               .queue(half.data(), bench.a(), bench.b(), one.data(), bench.c()));
    bench.verify(it, {}, "scale factors of 8 for A and 1/2 for B, alpha 1/2");
  });
}

/// Copies elements from a GPU, and waits for them.
template <typename T>
std::vector<T> copied(const T* from, std::size_t count, const Stream& stream,
                      const Subject& subject) {
  const PinnedBuffer<T> host(count);
  ensure(CONFORMANCE_CALL(
      cudaMemcpyAsync(host.data(), from, host.bytes(), cudaMemcpyDeviceToHost, stream.get())));
  synchronize(stream, subject);
  return {host.data(), host.data() + count};
}

/// A vector in a GPU's memory.
template <typename T>
DeviceBuffer<T> uploaded(const std::vector<T>& values, const Stream& stream,
                         const Subject& subject) {
  const PinnedBuffer<T> host(values.size());
  std::copy(values.begin(), values.end(), host.data());
  DeviceBuffer<T> device(values.size());
  ensure(CONFORMANCE_CALL(cudaMemcpyAsync(device.data(), host.data(), host.bytes(),
                                          cudaMemcpyHostToDevice, stream.get())));
  synchronize(stream, subject);
  return device;
}

/// Compares what a call gave with what it must give.
template <typename T>
void expect_equal(const std::vector<T>& found, const std::vector<T>& expected,
                  std::string_view call, const Subject& subject) {
  std::size_t wrong = 0;
  std::size_t first = 0;
  for (std::size_t i = expected.size(); i-- > 0;) {
    if (found[i] == expected[i]) continue;
    ++wrong;
    first = i;
  }
  if (wrong > 0) {
    const auto text = [](const T& value) {
      if constexpr (std::is_floating_point_v<T>) {
        return fmt::format("{}", value);
      } else {
        return fmt::format("{} + {}i", value.real(), value.imag());
      }
    };
    fail_and_end(Finding(
        wrong_element, subject,
        fmt::format("{}: {} of {} elements are wrong; element {} should be {}, is "
                    "{}",
                    call, wrong, expected.size(), first, text(expected[first]), text(found[first])),
        {{"call", std::string(call)},
         {"wrong_elements", std::uint64_t{wrong}},
         {"element", std::uint64_t{first}}}));
  }
  verified(expected.size(), "elements");
}

/// Integers from -4 to 4.
template <typename T>
std::vector<T> small_integers(std::size_t count, std::uint64_t which) {
  const std::uint64_t seed = kernels::mix(Session::current().settings().seed) + which;
  std::vector<T> values(count);
  const auto draw = [&](std::size_t i) {
    return static_cast<int>(kernels::mix(kernels::mix(seed) + i) % 9) - 4;
  };
  for (std::size_t i = 0; i < count; ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      values[i] = static_cast<T>(draw(i));
    } else {
      using Part = typename T::value_type;
      values[i] = T(static_cast<Part>(draw(2 * i)), static_cast<Part>(draw(2 * i + 1)));
    }
  }
  return values;
}

template <typename T, typename Cuda, typename Gemm>
void check_complex_scalars(const CudaDevice& device, std::string_view name, const Gemm& gemm) {
  constexpr int kRows = 5, kColumns = 4, kDepth = 3, kLeading = 6;
  const T alpha(2, -1);
  const T beta(1, 3);
  const Subject subject = device.subject();
  const Stream stream;
  const CublasHandle handle(stream);
  const std::vector<T> a = small_integers<T>(kLeading * kLeading, 30);
  const std::vector<T> b = small_integers<T>(kLeading * kLeading, 31);
  const std::vector<T> c = small_integers<T>(kLeading * kColumns, 32);
  const DeviceBuffer<T> a_there = uploaded(a, stream, subject);
  const DeviceBuffer<T> b_there = uploaded(b, stream, subject);
  const auto element = [](const std::vector<T>& matrix, cublasOperation_t operation, int row,
                          int column) {
    if (operation == CUBLAS_OP_N) return matrix[column * kLeading + row];
    const T value = matrix[row * kLeading + column];
    return operation == CUBLAS_OP_C ? std::conj(value) : value;
  };
  for (const cublasOperation_t op_a : {CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C}) {
    for (const cublasOperation_t op_b : {CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C}) {
      const DeviceBuffer<T> result = uploaded(c, stream, subject);
      const auto cuda = [](auto* pointer) {
        return reinterpret_cast<std::conditional_t<
            std::is_const_v<std::remove_pointer_t<decltype(pointer)>>, const Cuda, Cuda>*>(pointer);
      };
      ensure(to_status(gemm(handle.get(), op_a, op_b, kRows, kColumns, kDepth, cuda(&alpha),
                            cuda(a_there.data()), kLeading, cuda(b_there.data()), kLeading,
                            cuda(&beta), cuda(result.data()), kLeading),
                       name));
      std::vector<T> expected = c;
      for (int j = 0; j < kColumns; ++j) {
        for (int i = 0; i < kRows; ++i) {
          T sum = 0;
          for (int l = 0; l < kDepth; ++l) sum += element(a, op_a, i, l) * element(b, op_b, l, j);
          expected[j * kLeading + i] = alpha * sum + beta * c[j * kLeading + i];
        }
      }
      expect_equal(copied(result.data(), result.size(), stream, subject), expected,
                   fmt::format("{} with complex scalars, operations {} and {}", name,
                               static_cast<int>(op_a), static_cast<int>(op_b)),
                   subject);
    }
  }
}

TEST_F(Calls, ComplexScalarsAndConjugatesAreRight) {
  claim("cublasCgemm and cublasZgemm are right with complex alpha and beta and all operations",
        "cuBLAS: cublas<t>gemm, cublasOperation_t");
  for_each_gpu(require(Devices{1}), [](const CudaDevice& device) {
    check_complex_scalars<std::complex<float>, cuComplex>(device, "cublasCgemm", cublasCgemm);
    check_complex_scalars<std::complex<double>, cuDoubleComplex>(device, "cublasZgemm",
                                                                 cublasZgemm);
  });
}

TEST_F(Calls, OtherLevelsOfBlasAreRight) {
  claim("cublasDdot, cublasSgemv, cublasSsyrk and cublasDtrsm are exact where nothing rounds",
        "cuBLAS: cublas<t>dot, cublas<t>gemv, cublas<t>syrk, cublas<t>trsm");
  for_each_gpu(require(Devices{1}), [](const CudaDevice& device) {
    const Subject subject = device.subject();
    const Stream stream;
    const CublasHandle handle(stream);
    constexpr int kRows = 33, kColumns = 17, kStep = 2;
    const std::vector<float> a = small_integers<float>(kRows * kColumns, 33);
    const DeviceBuffer<float> a_there = uploaded(a, stream, subject);
    const float two = 2;
    const float minus = -1;

    const std::vector<double> x = small_integers<double>(1000, 34);
    const std::vector<double> y = small_integers<double>(2000, 35);
    const DeviceBuffer<double> x_there = uploaded(x, stream, subject);
    const DeviceBuffer<double> y_there = uploaded(y, stream, subject);
    double dot = 0;
    double expected_dot = 0;
    for (std::size_t i = 0; i < x.size(); ++i) expected_dot += x[i] * y[2 * i];
    ensure(CONFORMANCE_CALL(
        cublasDdot(handle.get(), 1000, x_there.data(), 1, y_there.data(), kStep, &dot)));
    expect_equal<double>({dot}, {expected_dot}, "cublasDdot", subject);

    const std::vector<float> u = small_integers<float>(kColumns, 36);
    const std::vector<float> v = small_integers<float>(kRows * kStep, 37);
    const DeviceBuffer<float> u_there = uploaded(u, stream, subject);
    const DeviceBuffer<float> v_there = uploaded(v, stream, subject);
    std::vector<float> expected_v = v;
    for (int i = 0; i < kRows; ++i) {
      float sum = 0;
      for (int j = 0; j < kColumns; ++j) sum += a[j * kRows + i] * u[j];
      expected_v[i * kStep] = two * sum - v[i * kStep];
    }
    ensure(CONFORMANCE_CALL(cublasSgemv(handle.get(), CUBLAS_OP_N, kRows, kColumns, &two,
                                        a_there.data(), kRows, u_there.data(), 1, &minus,
                                        v_there.data(), kStep)));
    expect_equal(copied(v_there.data(), v.size(), stream, subject), expected_v, "cublasSgemv",
                 subject);

    const std::vector<float> c = small_integers<float>(kRows * kRows, 38);
    const DeviceBuffer<float> c_there = uploaded(c, stream, subject);
    std::vector<float> expected_c = c;
    for (int j = 0; j < kRows; ++j) {
      for (int i = j; i < kRows; ++i) {
        float sum = 0;
        for (int l = 0; l < kColumns; ++l) sum += a[l * kRows + i] * a[l * kRows + j];
        expected_c[j * kRows + i] = two * sum - c[j * kRows + i];
      }
    }
    ensure(CONFORMANCE_CALL(cublasSsyrk(handle.get(), CUBLAS_FILL_MODE_LOWER, CUBLAS_OP_N, kRows,
                                        kColumns, &two, a_there.data(), kRows, &minus,
                                        c_there.data(), kRows)));
    expect_equal(copied(c_there.data(), c.size(), stream, subject), expected_c, "cublasSsyrk",
                 subject);

    // L·X, with a unit diagonal that is not stored, for an X that is then to be found again.
    constexpr int kSide = 12, kRight = 5;
    std::vector<double> l = small_integers<double>(kSide * kSide, 39);
    const std::vector<double> solution = small_integers<double>(kSide * kRight, 40);
    std::vector<double> right = solution;
    for (int j = 0; j < kRight; ++j) {
      for (int i = 0; i < kSide; ++i) {
        for (int k = 0; k < i; ++k)
          right[j * kSide + i] += l[k * kSide + i] * solution[j * kSide + k];
      }
    }
    std::vector<double> doubled = solution;
    for (double& value : doubled) value *= 2;
    const double factor = 2;
    const DeviceBuffer<double> l_there = uploaded(l, stream, subject);
    const DeviceBuffer<double> right_there = uploaded(right, stream, subject);
    ensure(CONFORMANCE_CALL(cublasDtrsm(handle.get(), CUBLAS_SIDE_LEFT, CUBLAS_FILL_MODE_LOWER,
                                        CUBLAS_OP_N, CUBLAS_DIAG_UNIT, kSide, kRight, &factor,
                                        l_there.data(), kSide, right_there.data(), kSide)));
    expect_equal(copied(right_there.data(), right.size(), stream, subject), doubled, "cublasDtrsm",
                 subject);
  });
}

TEST_F(Calls, ProductsWithAWorkspaceOfTheUserStayWithinIt) {
  claim("With a workspace of the user, products are right and nothing is written behind it",
        "cuBLAS: cublasSetWorkspace");
  for_each_precision(
      require(Devices{1}), {&fp32, &fp16},
      [](const Precision& precision, const CudaDevice& device) {
        // Deep and narrow, as is divided among multiprocessors along k, with parts in the
        // workspace.
        const Multiplication it = exact_product(precision, {64, 64, scaled_side(4096, device)},
                                                {CUBLAS_OP_T, CUBLAS_OP_N}, {1, 1});
        ExactBench bench(precision, device, ExactBench::room_for(it));
        constexpr unsigned char kGuard = 0x5A;
        constexpr std::size_t kGuardBytes = 4096;
        const std::size_t bytes = scaled_bytes(std::size_t{32} << 20, device.total_memory);
        const DeviceBuffer<std::byte> workspace(bytes + kGuardBytes);
        ensure(CONFORMANCE_CALL(
            cudaMemsetAsync(workspace.data(), kGuard, workspace.bytes(), bench.stream().get())));
        synchronize(bench.stream(), bench.subject());
        ensure(CONFORMANCE_CALL(cublasSetWorkspace(bench.handle().get(), workspace.data(), bytes)));
        bench.check(it);
        DeviceResult<kernels::Mismatch> changed(bench.stream());
        ensure(CONFORMANCE_CALL(kernels::check_bytes(workspace.data() + bytes, kGuardBytes, kGuard,
                                                     changed.data(), bench.stream().get())));
        const kernels::Mismatch found = changed.take(bench.subject());
        expect(found.count == 0,
               Finding(wrote_outside, bench.subject(),
                       fmt::format("{}: {} bytes behind a workspace of {} bytes changed, the first "
                                   "is byte {}",
                                   describe(precision, it), found.count, bytes, found.first_index),
                       {{"changed_bytes", std::uint64_t{found.count}},
                        {"first", std::uint64_t{found.first_index}}}));
        verified(kGuardBytes, "bytes");
      });
}

TEST_F(Calls, CapturedProductsAreComputedAtEachLaunchOfTheirGraph) {
  claim(
      "A product in a capturing stream does not run when it is called, and runs with what its "
      "operands then hold at each launch of the graph",
      "cuBLAS: CUDA Graphs Support");
  for_each_precision(
      require(Devices{1}), {&fp64, &fp32, &fp16},
      [](const Precision& precision, const CudaDevice& device) {
        Multiplication it =
            exact_product(precision, {33, 17, 20}, {CUBLAS_OP_T, CUBLAS_OP_N}, {1, 1});
        ExactBench bench(precision, device, ExactBench::room_for(it));
        const DeviceBuffer<std::byte> workspace(
            scaled_bytes(std::size_t{32} << 20, device.total_memory));
        ensure(CONFORMANCE_CALL(
            cublasSetWorkspace(bench.handle().get(), workspace.data(), workspace.bytes())));
        // So that what is loaded or set up at the first call is.
        bench.check(it);
        bench.fill(it);
        StreamCapture capture(bench.stream());
        ensure(multiply(bench.handle(), precision, it, bench.a(), bench.b(), bench.c()));
        const GraphExecutable graph(capture.end());
        it.product.alpha = 0;
        bench.verify(it, {}, "captured and not launched");
        constexpr int kLaunches = 3;
        for (int i = 0; i < kLaunches; ++i) graph.launch(bench.stream());
        // Each launch has added A·B to C.
        it.product.alpha = kLaunches;
        bench.verify(it, {}, "captured and launched three times");
      });
}

TEST_F(Calls, ProductsWaitForTheEarlierWorkOfTheirStream) {
  claim("A product runs in the stream that its handle was given, after that stream's earlier work",
        "cuBLAS: cublasSetStream");
  if (launches_block()) skip(kLaunchesBlock);
  for_each_precision(
      require(Devices{1}), {&fp64, &fp32, &fp16},
      [](const Precision& precision, const CudaDevice& device) {
        Multiplication it =
            exact_product(precision, {33, 17, 20}, {CUBLAS_OP_N, CUBLAS_OP_N}, {1, 1});
        ExactBench bench(precision, device, ExactBench::room_for(it));
        // Allocating and freeing would wait for what is held up, so all is there beforehand.
        const Stream other;
        DeviceResult<unsigned long long> hash(other);
        const auto hash_of_c = [&] {
          ensure(CONFORMANCE_CALL(
              kernels::hash_words(bench.c(),
                                  kernels::elements_of(it.c) * kernels::bytes_of(precision.result) /
                                      sizeof(std::uint64_t),
                                  hash.data(), other.get())));
          return hash.take(bench.subject());
        };
        // Loads the kernels.
        bench.check(it);
        bench.fill(it);
        synchronize(bench.stream(), bench.subject());
        const unsigned long long before = hash_of_c();
        HeldStream held(bench.stream());
        ensure(multiply(bench.handle(), precision, it, bench.a(), bench.b(), bench.c()));
        // Long enough for a product that does not wait.
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        const unsigned long long meanwhile = hash_of_c();
        if (held.held_for().count() > 0) {
          skip("the streams of this process wait for each other: CUDA_DEVICE_MAX_CONNECTIONS?");
        }
        held.release();
        expect(meanwhile == before,
               Finding(out_of_order, bench.subject(),
                       fmt::format("{}: C changed while the stream's earlier work was held up",
                                   describe(precision, it)),
                       {{"type", std::string(precision.name)}}));
        bench.verify(it, {}, "behind other work");
      });
}

}  // namespace
}  // namespace conformance::cublas
