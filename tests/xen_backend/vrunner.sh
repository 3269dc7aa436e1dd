# What vrunner.sh does with a backend: the globals it sets, and the functions in its
# order. Sourced by the tests' scripts; `set -e` as there.
set -e

log() {
    printf '%s: %s\n' "$1" "$2" >&2
}

# No Xen toolstack but vxn may be found.
PATH=/root/tools
command -v xl >/dev/null && { echo "xl is on the PATH" >&2; exit 99; }

TARGET_ARCH=x86_64
BLOB_DIR=/srv/blobs
VXN_MEMORY=${VXN_MEMORY:-160}
VXN_VCPUS=${VXN_VCPUS:-1}
TEMP_DIR=$(mktemp -d)
trap 'rm -rf "$TEMP_DIR"' EXIT
CONTAINER_NAME=${CONTAINER_NAME:-}
INPUT_PATH=
INPUT_TYPE=none
DISK_OPTS=
STATE_DISK_OPTS=
NETWORK=false
INTERACTIVE=false
DAEMON_MODE=
IDLE_TIMEOUT=1800
PORT_FORWARDS=()
DOCKER_CMD=${DOCKER_CMD:-}
DAEMON_SOCKET_DIR=${DAEMON_SOCKET_DIR:-/root/daemon}
EXTRA=${EXTRA:-}

. /usr/share/vxn/vrunner-backend-xen.sh

# The backend, the image, and the disk that it travels on.
prepare() {
    hv_setup_arch
    hv_check_accel
    hv_find_command
    [ -f "$KERNEL_IMAGE" ] && [ -f "$INITRAMFS" ] && [ -f "$ROOTFS_IMG" ]
    hv_prepare_container
    if [ -n "$INPUT_PATH" ]; then
        mke2fs -q -t ext4 -d "$INPUT_PATH" "$TEMP_DIR/input.img" 30M >/dev/null
        DISK_OPTS="-drive file=$TEMP_DIR/input.img,if=virtio,format=raw"
    fi
    if type hv_skip_state_disk >/dev/null 2>&1; then
        STATE_DISK_OPTS=
    fi
}

# KERNEL_APPEND, and what the DomU is made of.
build() {
    KERNEL_APPEND="console=$(hv_get_console_device),115200 init=/init runtime=docker"
    KERNEL_APPEND="$KERNEL_APPEND docker_cmd=$(echo -n "$DOCKER_CMD" | base64 -w0)"
    KERNEL_APPEND="$KERNEL_APPEND docker_input=$INPUT_TYPE docker_output=text"
    [ "$INTERACTIVE" != true ] || KERNEL_APPEND="$KERNEL_APPEND docker_interactive=1"
    [ "$NETWORK" != true ] || KERNEL_APPEND="$KERNEL_APPEND docker_network=1"
    KERNEL_APPEND="$KERNEL_APPEND $EXTRA"
    hv_build_disk_opts
    hv_build_network_opts
    hv_build_vm_cmd
}

daemon_start() {
    DAEMON_MODE=start
    build
    if hv_daemon_is_running; then
        echo "Daemon is already running" >&2
        return 1
    fi
    # daemon_is_running has loaded what an earlier daemon has left.
    mkdir -p "$DAEMON_SOCKET_DIR/share"
    hv_build_9p_opts "$DAEMON_SOCKET_DIR/share" vxn_share
    hv_build_daemon_opts
    KERNEL_APPEND="$KERNEL_APPEND docker_daemon=1 docker_idle_timeout=$IDLE_TIMEOUT"
    if [ "$NETWORK" != true ]; then
        NETWORK=true
        hv_build_network_opts
        KERNEL_APPEND="$KERNEL_APPEND docker_network=1"
    fi
    hv_start_vm_background "$KERNEL_APPEND" "$DAEMON_SOCKET_DIR/qemu.log" ""
    echo "$HV_VM_PID" >"$DAEMON_SOCKET_DIR/daemon.pid"
    hv_daemon_save_state
    for _ in $(seq 60); do
        if hv_daemon_ping; then
            hv_setup_port_forwards
            touch "$DAEMON_SOCKET_DIR/activity"
            return 0
        fi
        hv_is_vm_running || break
    done
    cat "$DAEMON_SOCKET_DIR/qemu.log" >&2
    hv_destroy_vm
    return 1
}

# A run that nobody types at: prints what the command printed, returns its code.
ephemeral_run() {
    local out="$TEMP_DIR/vm_output.txt" code
    prepare
    build
    hv_start_vm_background "$KERNEL_APPEND" "$out" 300
    hv_is_vm_running
    hv_wait_vm_exit 300
    ! hv_is_vm_running
    awk '/===OUTPUT_START===/{on=1; next} /===OUTPUT_END===/{on=0} on' "$out" | tr -d '\r'
    code=$(sed -n 's/.*===EXIT_CODE=\([0-9]*\).*/\1/p' "$out" | head -1)
    return "${code:-250}"
}
