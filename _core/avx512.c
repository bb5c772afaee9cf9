#include "versions.h"
#if TW_HAS_X86
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi,bmi2,prefer-vector-width=512")
#define TW_WIDTH 16
#define TW_VERSION tw_avx512
#include "kernels.h"
#endif
