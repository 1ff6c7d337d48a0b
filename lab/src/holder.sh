# Prepares one host's files and then holds its namespaces. Usage: sh holder.sh DIRECTORY HOST own|shared
set -eu
dir=$1 host=$2 files=$3

echo "$host" >/proc/sys/kernel/hostname
cd /proc/sys/net
# Refused where the machine's default is another: the routes say it as well (see `cabling`).
(echo cubic >ipv4/tcp_congestion_control) 2>/dev/null || true
echo '0 65535' >ipv4/ping_group_range
echo 0 >ipv6/conf/default/accept_dad
echo 0 >ipv6/conf/default/router_solicitations
echo 0 >ipv4/ip_forward
cd /

# This network's own devices in /sys, and cgroup v2 where every system of today has it.
mount -t sysfs sysfs /sys
if ! mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null; then
    # In a user namespace one may mount what is below one's own cgroup.
    unshare --cgroup mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi

mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd /run/lock /run/lab /run/user/0 /run/user/4711 /run/home/root /run/home/alice /run/etc /run/etc-work
cp -a "$dir/hosts/$host/." /run/lab/
echo "$dir" >/run/lab/directory
chmod 700 /run/user/0 /run/user/4711 /run/home/root /run/home/alice
chown 4711:4711 /run/user/4711 /run/home/alice

# A private /etc, so that users, hosts and resolv.conf can be changed here and nowhere else.
if ! mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/etc-work overlay /etc 2>/dev/null; then
    cp -a /etc/. /run/etc/
    mount --bind /run/etc /etc
fi
# A "!" would lock the account for sshd; "*" only means that no password fits.
sed -i 's/^root:[^:]*:/root:*:/' /etc/shadow
echo 'alice:x:4711:4711:a plain user:/run/home/alice:/bin/sh' >>/etc/passwd
echo 'alice:*:19000:0:99999:7:::' >>/etc/shadow
echo 'alice:x:4711:' >>/etc/group
echo "127.0.0.1 localhost $host
::1 localhost $host" >/etc/hosts

# The client keeps the machine's /tmp and homes: what a test built or wrote must be found there.
if [ "$files" = own ]; then
    for place in /tmp /var/tmp /dev/shm; do
        mount -t tmpfs -o mode=1777 tmpfs $place
    done
    mount -t tmpfs -o mode=700 tmpfs /root
fi

echo "$host $$"
exec sleep infinity >/dev/null
