# What a host says of itself, in lines that a program reads.
# Touches: nothing.

# --- status: "KEY VALUE" lines, which wg_office/asking/report.py reads. Nothing is written, nothing secret is said. ------------

verb_status() { # [full]
  local gen
  printf 'time %s\n' "$(date +%s.%N)"
  if [ "${1:-}" = full ]; then answers_to_pings; fi
  versions
  [ ! -e "$etc/deployment" ] || printf 'deployment %s\n' "$(cat "$etc/deployment")"
  what_is_under_way
  gen=$(current_gen)
  printf 'generation %s\n' "$(basename "${gen:-none}")"
  if [ -z "$gen" ]; then return 0; fi
  say_withdrawn "$gen"
  say_revoked
  drift "$gen" | sed 's/^/drift /'
  [ -e "$gen/description" ] || return 0
  if has_tunnel "$gen"; then peers "$(header "$gen" interface)"; fi
  if [ "${1:-}" = full ]; then
    echo description
    cat "$gen/description"
  fi
}

drift() { # GEN
  local files
  files=$(file_differences "$1")
  [ -z "$files" ] || printf '%s\n' "$files"
  # Without the generation's own files there is nothing to compare with.
  if grep -qE "^file $1/.* is missing$" < <(printf '%s\n' "$files"); then return 0; fi
  unit_differences "$1"
  if has_tunnel "$1"; then key_differences "$1"; fi
  foreign_forward_drops "$1"
  foreign_marks "$1"
  later_settings "$1"
  # While a change awaits its confirmation the running system differs on purpose.
  [ -e "$run/armed" ] || differences "$1" 2>&1 | grep -v '^key file ' || true
}

what_is_under_way() {
  local digest when remains
  if [ -e "$run/armed" ]; then printf 'pending %s\n' "$(cut -d' ' -f1 "$run/armed")"; fi
  if [ -e "$run/leaving" ]; then echo leaving; fi
  if [ -e "$run/rolled-back" ]; then
    read -r digest when remains <"$run/rolled-back"
    printf 'rolled-back %s %s\n' "$digest" "$((SECONDS_SINCE_BOOT - when))"
    [ -z "$remains" ] || [ -e "$current" ] || printf 'drift after a change was undone, %s\n' "$remains"
  fi
}

versions() {
  printf 'version systemd %s\n' "$(systemctl --version | awk 'NR==1 {print $2}')"
  printf 'version kernel %s\n' "$(uname -r)"
  if command -v wg >/dev/null; then printf 'version wireguard-tools %s\n' "$(wg --version | awk '{sub(/^v/, "", $2); print $2}')"; fi
}

# "key PUBLIC", then per peer "peer PUBLIC SECONDS-SINCE-HANDSHAKE RECEIVED SENT ENDPOINT".
peers() { # INTERFACE
  wg show "$1" dump 2>/dev/null | awk -F'\t' -v now="$(date +%s)" '
    NR == 1 { print "key", $2; next }
    { print "peer", $1, ($5 == 0 ? "never" : now - $5), $6, $7, $3 }
  ' || true
}

# All at once: together they take no longer than one.
answers_to_pings() {
  local word address
  while read -r word address; do
    case $word in ping) answer_to_ping "$address" & ;; esac
  done
  wait
}

answer_to_ping() { # ADDRESS; a refusal that comes from there has gone the same way as an answer
  local said
  command -v ping >/dev/null || { echo "ping $1 unknown"; return 0; }
  if said=$(ping -n -c 3 -i 0.3 -W 3 "$1" 2>&1 </dev/null); then echo "ping $1 answered"; return 0; fi
  case $said in
    *"From $1 "*[Ff]iltered* | *"From $1 "*rohibited*) echo "ping $1 refused" ;;
    *) echo "ping $1 silent" ;;
  esac
}
