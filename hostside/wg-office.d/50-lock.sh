# One run at a time: the host's lock; and which generation is in force.
# Touches: /run/wg-office/lock; by force, the run that holds it.

# --- the protocol: stage, check, arm, apply, confirm, commit ------------------------------------------

take_lock() { # SECONDS
  # the one before may have taken the directory away, and the lock with it
  until
    open_lock
    flock -w "$1" 9 || die "$busy" "another wg-office run holds this host; try again when it has ended"
    [ "$run/lock" -ef /proc/self/fd/9 ]
  do :; done
  hold_lock
  # A lost session leaves its apply unit running: the lock is ours, the work may still be its.
  await 60 apply_unit_idle || die "$busy" "an earlier change is still being applied; try again in a minute"
}

open_lock() {
  install -d -m 0700 "$run"
  exec 9>>"$run/lock"
}

# The holder's process group stands in the lock: its children hold the lock as well.
locked=
hold_lock() {
  local group
  locked=yes
  read -r _ _ _ _ group _ <"/proc/$$/stat"
  echo "$group" >"$run/lock"
}

# The roll-back waits for no run that hangs. What is killed leaves the old state or the new one: both are told from each other below.
take_lock_by_force() {
  open_lock
  if ! flock -w 15 9; then
    kill -KILL -- "-$(cat "$run/lock")" || true
    flock -w 60 9
  fi
  hold_lock
}

apply_unit_idle() { case $(systemctl is-active "$apply_unit") in active | activating | deactivating) return 1 ;; esac; }

current_gen() { # the generation in force, or nothing
  # in a subshell of whoever asks
  [ ! -e "$current" ] || { cd -P "$current" && printf '%s\n' "$PWD"; }
}
