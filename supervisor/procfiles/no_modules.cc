// For the static binary alone: libfuse looks for modules that stack file systems, which nobody asks
// it for, by dlopen(3). In a static program that takes the very C library it was linked with, which
// an image does not have, and the linker warns of it. Linked with --wrap=dlopen, it finds none.
extern "C" void* __wrap_dlopen(const char* /*file*/, int /*mode*/) {  // NOLINT: ld(1)'s name
  return nullptr;
}
