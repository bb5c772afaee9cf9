/* Says to callgrind what to count. Outside valgrind these do nothing. */
#include <valgrind/callgrind.h>

int marks_running(void) { return RUNNING_ON_VALGRIND; }
void marks_instrument(void) { CALLGRIND_START_INSTRUMENTATION; }
void marks_toggle(void) { CALLGRIND_TOGGLE_COLLECT; }
void marks_dump(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }
