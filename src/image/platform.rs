//! Which images a machine can run.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::{Arch, Descriptor, ImageConfiguration, Os};
use serde::Serialize;

/// This host's architecture in OCI's words (Go's `GOARCH`).
pub const HOST: &str = if cfg!(target_arch = "x86_64") {
    "amd64"
} else if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    std::env::consts::ARCH
};

/// The machine that an image is wanted for: `linux/ARCHITECTURE[/VARIANT]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Platform {
    /// In OCI's words: `amd64`, `arm64`.
    pub architecture: String,
    /// `v7` of `linux/arm/v7`; none takes what the image has.
    pub variant: Option<String>,
}

impl Platform {
    /// This machine.
    pub fn host() -> Platform {
        Platform { architecture: HOST.to_owned(), variant: None }
    }

    /// How well an image's platform suits: lower is better, `None` is not at
    /// all. An amd64 kernel runs 386 programs too.
    fn rank(&self, os: &Os, arch: &Arch, variant: Option<&str>) -> Option<u8> {
        if *os != Os::Linux {
            return None;
        }
        let (arch, wanted) = (arch.to_string(), self.variant.as_deref());
        match variant {
            _ if arch == "386" && self.architecture == "amd64" => Some(2),
            _ if arch != self.architecture => None,
            None | Some("" | "v1" | "v8") if wanted.is_none() => Some(0),
            // A guest sees the host's processor, and the kernel cannot tell whether
            // the image needs more than it has: take it when nothing else is there.
            Some(_) if wanted.is_none() => Some(1),
            other => (other == wanted).then_some(0),
        }
    }

    /// The best descriptor. One that does not say its platform is taken when no
    /// other suits; its configuration will tell.
    pub fn pick<'a>(&self, descriptors: &'a [Descriptor]) -> Option<&'a Descriptor> {
        let rank = |d: &Descriptor| match d.platform() {
            Some(p) => self.rank(p.os(), p.architecture(), p.variant().as_deref()),
            None => Some(3),
        };
        descriptors
            .iter()
            .filter_map(|d| Some((rank(d)?, d)))
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, d)| d)
    }

    /// Whether it runs an image with this configuration.
    pub fn runs(&self, config: &ImageConfiguration) -> bool {
        self.rank(config.os(), config.architecture(), config.variant().as_deref()).is_some()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = String;

    /// Reads `linux/arm64`, `linux/arm/v7` and, as docker does, `arm64`.
    fn from_str(text: &str) -> Result<Platform, String> {
        let word =
            |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let parts: Vec<&str> = text.split('/').collect();
        let (architecture, variant) = match parts[..] {
            ["linux"] => (HOST, None),
            [arch] | ["linux", arch] => (arch, None),
            ["linux", arch, variant] => (arch, Some(variant)),
            _ => return Err("only linux/ARCHITECTURE[/VARIANT] can run in a DomU".to_owned()),
        };
        if !word(architecture) || !variant.is_none_or(word) {
            return Err("a platform is written linux/ARCHITECTURE[/VARIANT]".to_owned());
        }
        let architecture = match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let variant = variant.map(str::to_owned);
        Ok(Platform { architecture: architecture.to_owned(), variant })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(wanted: &str, arch: &str, variant: Option<&str>) -> Option<u8> {
        wanted.parse::<Platform>().unwrap().rank(&Os::Linux, &Arch::from(arch), variant)
    }

    #[test]
    fn platforms_are_read_as_docker_reads_them() {
        for (typed, full) in [
            ("linux/arm64", "linux/arm64"),
            ("arm64", "linux/arm64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm/v7", "linux/arm/v7"),
        ] {
            assert_eq!(typed.parse::<Platform>().unwrap().to_string(), full);
        }
        assert_eq!("linux".parse(), Ok(Platform::host()));
        for bad in ["", "windows/amd64", "linux/", "linux/arm/v7/x", "linux/a b"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_nearest_platform_wins() {
        assert_eq!(rank("linux/amd64", "amd64", None), Some(0));
        assert_eq!(rank("linux/amd64", "amd64", Some("v3")), Some(1));
        assert_eq!(rank("linux/amd64", "386", None), Some(2));
        assert_eq!(rank("linux/amd64", "arm64", None), None);
        assert_eq!(rank("linux/arm/v7", "arm", Some("v7")), Some(0));
        assert_eq!(rank("linux/arm/v7", "arm", Some("v6")), None);
    }
}
