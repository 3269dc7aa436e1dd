/* The least that libxl takes to start a domain or to attach a disk, for
 * comparison: one program, one context, a native hotplug program.
 *
 *   floor create TYPE NAME KERNEL RAMDISK EXTRA DISK BRIDGE HOTPLUG
 *   floor attach DOMAIN DISK VDEV HOTPLUG
 */
#include <libxl.h>
#include <libxl_utils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_KB (128 * 1024)

static libxl_ctx *ctx;

static void check(int rc, const char *what)
{
    if (rc) {
        fprintf(stderr, "floor: %s: libxl error %d\n", what, rc);
        exit(1);
    }
}

static void disk_init(libxl_device_disk *disk, const char *path, const char *vdev,
                      const char *hotplug)
{
    libxl_device_disk_init(disk);
    disk->pdev_path = strdup(path);
    disk->vdev = strdup(vdev);
    disk->script = strdup(hotplug);
    disk->format = LIBXL_DISK_FORMAT_RAW;
    disk->backend = LIBXL_DISK_BACKEND_PHY;
    disk->readwrite = 1;
}

static void create(char **arg)
{
    libxl_domain_config config;
    libxl_domain_build_info *build = &config.b_info;
    uint32_t domid;

    libxl_domain_config_init(&config);
    config.c_info.type = strcmp(arg[0], "pv") ? LIBXL_DOMAIN_TYPE_PVH : LIBXL_DOMAIN_TYPE_PV;
    config.c_info.name = strdup(arg[1]);
    libxl_uuid_generate(&config.c_info.uuid);

    libxl_domain_build_info_init_type(build, config.c_info.type);
    build->max_vcpus = 1;
    check(libxl_cpu_bitmap_alloc(ctx, &build->avail_vcpus, 1), "bitmap");
    libxl_bitmap_set(&build->avail_vcpus, 0);
    build->max_memkb = build->target_memkb = MEMORY_KB;
    libxl_defbool_set(&build->claim_mode, true);
    build->kernel = strdup(arg[2]);
    build->ramdisk = strdup(arg[3]);
    build->cmdline = strdup(arg[4]);

    config.num_disks = 1;
    config.disks = calloc(1, sizeof(*config.disks));
    disk_init(config.disks, arg[5], "xvda", arg[7]);
    config.num_nics = 1;
    config.nics = calloc(1, sizeof(*config.nics));
    libxl_device_nic_init(config.nics);
    config.nics->bridge = strdup(arg[6]);
    config.nics->script = strdup(arg[7]);

    check(libxl_domain_create_new(ctx, &config, &domid, NULL, NULL), "create");
    check(libxl_domain_unpause(ctx, domid, NULL), "unpause");
    libxl_domain_config_dispose(&config);
}

static void attach(char **arg)
{
    libxl_device_disk disk;
    uint32_t domid;

    check(libxl_name_to_domid(ctx, arg[0], &domid), "name");
    disk_init(&disk, arg[1], arg[2], arg[3]);
    check(libxl_device_disk_add(ctx, domid, &disk, NULL), "attach");
    libxl_device_disk_dispose(&disk);
}

int main(int argc, char **argv)
{
    xentoollog_logger_stdiostream *logger =
        xtl_createlogger_stdiostream(stderr, XTL_ERROR, 0);

    if (!logger || libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, (xentoollog_logger *)logger))
        return 1;
    if (argc == 10 && !strcmp(argv[1], "create"))
        create(argv + 2);
    else if (argc == 6 && !strcmp(argv[1], "attach"))
        attach(argv + 2);
    else
        return 2;
    libxl_ctx_free(ctx);
    return 0;
}
