//! PID 1 of a vxn DomU.

fn main() {}
