//! Turns what the installed libxl can do (`LIBXL_HAVE_X`) into `cfg(libxl_have =
//! "X")`, so that code can depend on a feature and never on a version.

fn main() {
    println!("cargo:rustc-check-cfg=cfg(libxl_have, values(any()))");
    let have = std::env::var("DEP_XEN_HAVE").unwrap_or_default();
    for feature in have.split(',').filter(|feature| !feature.is_empty()) {
        println!("cargo:rustc-cfg=libxl_have=\"{feature}\"");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
