#include "versions.h"
#if TW_HAS_X86
#pragma GCC target("avx2,fma,bmi,bmi2")
#define TW_WIDTH 8
#define TW_VERSION tw_avx2
#include "kernels.h"
#endif
