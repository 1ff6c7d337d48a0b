# The first stage: what a POSIX shell over there does until the agent runs. docs/bootstrap.md explains it.
# Sent as one line: comments go, lines are joined by a blank, so each statement ends with its semicolon.
# Standard input brings: this line, the order (a line), the agent's bytes, and after a "need" another order
# with other bytes.

have=gzip; command -v gzip >/dev/null 2>&1 || have=raw;
here=$(uname -sm 2>/dev/null);
say() { printf '\036shuttle:%s\t%s\t%s\t%s\n' "$1" "$here" "$have" "$2"; };
fail() { say "$@"; exit 1; };
take() { head -c "$count" 2>/dev/null || dd ibs=1 obs=4096 count="$count" 2>/dev/null; };

for tool in uname chmod rm wc; do command -v $tool >/dev/null 2>&1 || fail missing $tool; done;
command -v head >/dev/null 2>&1 || command -v dd >/dev/null 2>&1 || fail missing 'head or dd';

# Whatever ends the stage, its file goes. Signals come late and twice: each runs all of this, none hits the rm.
leave() { trap '' 1 2 3 13 15; trap - 0; rm -f "$file"; exit 1; };
file=; trap leave 0 1 2 3 13 15;
IFS=' ' read -r machine form count size name place;

# A place is tried by running a line of shell there: the mount may be noexec, the directory read-only.
# The name is random and the file must be new (set -C), so nobody else's file is ever written.
umask 077; set -C; tried=; shell=$(command -v sh); case $shell in /*) ;; *) shell=/bin/sh;; esac;
for place in "$place" "$XDG_RUNTIME_DIR" /dev/shm "$TMPDIR" /tmp "/run/user/$(id -u 2>/dev/null)" /run /var/tmp "$HOME" .; do
  case $place in /*|.) ;; *) continue;; esac;
  case "$tried;" in *" $place ("*) continue;; esac;
  file=$place/.shuttle-$name;
  if { printf '#!%s\necho runs\n' "$shell" >"$file"; } 2>/dev/null; then
    chmod 700 "$file"; [ "$("$file" 2>/dev/null)" = runs ] && break;
    why='may not execute'; else why='cannot write';
  fi;
  rm -f "$file" 2>/dev/null; file=; tried="$tried; $place ($why)";
done;
[ "$file" ] || fail nowhere "${tried#; }";

# The order was a guess: when it does not fit, its bytes are dropped and the right ones asked for.
while [ "$here" != "Linux $machine" ] || [ "$have$form" = rawgzip ]; do
  [ "$count" = 0 ] || take >/dev/null;
  say need "$place";
  IFS=' ' read -r machine form count size name || exit 1;
done;
say at "$place";

if [ $form = gzip ]; then take | gzip -dc 2>/dev/null >|"$file"; else take >|"$file"; fi || fail spoilt "$place";
[ $(wc -c <"$file") = $size ] || fail spoilt "$place";

# An agent that cannot start must not stay: bash would leave at once, without its trap.
shopt -s execfail 2>/dev/null; exec "$file"; fail unstarted "$place";
