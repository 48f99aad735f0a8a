# Peers that an operator refuses at once, until the description has their key no more.
# Touches: revoked/; .netdev and host.nft of all generations; the table inet wg_office_host; the tunnel's peers, and connections.

# --- whom an operator has revoked: from that moment until a confirmed description has the key no more ----

# A file for each name beside all generations, so that every one of them is in force without that peer: at the hub with "key KEY" lines, on
# a gateway, which knows no keys of developers, with "address ADDRESS" lines.
revoked=$etc/revoked
revoke_waits=90

verb_revoke() {
  local gen line
  trap '! failed_unsaid $? || echo "wg-office: the revocation failed for the reason above; do the same again" >&2' EXIT
  take_lock "$revoke_waits"
  gen=$(current_gen)
  can_revoke "$gen"
  while read -r line; do
    [[ $line =~ ^(revoke [a-z][a-z0-9-]*( [0-9a-f.:]+)+|lift [a-z][a-z0-9-]*)$ ]] || die "$rejected" "whom to revoke is not said in our words"
    # shellcheck disable=SC2086 # the verb, the name, addresses
    set -- $line
    "$1" "$gen" "${@:2}"
  done
}

can_revoke() { # GEN
  [ -n "$1" ] || die "$unfit" "nothing of wg-office is installed here, so that nobody is let in"
  ! older "$1" \
    || die "$unfit" "this host was set up by an older wg-office, which cannot revoke: take the line out of the environment file and run 'pulumi up'"
}

revoke() { # GEN NAME ADDRESS...
  local found
  found=$(revocation "$@")
  [ -n "$found" ] || { echo "unknown $2"; return 0; }
  mkdir -p "$revoked"
  write "$revoked/$2" "$({ cat "$revoked/$2" 2>/dev/null || true; grep -v '^seen ' <<<"$found"; } | sort -u)"
  to_disk
  enforce_revoked
  # shellcheck disable=SC2046 # several words
  set -- "$2" $(sed -n 's/^\(seen\|address\) //p' <<<"$found")
  end_flows_of "${@:2}"
  printf 'revoked %s\n' "$*"
}

# What the file of a name is to hold: on a gateway the addresses. At the hub the keys, in whichever generation they are, by the peer's name;
# or where that is not known, by its address, since a person who has several devices in the file may still have one alone here.
revocation() { # GEN NAME ADDRESS...
  local peers
  if [ "$(header "$1" role)" != hub ]; then
    printf 'address %s\n' "${@:3}"
    return
  fi
  peers=$(for gen in "$etc"/gen/*; do developer_peers "$gen"; done | sort -u)
  awk -v name="$2" -v addresses=" ${*:3} " '
    { at = ""; for (i = 3; i <= NF; i++) { sub(/\/.*/, "", $i); at = at "seen " $i "\n"; if (index(addresses, " " $i " ")) same[NR] } }
    { line[NR] = "key " $2 "\n" at }
    $1 == name { printf "%s", line[NR]; found = 1 }
    END { if (!found) for (i in same) printf "%s", line[i] }' <<<"$peers" | sort -u
}

developer_peers() { # GEN: "NAME KEY PREFIX..." per developer's peer of its description
  section "$1/description" "/run/systemd/network/50-$(header "$1" interface).netdev" | awk 'BEGIN { RS = ""; FS = "\n" }
    /^# [^\n]*, developer\n\[WireGuardPeer\]/ {
      key = prefixes = ""
      name = $1; sub(/^# /, "", name); sub(/,.*/, "", name)
      for (i = 2; i <= NF; i++) { if (sub(/^PublicKey=/, "", $i)) key = $i; if (sub(/^AllowedIPs=/, "", $i)) prefixes = prefixes " " $i }
      print name, key prefixes
    }'
}

revoked_keys() { sed -n 's/^key //p' "$revoked"/* 2>/dev/null || true; }

# What a file is to hold: the description's text, of the .netdev less the peers whose keys are revoked, so that networkd never learns of them.
wanted_file() { # GEN PATH
  case $2 in
    *.netdev) section "$1/description" "$2" | less_revoked ;;
    *) section "$1/description" "$2" ;;
  esac
}

less_revoked() {
  local keys
  keys=$(revoked_keys)
  [ -n "$keys" ] || { cat; return; }
  awk -v revoked="$keys" 'BEGIN { RS = ""; FS = "\n"; n = split(revoked, each, "\n"); while (n) gone[each[n--]] }
    { for (i = 1; i <= NF; i++) if ($i ~ /^PublicKey=/ && substr($i, 11) in gone) next; printf "%s%s\n", between, $0; between = "\n" }'
}

leave_out_revoked() { # GEN
  local path
  path=/run/systemd/network/50-$(header "$1" interface).netdev
  if [ ! -e "$1/files$path" ] || cmp -s <(wanted_file "$1" "$path") "$1/files$path"; then return 0; fi
  write "$1/files$path" "$(wanted_file "$1" "$path")"
}

# Whom this generation would let in. What it does not have needs no rule, and is forgotten when it is confirmed.
revoked_in() { # GEN [FILE]: addresses
  local files=("${2:-}")
  [ -n "${2:-}" ] || files=("$revoked"/*)
  [ -e "${files[0]}" ] || return 0
  if [ "$(header "$1" role)" = hub ]; then
    developer_peers "$1" | awk 'NR == FNR { if ($1 == "key") gone[$2]; next } $2 in gone { for (i = 3; i <= NF; i++) print $i }' <(cat "${files[@]}") -
  else
    awk 'NR == FNR { if ($1 == "address") gone[$2]; next } $1 == "allow" { for (i = 2; i <= 3; i++) { sub(/\/(32|128)$/, "", $i); if ($i in gone) print $i } }' \
      <(cat "${files[@]}") "$1/files/flows"
  fi | sed -E 's:/(32|128)$::' | sort -u
}

# A reset for those who talk to that peer; itself it is told nothing.
revoked_chain() { # ADDRESSES
  local address ip
  [ -n "$1" ] || return 0
  echo $'\tchain revoked {'
  for address in $1; do
    ip=$(ip_of "$address")
    printf '\t\t%s saddr %s drop\n\t\t%s daddr %s meta l4proto tcp reject with tcp reset\n\t\t%s daddr %s drop\n' "$ip" "$address" "$ip" "$address" "$ip" "$address"
  done
  echo $'\t}'
}

revoked_jumps() { # GEN ADDRESSES DIRECTION...
  local direction
  [ -n "$2" ] || return 0
  for direction in "${@:3}"; do printf '\t\t%s "%s" jump revoked\n' "$direction" "$(header "$1" interface)"; done
}

# Every generation that may come into force, and what runs now.
enforce_revoked() {
  local gen
  for gen in "$etc"/gen/*; do leave_out_revoked "$gen"; done
  write_all_host_rules
  gen=$(readlink -f "$run/running")
  [ -e "$gen/files/host.nft" ] || gen=$(current_gen)
  nft_load "$gen/files/host.nft" wg_office_host
  drop_revoked_peers "$gen"
}

drop_revoked_peers() { # GEN
  local key wg
  wg=$(header "$1" interface)
  [ -e "/sys/class/net/$wg" ] || return 0
  revoked_keys | while read -r key; do wg set "$wg" peer "$key" remove; done
}

end_flows_of() { # ADDRESS...
  local address end family
  for address; do
    case $address in *:*) family=ipv6 ;; *) family=ipv4 ;; esac
    for end in --orig-src --orig-dst --reply-src --reply-dst; do conntrack -D -f "$family" "$end" "$address" >/dev/null 2>&1 || true; done
  done
}

# A gateway does not see that a peer has a new key: it is told by an operator. At the hub the key itself must go.
lift() { # GEN NAME
  if [ -e "$revoked/$2" ]; then
    if [ "$(header "$1" role)" = hub ] && [ -n "$(revoked_in "$1" "$revoked/$2")" ]; then
      die "$rejected" "$2 still has the key that was revoked: give it a new one in the environment file (rotation, public_key), and run 'pulumi up'"
    fi
    rm -f "$revoked/$2"
    enforce_revoked
  fi
  echo "lifted $2"
}

forget_revoked() { # GEN, which was confirmed
  local file
  for file in "$revoked"/*; do
    [ ! -e "$file" ] || [ -n "$(revoked_in "$1" "$file")" ] || rm -f "$file"
  done
  rmdir "$revoked" 2>/dev/null || true
}

say_revoked() { [ ! -d "$revoked" ] || find "$revoked" -type f ! -name '*.new' -printf 'revoked %f\n' | sort; } # "revoked NAME" lines
