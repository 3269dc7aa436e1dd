//! Raw bindings to libxenlight, libxlutil, libxenstore, libxenvchan and libxentoollog.
