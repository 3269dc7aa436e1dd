//! Safe byte channel between Xen domains: both ends of libxenvchan.
