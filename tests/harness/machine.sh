#!/bin/sh
# A machine out of thin air: systemd as PID 1, in a network namespace that is there. It sees this host's own files, but what it
# changes lies in memory and goes with it; it can neither load modules nor set the clock nor write to /sys, /proc/sys or a device.
#
# machine.sh FOLDER GROUP    FOLDER is empty, GROUP the name of a control group of its own. Wants to be the first process of
#                            a PID namespace and to have a mount namespace: who kills it kills the machine.
#
# FOLDER/prepare, if it is there, runs in the machine's files before the first start. A restart from within is a start with a new boot
# id, an empty firewall and the cable's end down.
set -eu

power() {
  mount -t proc proc /proc
  mount -t tmpfs -o mode=0755 machine "$folder"
  mkdir "$folder/changes" "$folder/work" "$folder/root" "$folder/groups"
  mount -t overlay -o "lowerdir=/,upperdir=$folder/changes,workdir=$folder/work" machine "$folder/root"
  blank
  while :; do
    ended=0
    unshare --fork --kill-child --pid --mount --uts --ipc -- "$0" "$folder" "$group" boot || ended=$?
    # SIGHUP is how the kernel says that init has asked for a restart.
    [ "$ended" -eq 129 ] || exit "$ended"
    nft flush ruleset
    ip link set srv0 down
  done
}

# What this host starts is not started there.
blank() {
  cd "$folder/root"
  rm -rf etc/systemd/system etc/rc?.d lib/systemd/system/multi-user.target.wants
  mkdir -p etc/systemd/system
  # Somebody else's configuration: neither is there at first.
  rm -rf etc/aldaba var/lib/aldaba etc/knockd.conf etc/nftables.conf
  ln -s /lib/systemd/system/multi-user.target etc/systemd/system/default.target
  for unit in systemd-logind.service systemd-udevd.service systemd-timesyncd.service getty.target; do
    ln -s /dev/null "etc/systemd/system/$unit"
  done
  echo machine >etc/hostname
  : >etc/fstab
  # One that has never been started would be given all of its presets.
  tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
}

boot() {
  mount -t cgroup2 cgroup2 "$folder/groups"
  mkdir -p "$folder/groups/$group"
  echo $$ >"$folder/groups/$group/cgroup.procs"
  umount "$folder/groups"
  exec unshare --cgroup -- "$0" "$folder" "$group" init
}

init() {
  cd "$folder/root"
  mount -t proc proc proc
  mount -t sysfs -o ro sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  mount -t tmpfs -o mode=0755,nosuid,nodev run run
  # At its start systemd removes what it finds there, which may be much.
  mount -t tmpfs -o mode=1777,nosuid,nodev tmp tmp
  devices
  # The kernel is the same; leases are to take it for another boot.
  cat /proc/sys/kernel/random/uuid >run/boot-id
  mount --bind proc/sys proc/sys
  mount -o remount,bind,ro proc/sys
  mount --bind run/boot-id proc/sys/kernel/random/boot_id
  [ ! -e proc/sysrq-trigger ] || mount --bind /dev/null proc/sysrq-trigger
  pivot_root . mnt
  umount -l /mnt
  # As on a machine; systemd does it but in a container.
  mount --make-rshared /
  without=-sys_time,-sys_module,-sys_rawio,-mknod,-audit_control,-audit_read,-audit_write,-syslog
  exec env -i container=machine PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    setpriv --bounding-set="$without" /lib/systemd/systemd --system --show-status=no
}

devices() {
  mount -t tmpfs -o mode=0755,nosuid dev dev
  for device in null zero full random urandom tty; do
    : >"dev/$device"
    mount --bind "/dev/$device" "dev/$device"
  done
  mkdir dev/pts dev/shm
  mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
  mount -t tmpfs -o mode=1777,nosuid,nodev shm dev/shm
  ln -s pts/ptmx dev/ptmx
  ln -s /proc/self/fd dev/fd
}

folder=$1
group=$2
"${3:-power}"
