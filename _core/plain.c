/* SSE2 on x86-64, NEON on aarch64: both have four float32 lanes; whatever the compiler makes of them elsewhere. */
#define TW_WIDTH 4
#define TW_VERSION tw_plain
#include "kernels.h"
