//! Which images this machine can run.

use oci_spec::image::{Arch, Descriptor, ImageConfiguration, Os, Platform};

/// This host's architecture in OCI's words (Go's `GOARCH`).
pub const HOST: &str = if cfg!(target_arch = "x86_64") {
    "amd64"
} else if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    std::env::consts::ARCH
};

/// How well a platform suits: lower is better, `None` is not at all. An amd64
/// kernel runs 386 programs too.
fn rank(os: &Os, arch: &Arch, variant: Option<&str>) -> Option<u8> {
    if *os != Os::Linux {
        return None;
    }
    match (arch.to_string().as_str(), variant) {
        (HOST, None | Some("" | "v1" | "v8")) => Some(0),
        // A guest sees the host's processor, and the kernel cannot tell whether
        // the image needs more than it has: take it when nothing else is there.
        (HOST, Some(_)) => Some(1),
        ("386", _) if HOST == "amd64" => Some(2),
        _ => None,
    }
}

fn rank_platform(platform: &Platform) -> Option<u8> {
    rank(platform.os(), platform.architecture(), platform.variant().as_deref())
}

/// The best descriptor for this host. One that does not say its platform is
/// taken when no other suits; its configuration will tell.
pub fn pick(descriptors: &[Descriptor]) -> Option<&Descriptor> {
    descriptors
        .iter()
        .filter_map(|d| Some((d.platform().as_ref().map_or(Some(3), rank_platform)?, d)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, d)| d)
}

/// Whether this host runs an image with this configuration.
pub fn runs(config: &ImageConfiguration) -> bool {
    rank(config.os(), config.architecture(), config.variant().as_deref()).is_some()
}

/// `linux/arm64, linux/s390x`, for error messages.
pub fn offered(descriptors: &[Descriptor]) -> String {
    let mut names: Vec<String> = descriptors
        .iter()
        .filter_map(|d| d.platform().as_ref())
        .map(|p| format!("{}/{}", p.os(), p.architecture()))
        .collect();
    names.dedup();
    names.join(", ")
}
