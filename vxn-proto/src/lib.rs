//! The frames between vxn in Dom0 and vxn-init in the DomU; no I/O.
