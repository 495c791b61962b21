// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CREATE_DEVICE and the attributes of KVM_DEV_TYPE_VFIO, as far as they go without a device to assign; with
 * one: tools/testing/lab/cases/assign.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "vm.h"

static int create(struct vm *vm, uint32_t type, uint32_t flags)
{
	struct kvm_create_device device = { .type = type, .flags = flags, .fd = ~0u };
	int ret = xioctlp(vm->fd, KVM_CREATE_DEVICE, &device);

	return ret < 0 || flags & KVM_CREATE_DEVICE_TEST ? ret : (int)device.fd;
}

static int attr(int device, unsigned long cmd, uint32_t group, uint64_t nr, const void *addr)
{
	struct kvm_device_attr attr = { .group = group, .attr = nr, .addr = (uintptr_t)addr };

	return xioctlp(device, cmd, &attr);
}

static int file(int device, uint64_t nr, int fd)
{
	return attr(device, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, nr, &fd);
}

TEST(created_once)
{
	struct vm *vm = vm_new(0);
	uint32_t type;
	int device;

	EXPECT_EQ(0, create(vm, KVM_DEV_TYPE_VFIO, KVM_CREATE_DEVICE_TEST));
	device = create(vm, KVM_DEV_TYPE_VFIO, 0);
	ASSERT_LE(0, device);
	EXPECT_EQ(FD_CLOEXEC, fcntl(device, F_GETFD));
	EXPECT_EQ(-EBUSY, create(vm, KVM_DEV_TYPE_VFIO, 0));
	for (type = 0; type < 40; type++)
		if (type != KVM_DEV_TYPE_VFIO)
			EXPECT_EQ(-ENODEV, create(vm, type, KVM_CREATE_DEVICE_TEST)) TH_LOG("type %u", type);
	EXPECT_EQ(-ENODEV, create(vm, ~0u, 0));
}

TEST(attributes)
{
	int device = create(vm_new(0), KVM_DEV_TYPE_VFIO, 0), null = open("/dev/null", O_RDWR);

	ASSERT_LE(0, device);
	EXPECT_EQ(0, attr(device, KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, KVM_DEV_VFIO_GROUP_ADD, NULL));
	EXPECT_EQ(0, attr(device, KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, KVM_DEV_VFIO_GROUP_DEL, NULL));
	EXPECT_EQ(-ENXIO, attr(device, KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, 0, NULL));
	EXPECT_EQ(-ENXIO, attr(device, KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, 3, NULL));
	EXPECT_EQ(-ENXIO, attr(device, KVM_HAS_DEVICE_ATTR, 0, KVM_DEV_VFIO_GROUP_ADD, NULL));
	EXPECT_EQ(-ENXIO, attr(device, KVM_SET_DEVICE_ATTR, 2, KVM_DEV_VFIO_GROUP_ADD, &null));
	EXPECT_EQ(-EPERM, attr(device, KVM_GET_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, KVM_DEV_VFIO_GROUP_ADD, &null));
	EXPECT_EQ(-EFAULT, attr(device, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_GROUP, KVM_DEV_VFIO_GROUP_ADD, NULL));
	EXPECT_EQ(-EBADF, file(device, KVM_DEV_VFIO_GROUP_ADD, -1));
	EXPECT_EQ(-EINVAL, file(device, KVM_DEV_VFIO_GROUP_ADD, null));
	EXPECT_EQ(-EINVAL, file(device, KVM_DEV_VFIO_GROUP_ADD, device));
	EXPECT_EQ(-EBADF, file(device, KVM_DEV_VFIO_GROUP_DEL, -1));
	EXPECT_EQ(-ENOENT, file(device, KVM_DEV_VFIO_GROUP_DEL, null));
	EXPECT_EQ(-ENOTTY, xioctl(device, KVM_CREATE_VCPU, 0));
}

/* The device holds the VM, not the other way round. */
TEST(outlives_the_vm_fd)
{
	struct vm *vm = vm_new(0);
	int device = create(vm, KVM_DEV_TYPE_VFIO, 0), null = open("/dev/null", O_RDWR);

	ASSERT_LE(0, device);
	close(vm->fd);
	EXPECT_EQ(-ENOENT, file(device, KVM_DEV_VFIO_GROUP_DEL, null));
	EXPECT_EQ(0, close(device));
}

TEST_HARNESS_MAIN
