// ExecuTorch's C++ runtime behind a C interface, for `agecompact.runtimes.executorch_native`.
//
// Functions that can fail return 0 for success, else the number of an `executorch::runtime::Error`.

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

using executorch::extension::from_blob;
using executorch::extension::Module;
using executorch::extension::TensorPtr;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::MethodMeta;
using executorch::runtime::Program;
using executorch::runtime::Result;
using executorch::runtime::TensorInfo;

namespace {

constexpr char kMethod[] = "forward";

int number(Error error) { return static_cast<int>(error); }

Result<TensorInfo> info(const MethodMeta& meta, bool output, size_t place) {
  return output ? meta.output_tensor_meta(place) : meta.input_tensor_meta(place);
}

}  // namespace

extern "C" {

// Loads a program; `delete_module` frees it whether or not that succeeded.
int open_module(const char* path, Module** module) {
  *module = new Module(path, Module::LoadMode::File);
  return number((*module)->load(Program::Verification::InternalConsistency));
}

void delete_module(Module* module) { delete module; }

int load_forward(Module* module) { return number(module->load_method(kMethod)); }

int count_tensors(Module* module, bool output, int64_t* count) {
  const auto meta = module->method_meta(kMethod);
  if (!meta.ok()) return number(meta.error());
  *count = output ? meta->num_outputs() : meta->num_inputs();
  return 0;
}

// Writes at most `capacity` sizes, and the number that there are.
int describe_tensor(Module* module, bool output, int64_t place, int64_t capacity, int64_t* rank,
                    int64_t* sizes, int* dtype) {
  const auto meta = module->method_meta(kMethod);
  if (!meta.ok()) return number(meta.error());
  const auto found = info(*meta, output, place);
  if (!found.ok()) return number(found.error());
  const auto shape = found->sizes();
  *rank = shape.size();
  *dtype = static_cast<int>(found->scalar_type());
  std::copy_n(shape.begin(), std::min<int64_t>(capacity, *rank), sizes);
  return 0;
}

// Copies the text that a method without inputs returns; `length` is 0 if there is no such method.
int read_text(Module* module, const char* method, char* text, int64_t capacity, int64_t* length) {
  *length = 0;
  const auto names = module->method_names();
  if (!names.ok()) return number(names.error());
  if (names->count(method) == 0) return 0;
  const auto made = module->execute(method);
  if (!made.ok()) return number(made.error());
  if (made->size() != 1 || !made->front().isString()) return 0;
  const auto found = made->front().toString();
  *length = found.size();
  std::memcpy(text, found.data(), std::min<int64_t>(capacity, *length));
  return 0;
}

// Runs the method on the inputs' memory, and copies each output to its own, of `bytes`.
int run_forward(Module* module, void* const* inputs, void* const* outputs, const int64_t* bytes) {
  const auto meta = module->method_meta(kMethod);
  if (!meta.ok()) return number(meta.error());
  std::vector<TensorPtr> tensors;
  std::vector<EValue> values;
  for (size_t i = 0; i < meta->num_inputs(); ++i) {
    const auto found = meta->input_tensor_meta(i);
    if (!found.ok()) return number(found.error());
    const auto shape = found->sizes();
    tensors.push_back(
        from_blob(inputs[i], {shape.begin(), shape.end()}, found->scalar_type()));
    values.emplace_back(*tensors.back());
  }
  const auto made = module->execute(kMethod, values);
  if (!made.ok()) return number(made.error());
  for (size_t i = 0; i < made->size(); ++i) {
    if (!(*made)[i].isTensor()) return number(Error::InvalidType);
    const auto& tensor = (*made)[i].toTensor();
    if (static_cast<int64_t>(tensor.nbytes()) != bytes[i]) return number(Error::InvalidArgument);
    std::memcpy(outputs[i], tensor.const_data_ptr(), bytes[i]);
  }
  return 0;
}

}  // extern "C"
