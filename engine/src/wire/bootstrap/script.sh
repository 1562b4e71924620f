#!/bin/sh
# The script that finds, places and starts the agent, in parts. `script.rs` sends the parts that a mode needs as one line:
# without comments and indentation, and with `;` for the end of a line, but not behind `{ ( ;; && || | in then do else`.
# It stands between single quotes, and any login shell may read it first: so no single quote, no `!`, no doubled backslash.
# A comment is a line of its own.
#
#   start, look, lane   begin ours judge start
#   visit               the same
#   place               begin judge put clean place
#   lend                begin put clean lend
#   vanish              begin ours clean vanish
#
# Names are short, as each byte is sent with each first connection:
#
#   m  mode                            d  deploy path
#   n  name of the agent's file        a  directory of the agent
#   l  length of the agent in bytes    o  directory in which the login begins
#   z  command that unpacks the agent  h  set where the agent's directory is one of our own making
#   p  file that is not whole yet      t  temporary directory
#   u  directory that others could change, as `tell` prints it
#   y  system and architecture
#
# `-O` is not in POSIX; dash, bash and busybox know it. Where a shell does not, nothing is ours.
# shellcheck disable=SC3067
# Modes and owners are read from `ls`, whose format POSIX fixes: `stat` is not everywhere. Names in it are not read.
# shellcheck disable=SC2012
# A `cd` that fails shows in what is looked at next; it must not end the script without an answer.
# shellcheck disable=SC2164
# Words are split on purpose where `ls` or a command with its options is read.
# shellcheck disable=SC2046,SC2086
# What `read` skips has a name and no use.
# shellcheck disable=SC2034
# Functions and traps are used by other parts, and the parts of a mode end it.
# shellcheck disable=SC2317,SC2329

#: begin
# What is made is for its owner alone; the agent takes the usual umask itself.
umask 077
# `printf %b` decodes; the `x` keeps newlines at the end of a path, which `$(...)` would drop.
m=$1; n=$2; l=$3; z=$6; o=$PWD; p=; t=
d=$(printf %bx "$4"); d=${d%x}; a=$(printf %bx "$5"); a=${a%x}
h=; case $a in ("$d/.cutover/bin") h=.;; esac
say() { printf "\ncutover-bootstrap:%s:%s:end\n" "$1" "$2"; }

#: ours
# Tells whether the working directory and the agent in it are the login user's own. `ls -ld` prints the modes of one after
# the other; `-rwx` stands nowhere but where the second begins. A mark for an access list may follow the first, and the
# rights that such a list gives to others show as the group's.
ours() {
  [ -O . ] && [ -O "$n" ] && case $(ls -ld . "$n") in
    (d????-??-*-rwx?-??-*) ;;
    (*) false;;
  esac
}

#: judge
# Tells whether a group is known to have no members but the login user and root.
alone() {
  k=1
  while IFS=: read -r x x v w || [ "$x" ]; do
    [ "$v" = "$1" ] && {
      k=0
      case ,$w, in
        (,,|,root,|,"$LOGNAME",|,root,"$LOGNAME",|,"$LOGNAME",root,) ;;
        (*) return 1;;
      esac
    }
  done < /etc/group
  while IFS=: read -r x v v w v || [ "$x" ]; do
    [ "$w" = "$1" ] && case $x in
      (root|"$LOGNAME") ;;
      (*) return 1;;
    esac
  done < /etc/passwd
  [ -r /etc/passwd ] && return $k
}
# Prints of a directory whether its mode or its owner is what is wrong, and mode, owner, group, path.
tell() {
  cd -P "$1"
  set -- "$(pwd -P)" $(ls -ld .)
  k=o
  { [ -O . ] || [ "$4" = root ]; } && k=m
  printf %s "$k:$2:$4:$5:$1"
}
# Goes to the nearest directory that exists on a path, and looks at that one and all above it, by `..`: what a symlink on
# the way leads past does not matter. Tells of the first that somebody else could change, and prints nothing where there is
# none. Without `ls` nothing is known, and nothing is right.
judge() {
  e=$1
  until cd -P "$e" 2>&-; do
    case $e in
      (*/*) e=${e%/*}; e=${e:-/};;
      (*) e=/;;
    esac
  done
  e=.; k=; q=$(pwd -P)
  while [ "$q" ]; do
    k="$k $e"; e=$e/..; q=${q%/*}
  done
  { ls -ldn $k $e || echo - - - - .; } | while read -r b x v g e; do
    e=${e##* }
    { [ "$v" = 0 ] || [ -O "$e" ]; } && case $b in
      (d????-??-*|d????????[tT]*) continue;;
      (d????w??-?|d????w??-?.) alone "$g" && continue;;
    esac
    tell "$e"
    break
  done
}

#: put
# Takes the agent from stdin into the working directory. An empty file that may be executed is run by the shell and does
# nothing; on a filesystem mounted noexec it is refused with 126. That is known before the agent is sent.
# `true >` rather than `: >`: a failed redirection of a special builtin ends the shell. Streams are closed rather than led
# to `/dev/null`, which some jails do not have.
put() {
  p=.$n.$$
  true > "$p" && chmod 700 "$p" || return 1
  "./$p" <&- >&- 2>&-
  [ $? -eq 126 ] && return 2
  $z > "$p" && w=$(wc -c < "$p") || return 1
  [ "$w" -eq "$l" ] || return 3
  mv -f "$p" "$n"
}
told() {
  case $1 in
    (2) say noexec;;
    (3) say short;;
    (*) say failed;;
  esac
}

#: clean
# Removes at the end what is left, by its name.
clean() {
  [ -z "$p" ] || rm -f "$p"
  [ -z "$t" ] || { rm -f "$t/$n"; rmdir "$t"; }
}
trap clean 0
trap "exit 1" 1 2 15

#: start
w=missing; y=$(uname -s -m 2>&-)
if cd "$a" 2>&-; then
  if ours; then
    chmod 700 $h "$n"
    say start "$y"
    case $m in
      (lane) exec "./$n" agent --lane;;
      (*) exec "./$n" agent --from "$o";;
    esac
  fi
  [ -e "$n" ] && w=unfit
  cd "$o"
fi
# A deploy path that holds files of others is not ours, unless it has been: then `.cutover` is there.
u=; f=; g=
[ $m = visit ] || u=$(judge "$a")
[ "$u" ] || [ $m = look ] || [ $m = visit ] || [ -d "$d/.cutover" ] || f=$(ls -A "$d" 2>&- | while IFS= read -r f; do
  case $f in
    (shared|cache|lost+found) ;;
    (*) printf %s "$f"; break;;
  esac
done)
if [ "$u" ]; then
  say unsafe "$u"
elif [ "$f" ]; then
  say foreign "$f"
else
  # The agent is sent packed where the server has a `gzip` that unpacks, which nearly all have: that is less than half of it.
  # Some name one that they cannot run, so it is tried on an empty stream.
  printf "\037\213\010\0\0\0\0\0\0\3\3\0\0\0\0\0\0\0\0\0" | gzip -dc 2>&- && g=gzip
  say $w "$y:$g"
fi

#: place
# The deploy path is made for all to read, as a web server must; what is private begins at `.cutover`.
u=$(judge "$a")
if [ -z "$u" ]; then
  { [ -z $h ] || (umask 022; mkdir -p "$d"); } && mkdir -p "$a" && cd "$a"
  r=$?
  [ $r -eq 0 ] && {
    [ -z $h ] || [ -L "$a" ] || [ -L "${a%/bin}" ] || chmod 700 . .. 2>&-
    u=$(judge .)
    [ "$u" ] || {
      [ -O . ] && case $(ls -ld .) in
        (d????-??-*) ;;
        (*) false;;
      esac
    } || u=$(tell .)
  }
fi
if [ "$u" ]; then
  say unsafe "$u"
elif [ $r -eq 0 ] && { put; r=$?; [ $r -eq 0 ]; }; then
  say placed
  # Old agents are removed by the exact form of their names, in this directory alone.
  h="[0-9a-f]"; h=$h$h$h$h; h=$h$h$h$h; g=; set --
  for x in 1 2 3 4 5 6 7; do
    g="${g}[0-9]"
    set -- "$@" -o -name ".cutover-$h.$g"
  done
  LC_ALL=C find . -name . -o -prune -type f -user "$LOGNAME" -perm 700 -mtime +7 \( -name "cutover-$h" "$@" \) -exec rm -f {} + 2>&-
else
  told $r
fi

#: lend
r=1
for e in "${TMPDIR:-/tmp}" /tmp /var/tmp /dev/shm; do
  # Another directory is tried where either fails.
  # shellcheck disable=SC2015
  t=$(mktemp -d "$e/cutover.XXXXXXXX") && cd "$t" || continue
  t=$PWD
  put; r=$?
  [ $r -eq 2 ] || break
  clean
  t=
  cd "$o"
done
if [ $r -eq 0 ]; then
  say lent "$t"
  t=
else
  told $r
fi

#: vanish
# A program that was opened is run through `/proc` after its last name is gone.
t=$a
cd "$a" && ours && exec 3< "$n" && say start && if [ -e /proc/self/fd/3 ]; then
  cd "$o"
  clean
  exec /proc/self/fd/3 agent
else
  "./$n" agent --from "$o"
fi
