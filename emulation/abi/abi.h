// Abi: by which of the kernel's doors a call came: its registers, numbers and layouts.
//
// Each architecture has a folder of its own, which says what there is: the enumerators of Abi, the
// numbers of its calls, the page size. The header of the folder is chosen here.
#pragma once

#if defined(__x86_64__)
#include "emulation/abi/x86/abi.h"  // IWYU pragma: export
#elif defined(__aarch64__)
#include "emulation/abi/aarch64/abi.h"  // IWYU pragma: export
#else
#error "no folder in emulation/abi for this architecture"
#endif
