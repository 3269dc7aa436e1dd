//! What a container takes, and other limits for it.

use crate::{PATIENT, RUNTIME, host};

#[test]
fn limits_are_changed_and_numbers_are_told() {
    let Some(host) = host() else { return };
    let dir = host.bundle("limited", PATIENT);
    let runtime = |words: &str| host.ok(&format!("{RUNTIME} {words}"));
    host.ok(&format!(
        "{RUNTIME} create -b {dir} --pid-file {dir}/pid web </dev/null >{dir}/out 2>&1"
    ));
    host.fails(1, "container not running", &format!("{RUNTIME} events --stats web"));
    runtime("update --pids-limit 77 web");
    runtime("start web");
    host.wait_for(&format!("{dir}/out"), "ready");
    assert_eq!(runtime("exec web cat /sys/fs/cgroup/pids.max"), "77");

    host.ok(&format!(
        "echo '{{\"cpu\": {{\"shares\": 2048, \"quota\": 50000}}, \"blockIO\": {{\"weight\": 0}}}}' \
         | {RUNTIME} update --resources - web"
    ));
    let name = host.ok("xl list | awk '$1 ~ /^oci-/ { print $1 }'");
    let either = format!("(xl sched-credit2 -d {name} || xl sched-credit -d {name}) 2>/dev/null");
    let scheduled = host.ok(&format!("{either} | awk 'END {{ print $3, $4 }}'"));
    assert_eq!(scheduled, "512 50", "weight and cap");
    host.fails(1, "stop it first", &format!("{RUNTIME} update --memory 4G web"));
    host.fails(1, "pids.limit", &format!("{RUNTIME} update --pids-limit 5 web"));
    host.fails(
        1,
        "blockIO",
        &format!("echo '{{\"blockIO\": {{\"weight\": 9}}}}' | {RUNTIME} update -r - web"),
    );

    let stats = runtime("events --stats web");
    assert!(stats.starts_with("{\"data\":{") && stats.contains("\"type\":\"stats\""), "{stats}");
    assert!(stats.contains("\"limit\":77") && !stats.contains("\"total\":0"), "{stats}");
    runtime("logs web");
    let follow =
        host.shell(&format!("exec {RUNTIME} events --interval 100ms web")).spawn().unwrap();
    let until = std::time::Instant::now() + crate::PATIENCE;
    assert!(follow.stdout.wait_for(b"\"stats\"}\n{", until), "two of them");
    runtime("kill web TERM");
    assert_eq!(follow.wait().unwrap().code, 0, "it ends with the container");
    host.ok(&format!(
        "while [ -d /proc/$(cat {dir}/pid) ]; do sleep 0.1; done; {RUNTIME} delete web"
    ));
    host.clean();
}

#[test]
fn annotations_count_where_the_settings_allow_it() {
    let Some(host) = host() else { return };
    let dir = host.bundle("annotated", "grep -c ^processor /proc/cpuinfo");
    let annotations = "s/\"annotations\": {}/\"annotations\": {\"org.vxn.vcpus\": \"2\"}/";
    host.ok(&format!("sed -i '{annotations}' {dir}/config.json"));
    let run = format!("vxn oci run -b {dir} two");
    host.fails(1, "the annotation org.vxn.vcpus is not supported", &run);
    assert_eq!(host.ok(&format!("VXN_OCI_ANNOTATIONS=vcpus {run}")), "2");
    host.clean();
}
