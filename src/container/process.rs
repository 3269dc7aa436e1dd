//! The main process: the user's words on top of the image's. Pure.

use oci_spec::image::Config as ImageConfig;
use vxn_proto::{ProcessSpec, WindowSize};

use super::plan::Error;

/// docker's search path for images that set none.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the user asked of the process, on top of the image's configuration.
#[derive(Debug, Default, Clone)]
pub struct ProcessRequest {
    /// Command and arguments.
    pub command: Vec<Vec<u8>>,
    /// `--entrypoint`; an empty one resets the image's.
    pub entrypoint: Option<Vec<u8>>,
    /// `KEY=VALUE`, the last of a key wins.
    pub env: Vec<Vec<u8>>,
    /// `-w`.
    pub workdir: Option<Vec<u8>>,
    /// `-u`.
    pub user: Option<String>,
    /// `-i`.
    pub stdin: bool,
    /// `-t`.
    pub tty: Option<WindowSize>,
}

/// Merges the user's request with the image's configuration, as docker does.
///
/// # Errors
/// [`Error::NoCommand`] when there is nothing to run.
pub fn merge(
    request: ProcessRequest,
    image: Option<&ImageConfig>,
    hostname: &str,
) -> Result<ProcessSpec, Error> {
    let args = arguments(&request, image);
    if args.is_empty() {
        return Err(Error::NoCommand);
    }
    let mut env = Environment::default();
    env.set([b"PATH=", DEFAULT_PATH].concat());
    env.set([b"HOSTNAME=", hostname.as_bytes()].concat());
    let image_env = image.and_then(|c| c.env().as_ref());
    image_env.into_iter().flatten().for_each(|e| env.set(e.clone().into_bytes()));
    request.env.into_iter().for_each(|e| env.set(e));
    let image_cwd = || image.and_then(|c| c.working_dir().clone()).map(String::into_bytes);
    let image_user = || image.and_then(|c| c.user().clone());
    Ok(ProcessSpec {
        args,
        env: env.0,
        cwd: request.workdir.or_else(image_cwd).unwrap_or_default(),
        user: request.user.or_else(image_user).unwrap_or_default(),
        tty: request.tty,
        stdin: request.stdin,
        groups: None,
        umask: None,
    })
}

/// A new entrypoint drops the image's command; a new command replaces it.
fn arguments(request: &ProcessRequest, image: Option<&ImageConfig>) -> Vec<Vec<u8>> {
    let bytes = |list: &Option<Vec<String>>| -> Vec<Vec<u8>> {
        list.iter().flatten().map(|s| s.clone().into_bytes()).collect()
    };
    let of_image = |part: fn(&ImageConfig) -> &Option<Vec<String>>| {
        image.map(|c| bytes(part(c))).unwrap_or_default()
    };
    let mut args = match &request.entrypoint {
        Some(program) if program.is_empty() => Vec::new(),
        Some(program) => vec![program.clone()],
        None => of_image(ImageConfig::entrypoint),
    };
    if request.command.is_empty() && request.entrypoint.is_none() {
        args.extend(of_image(ImageConfig::cmd));
    } else {
        args.extend(request.command.iter().cloned());
    }
    args
}

/// An environment with changes to it, the last word on a variable wins.
pub fn environment(own: Vec<Vec<u8>>, changes: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut env = Environment::default();
    own.into_iter().chain(changes).for_each(|entry| env.set(entry));
    env.0
}

/// `KEY=VALUE` strings, one per key, in the order in which the keys came.
#[derive(Default)]
struct Environment(Vec<Vec<u8>>);

impl Environment {
    fn set(&mut self, entry: Vec<u8>) {
        let key = |e: &[u8]| e.split(|&b| b == b'=').next().map(<[u8]>::to_vec);
        match self.0.iter_mut().find(|e| key(e) == key(&entry)) {
            Some(old) => *old = entry,
            None => self.0.push(entry),
        }
    }
}

#[cfg(test)]
mod tests {
    use oci_spec::image::ConfigBuilder;

    use super::*;

    fn image() -> ImageConfig {
        let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        ConfigBuilder::default()
            .entrypoint(strings(&["/entry", "-x"]))
            .cmd(strings(&["default"]))
            .env(strings(&["PATH=/image", "A=image", "B=image"]))
            .working_dir("/srv")
            .user("web:web")
            .build()
            .unwrap()
    }

    fn request(command: &[&[u8]]) -> ProcessRequest {
        ProcessRequest {
            command: command.iter().map(|a| a.to_vec()).collect(),
            ..Default::default()
        }
    }

    fn args(request: ProcessRequest) -> Vec<Vec<u8>> {
        merge(request, Some(&image()), "h").unwrap().args
    }

    #[test]
    fn a_command_replaces_cmd_and_follows_the_entrypoint() {
        assert_eq!(args(request(&[])), [&b"/entry"[..], b"-x", b"default"]);
        assert_eq!(args(request(&[b"", b"\xff $"])), [&b"/entry"[..], b"-x", b"", b"\xff $"]);
    }

    #[test]
    fn a_new_entrypoint_drops_cmd() {
        let entry = |text: &[u8], command: &[&[u8]]| ProcessRequest {
            entrypoint: Some(text.to_vec()),
            ..request(command)
        };
        assert_eq!(args(entry(b"/bin/sh", &[])), [b"/bin/sh"]);
        assert_eq!(args(entry(b"/bin/sh", &[b"-c"])), [&b"/bin/sh"[..], b"-c"]);
        assert_eq!(args(entry(b"", &[b"ls"])), [b"ls"]);
        let nothing = merge(entry(b"", &[]), Some(&image()), "h");
        assert_eq!(nothing.unwrap_err(), Error::NoCommand);
        assert_eq!(merge(request(&[]), None, "h").unwrap_err(), Error::NoCommand);
    }

    #[test]
    fn the_last_word_on_a_variable_wins() {
        let request = ProcessRequest {
            env: vec![b"A=user".to_vec(), b"C=\xff".to_vec(), b"A=last".to_vec()],
            ..request(&[])
        };
        let env = merge(request, Some(&image()), "host").unwrap().env;
        assert_eq!(env, [&b"PATH=/image"[..], b"HOSTNAME=host", b"A=last", b"B=image", b"C=\xff"]);
        let bare = merge(super::tests::request(&[b"x"]), None, "h").unwrap();
        assert!(bare.env[0].starts_with(b"PATH=/usr/local/sbin:"));
    }

    #[test]
    fn flags_beat_the_image() {
        let from_image = merge(request(&[]), Some(&image()), "h").unwrap();
        assert_eq!((&*from_image.cwd, &*from_image.user), (&b"/srv"[..], "web:web"));
        let request = ProcessRequest {
            workdir: Some(b"/tmp".to_vec()),
            user: Some("0".to_owned()),
            ..request(&[])
        };
        let spec = merge(request, Some(&image()), "h").unwrap();
        assert_eq!((&*spec.cwd, &*spec.user), (&b"/tmp"[..], "0"));
    }
}
