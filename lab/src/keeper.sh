# Keeps a lab's namespaces and ends them. Usage: sh keeper.sh DIRECTORY HOST:FILES...
#
# Standard input is a pipe from the lab's owner. Its end means that the owner dropped the lab or died, SIGKILL
# included: then every process on the lab's hosts is killed and the directory removed. One way out for both.
dir=$1
shift
exec 9<"$dir"
flock 9 # held while this lab lives; an unlocked directory is rubbish

for host; do
    setpriv --pdeathsig KILL \
        unshare --net --mount --uts sh "$dir/holder.sh" "$dir" "${host%%:*}" "${host#*:}" </dev/null 9<&- &
done
exec >/dev/null
cat >/dev/null

# A process is on one of our hosts if it sees our name in /run/lab.
round=0
while [ $round -lt 100 ]; do
    found=
    for marker in /proc/[0-9]*/root/run/lab/directory; do
        { read -r named <"$marker"; } 2>/dev/null || continue
        [ "$named" = "$dir" ] || continue
        pid=${marker#/proc/}
        kill -9 "${pid%%/*}" 2>/dev/null
        found=yes
    done
    [ -n "$found" ] || break
    sleep 0.02
    round=$((round + 1))
done
rm -rf "$dir"
