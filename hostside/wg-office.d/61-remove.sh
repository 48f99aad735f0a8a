# All of ours is taken away, and what was there before is put back; later, where the session comes through the tunnel.
# Touches: everything of ours, by `activate` and `give_back`.

verb_remove() { # FILE
  local gen
  take_lock 30
  [ -d "$etc" ] || return 0
  own_deployment "$(awk '$1=="deployment"{print $2; exit}' "$1")"
  if [ -e "$run/armed" ]; then undo for-good; fi
  make_whole "$1"
  gen=$(current_gen)
  if brings_firewalld "$gen" && firewalld_runs; then keeps_firewalld; fi
  if [ -z "$gen" ]; then
    rm -rf "$etc"
  elif has_tunnel "$gen" && [ -n "$(came_through "$(header "$gen" interface)")" ]; then
    leave_later "$gen"
  else
    take_away "$gen"
  fi
}

# What there is to take away is told by files. Those that were lost are put in their place first, lest it stays and nobody says so.
make_whole() { # DESCRIPTION
  local gen digest
  gen=$(current_gen)
  if [ -n "$gen" ]; then ! intact "$gen" || return 0; elif [ -z "$(our_links)" ]; then return 0; fi
  digest=$(digest_of "$1")
  [ -z "$gen" ] || [ "${gen##*/}" = "$digest" ] \
    || die "$unfit" "files of what is installed here were lost, so that it is not known what to take away: have them put back first, by 'python -m wg_office repair' and 'pulumi up'; nothing was changed"
  mkdir -p "$etc/gen/$digest"
  make_current "$etc/gen/$digest"
  stage "$1" "$digest"
}

# The branch that this session sits on is cut when the session and the one for the keys have ended.
leave_later() { # GEN
  stay
  : >"$run/leaving"
  echo "wg-office: this session came through the tunnel, so this host takes everything away in 30 seconds, when the session has ended" >&2
  systemd-run --quiet --collect --unit="$leave_unit" --on-active=30 --timer-property=AccuracySec=1s /bin/bash "$1/wg-office" leave 9>&-
}

stay() {
  [ -e "$run/leaving" ] || return 0
  rm -f "$run/leaving"
  systemctl stop "$leave_unit.timer" 2>/dev/null || true
}

# Where nothing is installed, /run holds nothing either.
leave_nothing() { [ -e "$etc" ] || rm -rf "$run"; }

verb_leave() {
  take_lock 30
  if [ -e "$run/leaving" ]; then take_away "$(current_gen)"; fi
}

take_away() { # GEN
  local gen=$1 path
  enable_wg_quick
  systemctl -q disable wg-office.service 2>/dev/null || true
  systemctl stop "$watch_unit" 2>/dev/null || true
  our_links | while read -r path _; do give_back "$path"; done
  activate "" "$gen"
  release_networkd "$gen"
  systemctl daemon-reload
  rm -rf "$etc" "$run/rolled-back" "$run/leaving" "$run/found-tunnel"
}
