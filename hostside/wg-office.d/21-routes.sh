# Routes: set, and those of the host that had their place given back.
# Touches: the routing tables; before/routes, which remembers.

put_routes() { # TO FROM
  local dest rest wanted=''
  [ -z "$1" ] || wanted=$(wanted_routes "$1")
  if [ -n "$2" ]; then
    wanted_routes "$2" | while read -r dest rest; do
      has_line "$wanted" "$dest $rest" && continue
      # shellcheck disable=SC2086 # a route is several words
      ip "$(family "$dest")" route del "$dest" $rest proto static 2>/dev/null || ! has_route "$dest" "$rest" || continue
      restore_route "$dest"
    done
  fi
  if [ -n "$1" ]; then
    wanted_routes "$1" | set_routes
  fi
}

# One that cannot be set keeps none of the others from being set.
set_routes() { # "DEST WAY" lines on stdin
  local dest rest status=0
  while read -r dest rest; do
    # networkd compares protocols: `static` is what it would set itself
    # shellcheck disable=SC2086
    ip "$(family "$dest")" route replace "$dest" $rest proto static || status=1
  done
  return "$status"
}

# What a person had set before us, or `none`: said once and before anything is changed, lest a second attempt takes our own for theirs.
remember_routes() { # TO FROM
  local dest known
  [ -e "$etc/before/routes" ] || : >"$etc/before/routes"
  [ -n "$1" ] || return 0
  known=$(<"$etc/before/routes")
  [ -z "$2" ] || known+=$'\n'$(wanted_routes "$2")
  wanted_routes "$1" | while read -r dest _; do
    has_line_with "$known" "$dest" && continue
    printf '%s %s\n' "$dest" "$(way_to "$dest")" >>"$etc/before/routes"
  done
}

route_types='unreachable|blackhole|prohibit|throw|local|broadcast|anycast|multicast'

# Of the routes to DEST the one whose place ours takes, as it is remembered: its type, if it has one, and what ip shows behind the prefix; or
# none. The others have another metric, and stay.
way_to() { # DEST [TABLE]
  local found
  found=$(ip -o "$(family "$1")" route show table "${2:-main}" exact "$1" | sed -nE '
    s/\\//g; s/[[:space:]]+/ /g; s/ (linkdown|dead)\>//g; s/ rto_min lock / rto_min /
    s/^(('"$route_types"') )?[^ ]+ ?/\1/
    / nhid |^nhid /s/ (nexthop )?(via( inet6)?|dev|weight) [^ ]+//g; s/ $//
    '"$(if [ "$(family "$1")" = -6 ]; then echo '/^from /d; /(^| )metric 1024( |$)/'; else echo '/(^| )metric |^tos /!'; fi)p")
  printf '%s\n' "${found:-none}"
}

# Asked of the kernel in a table that no packet is looked up in.
can_be_given_back() { # DEST WAY
  local table=1085217 same=''
  put_route "$1" "$2" "$table" 2>/dev/null || return 1
  [ "$(way_to "$1" "$table")" != "$2" ] || same=yes
  ip "$(family "$1")" route del "$1" table "$table"
  [ -n "$same" ]
}

put_route() { # DEST WAY TABLE
  local type=''
  [[ ! ${2%% *} =~ ^($route_types)$ ]] || type=${2%% *}
  # what ip shows without a scope has this one
  # shellcheck disable=SC2086 # a route is several words
  ip "$(family "$1")" route add $type "$1" table "$3" scope global ${2#"$type"}
}

has_route() { # DEST WAY
  local found
  found=$(ip "$(family "$1")" route show exact "$1")
  case " ${found//$'\n'/ } " in *" $2 "*) ;; *) return 1 ;; esac
}

# Unless somebody has chosen another one since.
restore_route() { # DEST
  local old
  old=$(sed -n "s|^$1 ||p" "$etc/before/routes")
  case $old in '' | none) return 0 ;; esac
  [ "$(way_to "$1")" != none ] || has_route "$1" "$old" || put_route "$1" "$old" main \
    || echo "wg-office: note: this host's own route to $1 ('$old') could not be put back: set it again ('ip $(family "$1") route add')" >&2
}
