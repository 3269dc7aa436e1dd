/*
 * The C headers that xen-sys/build.rs gives to bindgen.
 *
 * XEN_SYS_LIBXL and XEN_SYS_VCHAN stand for the features of xen-sys.
 */

#ifdef XEN_SYS_LIBXL
/* The newest API that every Xen from 4.14 on accepts. */
#define LIBXL_API_VERSION 0x041400
#include <libxl.h>
#include <libxl_event.h>
#include <libxl_utils.h>
#include <libxlutil.h>
#endif

#ifdef XEN_SYS_VCHAN
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xen/io/libxenvchan.h>
#endif

#include <xenstore.h>
#include <xentoollog.h>

#include "xen-sys/shim/logger.h"
