// Labels in C++, by an exported file, with ONNX Runtime (its headers and library from its releases, here in ORT):
//   fullconv export MODEL --to onnx --out street.onnx
//   g++ -std=c++17 06_native.cpp -I ORT/include -L ORT/lib -Wl,-rpath,ORT/lib -lonnxruntime -o segment
//   ./segment street.onnx pixels.rgb 480 360 labels.raw
// pixels.rgb: bytes of height * width * 3, row by row; labels.raw: a byte a pixel (int32 above 256 classes).
#include <onnxruntime_cxx_api.h>

#include <array>
#include <cstdint>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

void segment(const char* model, const char* from, std::int64_t width, std::int64_t height, const char* to) {
  std::ifstream file(from, std::ios::binary);
  std::vector<char> pixels{std::istreambuf_iterator<char>(file), {}};
  if (static_cast<std::int64_t>(pixels.size()) != width * height * 3) throw std::invalid_argument("PIXELS has another size");

  Ort::Env environment(ORT_LOGGING_LEVEL_WARNING, "segment");
  Ort::Session session(environment, model, Ort::SessionOptions{});  // once for all images
  const std::array<std::int64_t, 4> shape{1, height, width, 3};
  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  auto images = Ort::Value::CreateTensor<std::uint8_t>(
      memory, reinterpret_cast<std::uint8_t*>(pixels.data()), pixels.size(), shape.data(), shape.size());
  const char *inputs[] = {"images"}, *outputs[] = {"labels"};  // no other output is computed
  auto found = session.Run(Ort::RunOptions{nullptr}, inputs, &images, 1, outputs, 1);
  auto info = found[0].GetTensorTypeAndShapeInfo();
  const std::size_t bytes = info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 ? 1 : 4;
  std::ofstream out(to, std::ios::binary);
  out.write(static_cast<const char*>(found[0].GetTensorRawData()), info.GetElementCount() * bytes);
  if (!out.flush()) throw std::runtime_error("OUT cannot be written");
}

int main(int count, char** words) try {
  if (count != 6) throw std::invalid_argument("MODEL PIXELS WIDTH HEIGHT OUT");
  segment(words[1], words[2], std::stoll(words[3]), std::stoll(words[4]), words[5]);
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
