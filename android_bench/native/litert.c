#include "litert.h"

#include <dlfcn.h>
#include <string.h>

const char *litert_open(const char *library, LiteRtApi *api) {
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) return dlerror();
  void *symbol;
/* Copied as bytes: ISO C has no cast from an object pointer to a function pointer. */
#define F(result, name, arguments)               \
  symbol = dlsym(handle, "LiteRt" #name);        \
  if (symbol == NULL) return "missing function LiteRt" #name;  \
  memcpy(&api->name, &symbol, sizeof symbol);
  LITERT_FUNCTIONS(F)
#undef F
  return NULL;
}
