/* The least that a hotplug program does for libxl: a loop device for a disk, a
 * bridge port for a network interface. See floor.c. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <xenstore.h>

static struct xs_handle *xs;
static const char *backend;

static void die(const char *what)
{
    fprintf(stderr, "hotplug: %s: %s\n", what, strerror(errno));
    exit(1);
}

static char *node(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", backend, name);
    return path;
}

static void put(const char *name, const char *value)
{
    if (!xs_write(xs, XBT_NULL, node(name), value, strlen(value)))
        die(name);
}

static char *get(const char *name)
{
    unsigned int len;

    return xs_read(xs, XBT_NULL, node(name), &len);
}

static void disk_add(void)
{
    struct loop_config config = {0};
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), loop, number;
    char name[32], device[32];
    struct stat status;
    char *file = get("params");

    if (control < 0 || !file)
        die("loop-control");
    config.fd = open(file, O_RDWR | O_CLOEXEC);
    if (config.fd < 0)
        die(file);
    do {
        number = ioctl(control, LOOP_CTL_GET_FREE);
        snprintf(name, sizeof(name), "/dev/loop%d", number);
        loop = open(name, O_RDWR | O_CLOEXEC);
        if (loop < 0)
            die(name);
    } while (ioctl(loop, LOOP_CONFIGURE, &config) && errno == EBUSY);
    fstat(loop, &status);
    snprintf(device, sizeof(device), "%x:%x", major(status.st_rdev), minor(status.st_rdev));
    put("node", name);
    put("physical-device", device);
    put("hotplug-status", "connected");
}

static void disk_remove(void)
{
    char *name = get("node");
    int loop = name ? open(name, O_RDWR | O_CLOEXEC) : -1;

    if (loop < 0 || ioctl(loop, LOOP_CLR_FD))
        die("remove");
}

static void vif_online(void)
{
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq port = {0}, bridge = {0};

    strncpy(port.ifr_name, getenv("vif"), IFNAMSIZ - 1);
    strncpy(bridge.ifr_name, get("bridge") ?: "", IFNAMSIZ - 1);
    if (ioctl(sock, SIOCGIFINDEX, &port))
        die(port.ifr_name);
    bridge.ifr_ifindex = port.ifr_ifindex;
    if (ioctl(sock, SIOCBRADDIF, &bridge))
        die(bridge.ifr_name);
    ioctl(sock, SIOCGIFFLAGS, &port);
    port.ifr_flags |= IFF_UP;
    if (ioctl(sock, SIOCSIFFLAGS, &port))
        die(port.ifr_name);
    put("hotplug-status", "connected");
}

int main(int argc, char **argv)
{
    const char *path = getenv("XENBUS_PATH");

    if (argc < 2 || !path || !(xs = xs_open(0)))
        return 1;
    backend = path;
    if (!strcmp(argv[1], "add"))
        disk_add();
    else if (!strcmp(argv[1], "remove"))
        disk_remove();
    else if (!strcmp(argv[1], "online"))
        vif_online();
    return 0;
}
