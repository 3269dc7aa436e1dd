//! Makes the bindings from the headers that are installed: the layout of libxl's
//! structures changes with every release of Xen, so no checked-in file can fit.

use std::collections::BTreeSet;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::exit;
use std::sync::{Arc, Mutex};

use bindgen::callbacks::{MacroParsingBehavior, ParseCallbacks};

/// What a feature binds: libraries by their pkg-config names and symbols to keep.
struct Part {
    /// Libraries whose functions are called.
    link: &'static [&'static str],
    /// What those need in turn when they are linked statically.
    link_private: &'static [&'static str],
    define: Option<&'static str>,
    functions: &'static str,
    types: &'static str,
    vars: &'static str,
}

const BASE: Part = Part {
    link: &["xenstore", "xentoollog"],
    link_private: &["xentoolcore"],
    define: None,
    functions: "xs_(open|close|daemon_socket|read|write|directory|rm|set_permissions|watch|\
                check_watch|fileno|transaction_(start|end))|\
                xtl_logger_destroy|xen_sys_.*",
    types: "xentoollog_level",
    vars: "XS_PERM_.*|XS_UNWATCH_FILTER|XBT_NULL|XENSTORE_.*|XTL_.*",
};

const VCHAN: Part = Part {
    link: &["xengnttab", "xenevtchn"],
    link_private: &[],
    define: Some("XEN_SYS_VCHAN"),
    functions: "xenevtchn_(open|close|fd|notify|bind_(unbound_port|interdomain)|unbind|pending|\
                unmask)|xengnttab_(open|close|fd|map_(domain_grant_refs|grant_ref_notify)|unmap)|\
                xengntshr_(open|close|fd|share_pages|share_page_notify|unshare)",
    types: "vchan_interface|ring_shared",
    vars: "VCHAN_NOTIFY_.*",
};

const LIBXL: Part = Part {
    link: &["xenlight", "xlutil"],
    link_private: &["xenguest", "xenctrl"],
    define: Some("XEN_SYS_LIBXL"),
    functions: "libxl_ctx_(alloc|free)|libxl_childproc_setmode|libxl_error_to_string|\
                libxl_domain_(config_(init|dispose)|build_info_init_type|create_new|destroy|\
                pause|unpause|shutdown|rename|info|need_memory|core_dump|type_to_string|\
                sched_params_(init|dispose|set))|libxl_set_(vcpuaffinity_all|memory_target)|\
                libxl_(list_domain|dominfo_(init|dispose|list_free)|name_to_domid|\
                domid_to_name|bitmap_init|bitmap_dispose|cpu_bitmap_alloc|bitmap_set|\
                bitmap_set_any|defbool_set|string_list_dispose|key_value_list_dispose)|\
                libxl_device_(disk|nic)_(init|dispose|add|remove|destroy|list|list_free|\
                getinfo)|libxl_device_p9_init|libxl_(vdev_to_device_disk|devid_to_device_(disk|nic)|\
                mac_to_device_nic)|libxl_(disk|nic)info_(init|dispose)|\
                libxl_(primary_)?console_get_tty|libxl_userdata_(store|retrieve|unlink)|\
                libxl_get_(free_memory|physinfo|version_info|max_cpus)|\
                libxl_physinfo_(init|dispose)|libxl_ev(enable|disable)_domain_death|\
                libxl_event_(check|wait|free)|libxl_osevent_(before|after)poll|\
                xlu_cfg_.*|xlu_disk_parse|xlu_vif_parse_rate",
    types: "libxl_(error|shutdown_reason|event_type|sigchld_owner|trigger)",
    vars: "LIBXL_.*|INVALID_DOMID|ERROR_.*",
};

fn main() {
    println!("cargo:rerun-if-changed=../wrapper.h");
    println!("cargo:rerun-if-changed=shim");
    let parts = enabled();
    let include = link(&parts);
    build_shim(&include);
    let have = bind(&parts, &include);
    println!("cargo:have={}", have.into_iter().collect::<Vec<_>>().join(","));
}

fn enabled() -> Vec<Part> {
    let on = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    let mut parts = Vec::new();
    if on("LIBXL") {
        parts.push(LIBXL);
    }
    if on("VCHAN") {
        parts.push(VCHAN);
    }
    parts.push(BASE); // last: static libraries come after their users
    parts
}

/// Finds the libraries, tells cargo to link them, returns the include directories.
/// A static program (the guest's) gets the archives, with what they need.
fn link(parts: &[Part]) -> BTreeSet<PathBuf> {
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let statically = features.split(',').any(|f| f == "crt-static");
    let mut include = BTreeSet::new();
    for part in parts {
        for name in part.link {
            let library = pkg_config::Config::new()
                .cargo_metadata(false)
                .probe(name)
                .unwrap_or_else(|e| missing(&e.to_string()));
            include.extend(library.include_paths);
            for dir in library.link_paths {
                println!("cargo:rustc-link-search=native={}", dir.display());
            }
            link_library(name, statically);
        }
        if statically {
            part.link_private.iter().for_each(|name| link_library(name, true));
        }
    }
    include
}

fn link_library(name: &str, statically: bool) {
    let kind = if statically { "static" } else { "dylib" };
    println!("cargo:rustc-link-lib={kind}={name}");
}

fn build_shim(include: &BTreeSet<PathBuf>) {
    cc::Build::new().file("shim/logger.c").includes(include).warnings(true).compile("xen_sys_shim");
}

/// Writes `bindings.rs`; returns the `LIBXL_HAVE_*` names, most of which have no
/// value, so that bindgen emits nothing for them.
fn bind(parts: &[Part], include: &BTreeSet<PathBuf>) -> BTreeSet<String> {
    let have = Arc::new(Mutex::new(BTreeSet::new()));
    let mut builder = bindgen::Builder::default()
        .header("../wrapper.h")
        .rust_target(bindgen::RustTarget::stable(85, 0).expect("a version that bindgen knows"))
        .rust_edition(bindgen::RustEdition::Edition2024)
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .generate_comments(false)
        .derive_debug(false)
        .clang_args(include.iter().map(|dir| format!("-I{}", dir.display())))
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new().rerun_on_header_files(true)))
        .parse_callbacks(Box::new(HaveNames(Arc::clone(&have))));
    for part in parts {
        builder = builder
            .allowlist_function(part.functions)
            .allowlist_type(part.types)
            .allowlist_var(part.vars)
            .clang_args(part.define.map(|name| format!("-D{name}")));
    }
    // bindgen panics when it cannot load libclang.
    let bindings = match catch_unwind(AssertUnwindSafe(|| builder.generate())) {
        Ok(Ok(bindings)) => bindings,
        Ok(Err(e)) => missing(&e.to_string()),
        Err(_) => missing("libclang cannot be loaded"),
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    bindings.write_to_file(out.join("bindings.rs")).expect("OUT_DIR is writable");
    let names = have.lock().expect("no other thread is left");
    names.clone()
}

/// Collects the macros by which libxl announces what it can do.
#[derive(Debug)]
struct HaveNames(Arc<Mutex<BTreeSet<String>>>);

impl ParseCallbacks for HaveNames {
    fn will_parse_macro(&self, name: &str) -> MacroParsingBehavior {
        if let Some(feature) = name.strip_prefix("LIBXL_HAVE_") {
            self.0.lock().expect("bindgen has one thread").insert(feature.to_owned());
        }
        MacroParsingBehavior::Default
    }
}

/// Ends the build with the names of the packages to install.
fn missing(what: &str) -> ! {
    println!(
        "cargo:warning=the headers of Xen or libclang are missing. Debian, Ubuntu: \
         apt install libxen-dev libclang-dev pkg-config gcc. \
         Yocto: DEPENDS += \"xen-tools clang-native pkgconfig-native\"."
    );
    eprintln!("{what}");
    exit(1)
}
