#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Xen backend for vrunner.sh on vxn: put this file in the place of the one that
# calls xl. It is sourced by bash; everything is done by `vxn backend`, which
# docs/vcontainer.md describes, with each difference from the backend it replaces.

# ---- Architecture and host -------------------------------------------------

hv_setup_arch() {
    local kernel
    case "$TARGET_ARCH" in
        aarch64) kernel=Image ;;
        x86_64) kernel=bzImage ;;
        *)
            log "ERROR" "Unsupported architecture: $TARGET_ARCH"
            exit 1
            ;;
    esac
    KERNEL_IMAGE="$BLOB_DIR/$TARGET_ARCH/$kernel"
    INITRAMFS="$BLOB_DIR/$TARGET_ARCH/initramfs.cpio.gz"
    ROOTFS_IMG="$BLOB_DIR/$TARGET_ARCH/rootfs.img"
    HV_CMD="vxn"
    HV_CONSOLE="hvc0"
    HV_DOMNAME="vxn-${CONTAINER_NAME:-$$}"
    HV_VM_PID=""
    HV_XEN_CFG=""
    HV_BLK_PREFIX="xvd"
}

hv_check_accel() {
    USE_KVM="false"
    log "DEBUG" "Xen hypervisor (no KVM check needed)"
}

# The guest keeps its storage itself.
hv_skip_state_disk() {
    return 0
}

hv_find_command() {
    if ! command -v vxn >/dev/null 2>&1; then
        log "ERROR" "vxn (Xen toolstack) not found. Install vxn."
        exit 1
    fi
    log "DEBUG" "Using vxn"
}

hv_get_console_device() {
    echo "$HV_CONSOLE"
}

# ---- vxn backend -----------------------------------------------------------

# _vxn LEVEL VERB [ARGS]: its output goes on as it comes, what it says goes to the
# log, and its exit code is the function's.
_vxn() {
    local level="$1" said code=0 line
    shift
    { said=$(vxn backend "$@" 2>&1 >&3 3>&-) || code=$?; } 3>&1
    while IFS= read -r line; do
        [ -z "$line" ] || log "$level" "$line"
    done <<<"$said"
    return "$code"
}

# ---- Image -----------------------------------------------------------------

# Sets INPUT_PATH, INPUT_TYPE and DOCKER_CMD; VXN_MEMORY and VXN_VCPUS where the
# command says so.
hv_prepare_container() {
    [ -n "$INPUT_PATH" ] && return 0
    case "$DOCKER_CMD" in
        *" run "*) ;;
        *) return 0 ;;
    esac
    log "INFO" "Preparing the image of: $DOCKER_CMD"
    local found
    found=$(_vxn "WARN" prepare --dir "$TEMP_DIR/oci-image" "$DOCKER_CMD") || {
        log "ERROR" "Failed to prepare the image of: $DOCKER_CMD"
        exit 1
    }
    # Assignments, quoted by vxn.
    eval "$found"
    log "INFO" "DOCKER_CMD: $DOCKER_CMD"
}

# ---- What the DomU is made of ----------------------------------------------

_VXN_DISKS=()
_VXN_NETWORK=()
_VXN_SHARES=()

# _vxn_disk VDEV MODE OPTS: the file in QEMU's words, as vrunner.sh has it.
_vxn_disk() {
    local file="${3#*file=}"
    [ "$file" != "$3" ] || return 0
    file="${file%%,*}"
    [ -z "$file" ] || _VXN_DISKS+=(--disk "$1,$2,$file")
}

hv_build_disk_opts() {
    _VXN_DISKS=(--disk "xvda,ro,$ROOTFS_IMG")
    _vxn_disk xvdb rw "$DISK_OPTS"
    _vxn_disk xvdc rw "$STATE_DISK_OPTS"
}

hv_build_network_opts() {
    _VXN_NETWORK=()
    if [ "$NETWORK" = "true" ]; then
        _VXN_NETWORK=(--network bridge)
    fi
}

hv_build_9p_opts() {
    if _vxn "WARN" check-share; then
        _VXN_SHARES+=(--share "$2=$1")
    else
        log "WARN" "The guest starts without the share $2 ($1)"
    fi
}

hv_build_daemon_opts() {
    HV_DAEMON_OPTS=""
}

hv_build_vm_cmd() {
    HV_OPTS=""
}

# ---- Life ------------------------------------------------------------------

# _vxn_start VERB [ARGS]: starts the DomU as it was built.
_vxn_start() {
    local verb="$1" append="$2"
    shift 2
    _vxn "ERROR" "$verb" --kernel "$KERNEL_IMAGE" --ramdisk "$INITRAMFS" --append "$append" \
        --memory "${VXN_MEMORY:-512}" --vcpus "${VXN_VCPUS:-2}" \
        "${_VXN_DISKS[@]}" "${_VXN_NETWORK[@]}" "${_VXN_SHARES[@]}" "$@" "$HV_DOMNAME"
}

# Sets HV_VM_PID, a process that lives as long as the DomU. A DomU that is no
# daemon ends with this shell.
hv_start_vm_background() {
    local kernel_append="$1" log_file="$2" mode key value started
    if [ "$DAEMON_MODE" = "start" ]; then
        mode=(--daemon)
    else
        mode=(--owner "$$")
    fi
    started=$(_vxn_start start "$kernel_append" --log "$log_file" "${mode[@]}") || return 1
    while IFS='=' read -r key value; do
        case "$key" in
            pid) HV_VM_PID="$value" ;;
            tty) _XEN_PTY="$value" ;;
        esac
    done <<<"$started"
    log "DEBUG" "Domain $HV_DOMNAME started (monitor $HV_VM_PID, console $_XEN_PTY)"
    if [ "$DAEMON_MODE" = "start" ]; then
        echo "$_XEN_PTY" >"$DAEMON_SOCKET_DIR/daemon.pty"
    fi
}

# Not by _vxn: the terminal is the guest's.
hv_start_vm_foreground() {
    vxn backend foreground --kernel "$KERNEL_IMAGE" --ramdisk "$INITRAMFS" --append "$1" \
        --memory "${VXN_MEMORY:-512}" --vcpus "${VXN_VCPUS:-2}" \
        "${_VXN_DISKS[@]}" "${_VXN_NETWORK[@]}" "${_VXN_SHARES[@]}" "$HV_DOMNAME"
}

hv_is_vm_running() {
    vxn backend running "$HV_DOMNAME" 2>/dev/null
}

hv_wait_vm_exit() {
    vxn backend wait --timeout "${1:-30}" "$HV_DOMNAME" 2>/dev/null
}

hv_stop_vm() {
    log "INFO" "Shutting down Xen domain $HV_DOMNAME..."
    _vxn "WARN" stop "$HV_DOMNAME"
}

hv_destroy_vm() {
    _vxn "WARN" destroy "$HV_DOMNAME"
}

hv_get_vm_id() {
    echo "$HV_DOMNAME"
}

# ---- Ports -----------------------------------------------------------------

hv_setup_port_forwards() {
    if [ ${#PORT_FORWARDS[@]} -eq 0 ]; then
        return
    fi
    local forward
    while IFS= read -r forward; do
        log "INFO" "Port forward: $forward"
    done < <(_vxn "ERROR" forward "$HV_DOMNAME" "${PORT_FORWARDS[@]}")
    wait "$!"
}

hv_cleanup_port_forwards() {
    _vxn "WARN" unforward "$HV_DOMNAME"
}

# ---- Idle ------------------------------------------------------------------

# A daemon that runs a command is not idle, however long it takes.
hv_idle_shutdown() {
    _vxn "DEBUG" shutdown --when-idle "$HV_DOMNAME"
}

# ---- Daemon ----------------------------------------------------------------

_vxn_domname_file() {
    echo "${DAEMON_SOCKET_DIR:-/tmp}/daemon.domname"
}

hv_daemon_save_state() {
    echo "$HV_DOMNAME" >"$(_vxn_domname_file)"
}

hv_daemon_load_state() {
    local file
    file=$(_vxn_domname_file)
    if [ -f "$file" ]; then
        HV_DOMNAME=$(cat "$file" 2>/dev/null)
    fi
}

hv_daemon_is_running() {
    hv_daemon_load_state
    [ -n "$HV_DOMNAME" ] && hv_is_vm_running
}

# _vxn_daemon: whether there is a daemon to talk to; says why not.
_vxn_daemon() {
    hv_daemon_load_state
    if [ ! -f "$DAEMON_SOCKET_DIR/daemon.pty" ] || [ -z "$HV_DOMNAME" ]; then
        log "ERROR" "No daemon in $DAEMON_SOCKET_DIR"
        return 1
    fi
}

hv_daemon_ping() {
    [ -f "$DAEMON_SOCKET_DIR/daemon.pty" ] || return 1
    hv_daemon_load_state
    _vxn "DEBUG" ping "$HV_DOMNAME"
}

hv_daemon_send() {
    _vxn_daemon || return 1
    touch "$DAEMON_SOCKET_DIR/activity" 2>/dev/null || true
    _vxn "ERROR" send "$HV_DOMNAME" -- "$1"
}

# Usage: hv_daemon_run_container COMMAND [INPUT_DISK]
hv_daemon_run_container() {
    _vxn_daemon || return 1
    touch "$DAEMON_SOCKET_DIR/activity" 2>/dev/null || true
    local disk=()
    if [ -n "$2" ]; then
        disk=(--disk "$2")
    fi
    _vxn "ERROR" run "${disk[@]}" "$HV_DOMNAME" -- "$1"
}

hv_daemon_stop() {
    hv_daemon_load_state
    if [ -z "$HV_DOMNAME" ]; then
        return 0
    fi
    hv_stop_vm || return 1
    rm -f "$(_vxn_domname_file)" "$DAEMON_SOCKET_DIR/daemon.pty" "$DAEMON_SOCKET_DIR/daemon.pid"
    log "INFO" "Xen domain stopped"
}
