use oci_spec::image::{ConfigBuilder, ImageConfigurationBuilder, RootFs};

use super::*;

fn run(text: &str) -> RunWords {
    parse(text).unwrap().unwrap()
}

fn image(entry: &[&str], cmd: &[&str]) -> ImageConfiguration {
    let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let config = ConfigBuilder::default().entrypoint(owned(entry)).cmd(owned(cmd)).build();
    ImageConfigurationBuilder::default()
        .config(config.unwrap())
        .architecture("amd64")
        .os("linux")
        .rootfs(RootFs::default())
        .build()
        .unwrap()
}

#[test]
fn values_of_options_are_no_images() {
    for options in
        ["-u 1000", "--hostname web", "-it --rm", "-dp8080:80", "-p 1:1", "--dns=8.8.8.8", "--", ""]
    {
        let found = run(&format!("docker run {options} alpine:3 df -h"));
        assert_eq!(
            (found.image.as_str(), found.command.as_str()),
            ("alpine:3", "df -h"),
            "{options}"
        );
    }
    assert_eq!(parse("docker images"), Ok(None));
    assert_eq!(parse("docker run --rm"), Err(Error::NoImage));
    assert_eq!(parse("docker run --nosuch x y"), Err(Error::Unknown("--nosuch".into())));
    assert_eq!(parse("docker run -e"), Err(Error::NoValue("-e".into())));
}

#[test]
fn spaces_of_the_command_are_kept() {
    assert_eq!(run("podman run alpine echo  a   b ").command, "echo  a   b");
}

#[test]
fn what_cannot_be_followed_is_named() {
    let found = run("docker run -v /a:/b --cap-add X --rm -m 64M --cpus 1.5 i");
    assert_eq!(found.ignored, ["--volume", "--cap-add"]);
    assert_eq!((found.memory.unwrap().kib(), found.cpus), (65536, Some(2)));
    assert!(parse("docker run --cpus 0 i").is_err());
}

#[test]
fn entry_point_and_command_go_together_as_in_docker() {
    let resolve = |text: &str, image: &ImageConfiguration| run(text).resolve(image);
    let both = image(&["/entry", "-x"], &["default", "a b"]);
    assert_eq!(resolve("docker run i", &both).unwrap(), "/entry -x default 'a b'");
    assert_eq!(resolve("docker run i one two", &both).unwrap(), "/entry -x one two");
    assert_eq!(resolve("docker run --entrypoint ls i -l", &both).unwrap(), "ls -l");
    assert_eq!(resolve("docker run i sh -c a && b", &both).unwrap(), "/entry -x sh -c 'a && b'");
    let plain = image(&[], &["sh", "-c", "echo hi && sleep 1"]);
    assert_eq!(resolve("docker run i", &plain).unwrap(), "sh -c 'echo hi && sleep 1'");
    assert_eq!(resolve("docker run i /bin/sh -c echo a; b", &plain).unwrap(), "echo a; b");
    assert_eq!(resolve("docker run i", &image(&[], &[])), None);
    assert_eq!(
        resolve("docker run -e A=b -w /x i pwd", &plain).unwrap(),
        "env A=b /bin/sh -c 'mkdir -p /x && cd /x && pwd'"
    );
}

#[test]
fn words_are_quoted_when_they_have_to_be() {
    assert_eq!(quote("a-b/c"), "a-b/c");
    assert_eq!(quote(""), "''");
    assert_eq!(quote("it's"), r"'it'\''s'");
}
