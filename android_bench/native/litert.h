/* The part of LiteRT's C API that the runner calls, declared here because no wheel ships headers.
 *
 * The API changes between releases; this is ai-edge-litert 2.3.0. Structs are passed as opaque
 * blocks, so only the few fields that are read here must keep their place. */
#ifndef AGECOMPACT_LITERT_H
#define AGECOMPACT_LITERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LITERT_OK = 0, LITERT_LOCK_READ = 0, LITERT_LOCK_WRITE = 1 };
enum { LITERT_FLOAT32 = 1, LITERT_UINT8 = 3 };
enum { LITERT_CPU = 1, LITERT_GPU = 2, LITERT_NPU = 4, LITERT_MAX_RANK = 8 };

typedef void *LiteRtHandle;

enum { LITERT_ANY_INT = 2, LITERT_ENVIRONMENT_ACCELERATORS = 24 };

/* An environment option whose value is an integer. */
typedef struct {
  int32_t tag;
  int32_t padding;
  int32_t value_type;
  int64_t value;
} LiteRtEnvironmentOption;

/* 72 bytes in 2.3.0; the rest leaves space for later releases. */
typedef struct {
  int32_t element_type;
  uint32_t rank_and_flags; /* The rank is the low 7 bits. */
  int32_t dimensions[LITERT_MAX_RANK];
  uint32_t rest[24];
} LiteRtTensorType;

#define LITERT_FUNCTIONS(F)                                                                        \
  F(int, CreateEnvironment,                                                                        \
    (int count, const LiteRtEnvironmentOption *options, LiteRtHandle *environment))                \
  F(int, CreateModelFromFile,                                                                      \
    (LiteRtHandle environment, const char *path, LiteRtHandle *model))                             \
  F(int, CreateOptions, (LiteRtHandle * options))                                                  \
  F(int, SetOptionsHardwareAccelerators, (LiteRtHandle options, int accelerators))                 \
  F(int, CreateOpaqueOptions,                                                                      \
    (const char *kind, void *payload, void (*destroy)(void *), LiteRtHandle *opaque))              \
  F(int, AddOpaqueOptions, (LiteRtHandle options, LiteRtHandle opaque))                            \
  F(int, CreateCompiledModel,                                                                      \
    (LiteRtHandle environment, LiteRtHandle model, LiteRtHandle options, LiteRtHandle *compiled))  \
  F(int, CompiledModelIsFullyAccelerated, (LiteRtHandle compiled, bool *answer))                   \
  F(int, GetNumModelSignatures, (LiteRtHandle model, size_t *count))                               \
  F(int, GetModelSignature, (LiteRtHandle model, size_t index, LiteRtHandle *signature))           \
  F(int, GetSignatureKey, (LiteRtHandle signature, const char **key))                              \
  F(int, GetNumSignatureInputs, (LiteRtHandle signature, size_t *count))                           \
  F(int, GetSignatureInputName, (LiteRtHandle signature, size_t index, const char **name))         \
  F(int, GetSignatureInputTensorByIndex,                                                           \
    (LiteRtHandle signature, size_t index, LiteRtHandle *tensor))                                  \
  F(int, GetNumSignatureOutputs, (LiteRtHandle signature, size_t *count))                          \
  F(int, GetSignatureOutputName, (LiteRtHandle signature, size_t index, const char **name))        \
  F(int, GetSignatureOutputTensorByIndex,                                                          \
    (LiteRtHandle signature, size_t index, LiteRtHandle *tensor))                                  \
  F(int, GetRankedTensorType, (LiteRtHandle tensor, LiteRtTensorType *type))                       \
  F(int, GetCompiledModelInputBufferRequirements,                                                  \
    (LiteRtHandle compiled, size_t signature, size_t index, LiteRtHandle *requirements))           \
  F(int, GetCompiledModelOutputBufferRequirements,                                                 \
    (LiteRtHandle compiled, size_t signature, size_t index, LiteRtHandle *requirements))           \
  F(int, CreateManagedTensorBufferFromRequirements,                                                \
    (LiteRtHandle environment, const LiteRtTensorType *type, LiteRtHandle requirements,            \
     LiteRtHandle *buffer))                                                                        \
  F(int, LockTensorBuffer, (LiteRtHandle buffer, void **memory, int mode))                         \
  F(int, UnlockTensorBuffer, (LiteRtHandle buffer))                                                \
  F(int, RunCompiledModel,                                                                         \
    (LiteRtHandle compiled, size_t signature, size_t num_inputs, LiteRtHandle *inputs,             \
     size_t num_outputs, LiteRtHandle *outputs))

typedef struct {
#define F(result, name, arguments) result(*name) arguments;
  LITERT_FUNCTIONS(F)
#undef F
} LiteRtApi;

/* Opens the library and finds every function.
 *
 * Returns NULL or an error message: the loader's, or the name of a missing function. */
const char *litert_open(const char *library, LiteRtApi *api);

#endif
