/* What a static program has instead of the C library's, which would bring printf: 10 KB on ARMv6. The C library comes later on
   the command line, so the linker leaves these parts of it out. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/prctl.h>

/* Rust's standard library names the calling thread alone. For another thread, the C library formats a path of /proc. */
int pthread_setname_np(pthread_t thread, const char *name) {
    if (thread != pthread_self()) return ENOSYS;
    return prctl(PR_SET_NAME, name) ? errno : 0;
}

/* The unwinder, which unwind tables name and nothing calls, would say why it ends the process. Without its numbers. */
int fprintf(FILE *stream, const char *format, ...) {
    return fputs(format, stream);
}
