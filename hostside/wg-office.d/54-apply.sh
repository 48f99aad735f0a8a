# A change from the timer that undoes it to the one rename that makes it last: armed, applied, confirmed, committed.
# Touches: /run/wg-office; `deployment` and `current`; timers and units. All else by functions of other parts.

# Each timer has a name of its own, and undoes a change only while `armed` says that name. A second one is armed before the first is stopped.
arm() { # DIGEST SECONDS
  local unit="$rollback_unit-$1-$$" earlier
  earlier=$(armed_unit)
  systemd-run --quiet --collect --unit="$unit" --on-active="$2" --timer-property=AccuracySec=1s \
    /bin/bash "$etc/gen/$1/wg-office" rollback "$unit" 9>&-
  rm -f "$run/pending" "$run/rolled-back"
  write "$run/armed" "$1 $unit"
  stop_timer "$earlier"
}

disarm() {
  local unit
  unit=$(armed_unit)
  rm -f "$run/armed" "$run/pending"
  stop_timer "$unit"
}

stop_timer() { [ -z "$1" ] || systemctl stop "$1.timer" 2>/dev/null || true; }

armed_digest() { armed_word 1; }
armed_unit() { armed_word 2; }
armed_word() { # 1 | 2
  local words=()
  [ ! -e "$run/armed" ] || read -ra words <"$run/armed" || true
  printf '%s\n' "${words[$1 - 1]:-}"
}
armed() { [ -e "$run/armed" ] && systemctl -q is-active "$(armed_unit).timer"; }

verb_apply() { # FILE
  local digest gen
  digest=$(digest_of "$1")
  gen=$etc/gen/$digest
  trap 'explain $?' EXIT
  take_lock 30
  own_deployment "$(awk '$1=="deployment"{print $2; exit}' "$1")"
  stay
  settle_earlier_change "$digest"
  if [ "$(current_gen)" = "$gen" ] && [ ! -d "$gen/withdrawn" ] && holds "$gen"; then
    finish "$gen"
    return 0
  fi
  stage "$1" "$digest"
  (fit "$gen" && check "$gen") || { status=$?; discard "$gen"; exit "$status"; }
  [ -s "$etc/deployment" ] || write "$etc/deployment" "$(header "$gen" deployment)"
  remember_tunnel "$gen"
  withdraw "$gen"
  arm "$digest" "$(header "$gen" rollback-after)"
  apply_in_unit "$digest"
  [ -e "$current" ] || { foreign_forward_drops "$gen"; foreign_marks "$gen"; later_settings "$gen"; } | sed 's/^/wg-office: note: /' >&2
  exit "$unconfirmed"
}

# awk, sed and grep have other statuses than 1 for a disk that is full; ours, which say something, begin at 64.
failed_unsaid() { [ "$1" -ge 1 ] && [ "$1" -lt 64 ]; } # STATUS

# Where a command failed that no sentence of ours is about (its own stands above), the operator is told at least what it means for the host.
explain() { # STATUS
  failed_unsaid "$1" && [ -n "$locked" ] || return 0
  if [ -e "$run/armed" ]; then undo_and_tell "the change failed for the reason above"; fi
  rm -rf "$etc/gen/"*.new
  die "$rejected" "the change failed for the reason above, before anything was changed"
}

# What an earlier run left: our own change awaiting its confirmation, somebody else's, or one that was undone.
settle_earlier_change() { # DIGEST
  local undone when left
  if armed && [ "$(armed_digest)" = "$1" ]; then
    if [ "$(cat "$run/pending" 2>/dev/null)" = "$1" ]; then confirm "$1"; else apply_anew "$1"; fi
    exit 0
  fi
  if [ -e "$run/armed" ] && { ! armed || [ "$(current_gen)" = "$etc/gen/$(armed_digest)" ]; }; then
    # its timer is gone, or it was confirmed and cut short after that
    undo for-good
  fi
  if [ -e "$run/armed" ]; then
    die "$busy" "another change of this host awaits its confirmation and is undone if none comes; try again in two minutes"
  fi
  if [ -e "$run/rolled-back" ]; then
    read -r undone when left <"$run/rolled-back"
    if [ "$undone" = "$1" ] && [ "$((SECONDS_SINCE_BOOT - when))" -lt 30 ]; then
      [ -z "$left" ] || die "$went_back_but" "this change was undone, since no new connection confirmed it in time, but $left. Run 'pulumi up' again in half a minute"
      die "$rolled_back" "this change was undone, since no new connection confirmed it in time; the host holds its old state. Run 'pulumi up' again in half a minute to retry"
    fi
  fi
}

# In a unit of its own, so that a lost session cannot cut the change in half.
apply_in_unit() { # DIGEST
  : >"$run/log"
  if ! systemd-run --quiet --wait --collect --unit="$apply_unit" --property=TimeoutStopSec=5 /bin/bash "$etc/gen/$1/wg-office" activate "$1" 9>&-; then
    cat "$run/log" >&2
    undo_and_tell "the change failed while it was applied"
  fi
}

verb_activate() { # DIGEST; inside the unit, under the lock of the run that started it
  exec 2>"$run/log"
  local gen=$etc/gen/$1 from left
  from=$(current_gen)
  activate "$gen" "$from"
  left=$(differences "$gen")
  if [ -n "$left" ]; then
    printf 'wg-office: after applying, %s\n' "$left" >&2
    exit 1
  fi
  mark_pending "$1"
}

mark_pending() { write "$run/pending" "$1"; } # DIGEST

# That this connection could be made is the proof. Somebody may have restarted networkd meanwhile, so look first.
confirm() { # DIGEST
  local gen=$etc/gen/$1 left
  left=$(differences "$gen" 2>&1)
  if [ -n "$left" ]; then
    printf 'wg-office: since it was applied, %s; applying it again\n' "$left" >&2
    apply_anew "$1"
  fi
  commit "$gen"
  disarm
}

apply_anew() { # DIGEST: with the whole time for the confirmation
  arm "$1" "$(header "$etc/gen/$1" rollback-after)"
  apply_in_unit "$1"
  exit "$unconfirmed"
}

commit() { # GEN
  put_links "$1"
  keep_networkd "$1"
  to_disk
  make_current "$1"
  to_disk
  grant_again "$1"
  finish "$1"
}

to_disk() { sync -f "$etc"; }

make_current() { # GEN
  ln -sfn "gen/$(basename "$1")" "$current.new"
  mv -T "$current.new" "$current"
}

# What follows the rename. A run that finds it cut short does it again.
finish() { # GEN
  local path
  end_firewalld_trial
  forget_revoked "$1"
  missing_links "$1" | while read -r path; do waits_for_boot "$path" || link "$path"; done
  tidy
  disable_wg_quick "$1"
  reload_units "$1"
  if brings_firewalld "$1"; then systemctl start "$watch_unit"; fi
  # Begins at once, and is not waited for.
  if [ -e "$1/files/endpoint" ]; then systemctl restart "$follow_timer"; fi
  if has_ends "$1"; then systemctl restart "$until_timer"; fi
}
