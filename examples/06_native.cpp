// Labels in C++, by an exported file, with ONNX Runtime (its headers and library from its releases):
//   fullconv export MODEL --to onnx --out street.onnx
//   g++ -std=c++17 06_native.cpp -I ORT/include -L ORT/lib -lonnxruntime -o segment
//   ./segment street.onnx pixels.rgb 480 360 labels.raw
// pixels.rgb: bytes of height * width * 3, row by row; labels.raw: a byte a pixel (int32 above 256 classes).
#include <onnxruntime_cxx_api.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

int main(int count, char** words) {
  if (count != 6) throw std::invalid_argument("MODEL PIXELS WIDTH HEIGHT OUT");
  const std::int64_t width = std::stoll(words[3]), height = std::stoll(words[4]);
  std::ifstream file(words[2], std::ios::binary);
  std::vector<char> read{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::uint8_t> pixels(read.begin(), read.end());
  if (static_cast<std::int64_t>(pixels.size()) != width * height * 3) throw std::invalid_argument("PIXELS has another size");

  Ort::Env environment(ORT_LOGGING_LEVEL_WARNING, "segment");
  Ort::Session session(environment, words[1], Ort::SessionOptions{});
  const std::array<std::int64_t, 4> shape{1, height, width, 3};
  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  auto images = Ort::Value::CreateTensor<std::uint8_t>(memory, pixels.data(), pixels.size(), shape.data(), shape.size());
  const char *inputs[] = {"images"}, *outputs[] = {"labels"};  // no other output is computed
  auto found = session.Run(Ort::RunOptions{nullptr}, inputs, &images, 1, outputs, 1);
  std::ofstream(words[5], std::ios::binary)
      .write(reinterpret_cast<const char*>(found[0].GetTensorData<std::uint8_t>()), width * height);
}
