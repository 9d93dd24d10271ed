// RawRegisters: what the Registers of this architecture are made of.
#pragma once

#if defined(__x86_64__)
#include "supervisor/inject/arch/x86/raw_registers.h"  // IWYU pragma: export
#elif defined(__aarch64__)
#include "supervisor/inject/arch/aarch64/raw_registers.h"  // IWYU pragma: export
#else
#error "no folder in supervisor/inject/arch for this architecture"
#endif
