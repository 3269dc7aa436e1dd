//! A native Xen toolstack on libxl and a container engine on it.
