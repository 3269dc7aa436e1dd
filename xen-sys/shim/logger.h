/*
 * A logger for the Xen libraries that calls back without va_list, which stable
 * Rust cannot receive.
 */
#ifndef XEN_SYS_LOGGER_H
#define XEN_SYS_LOGGER_H

#include <xentoollog.h>

/*
 * One message. errnoval is -1 when the message has none, context may be NULL,
 * text is formatted, cut to 1023 bytes and valid during the call only.
 */
typedef void (*xen_sys_log_sink)(void *data, xentoollog_level level, int errnoval,
                                 const char *context, const char *text);

/* NULL when memory is short. Freed by xtl_logger_destroy. */
xentoollog_logger *xen_sys_logger_new(xen_sys_log_sink sink, void *data);

#endif
