#include "logger.h"

#include <errno.h>
#include <stdlib.h>

typedef struct {
    xentoollog_logger vtable; /* first: the library passes a pointer to it */
    xen_sys_log_sink sink;
    void *data;
} xen_sys_logger;

static void vmessage(xentoollog_logger *logger, xentoollog_level level, int errnoval,
                     const char *context, const char *format, va_list al)
{
    xen_sys_logger *self = (xen_sys_logger *)logger;
    int saved = errno;
    char text[1024];

    if (vsnprintf(text, sizeof text, format, al) >= 0)
        self->sink(self->data, level, errnoval, context, text);
    errno = saved;
}

static void destroy(xentoollog_logger *logger)
{
    free(logger);
}

xentoollog_logger *xen_sys_logger_new(xen_sys_log_sink sink, void *data)
{
    xen_sys_logger *self = calloc(1, sizeof *self);

    if (!self)
        return NULL;
    self->vtable.vmessage = vmessage;
    self->vtable.destroy = destroy;
    self->sink = sink;
    self->data = data;
    return &self->vtable;
}
