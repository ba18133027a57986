#!/bin/sh
# booted.sh FOLDER: this machine's Debian, started by its own systemd in namespaces; what it writes goes with it.
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/above" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/above,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
# The kernel's settings are everybody's.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in run tmp dev; do mount -t tmpfs tmpfs $folder; done
mkdir dev/shm dev/pts
ln -s /proc/self/fd dev/fd
for device in null zero full random urandom; do
    touch dev/$device
    mount --bind /dev/$device dev/$device
done
ip link set lo up
# Which keeps packages from starting their services where the machine does not want it.
rm -f usr/sbin/policy-rc.d
mkdir before
pivot_root . before
umount -l before
exec env -i container=other PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --unit=basic.target --show-status=no
