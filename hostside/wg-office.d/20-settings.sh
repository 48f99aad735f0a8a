# The kernel's settings (sysctl): set, given back as they were, and what other files say of them.
# Touches: sysctl; before/sysctl, which remembers.

# --- changing the running system --------------------------------------------------------------------

has_tunnel() { [ -n "$1" ] && [ -n "$(header "$1" interface)" ]; }

family() { case $1 in *:*) printf '%s' -6 ;; *) printf '%s' -4 ;; esac; }

sysctl_is() { # KEY VALUE
  local now
  read -r now <"/proc/sys/${1//.//}" && [ "$now" = "$2" ]
}

put_sysctl() { # TO FROM
  local key value wanted='' had='' before
  [ -e "$etc/before/sysctl" ] || : >"$etc/before/sysctl"
  [ -z "$1" ] || wanted=$(sysctl_settings "$1")
  [ -z "$2" ] || had=$(sysctl_settings "$2")
  before=$(<"$etc/before/sysctl")
  while read -r key value; do
    [ -n "$key" ] || continue
    has_line_with "$before" "$key" || printf '%s %s\n' "$key" "$(sysctl -n "$key")" >>"$etc/before/sysctl"
    sysctl_is "$key" "$value" || sysctl -qw "$key=$value"
  done <<<"$wanted"
  while read -r key value; do
    [ -z "$key" ] || has_line_with "$wanted" "$key" || restore_setting "$key" "$value" "$had"
  done <<<"$before"
}

# Only where it still is as we set it: what somebody has chosen since is his. It stays remembered until the change is in force, since a
# reboot before that sets it anew; then `forget_what_is_not_ours` forgets it.
restore_setting() { # KEY VALUE SETTINGS-OF-OURS
  local now
  read -r now <"/proc/sys/${1//.//}" || return 1
  if has_line "$3" "$1 $now"; then sysctl -qw "$1=$2" || return 1; fi
}

# What a later file says of a setting of ours would count whenever somebody has all files read again, as upgrades do: said now.
later_settings() { # GEN
  local file name wanted key value seen=$'\n'
  wanted=$(sysctl_settings "$1")
  for file in /etc/sysctl.d/*.conf /run/sysctl.d/*.conf /usr/local/lib/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf; do
    name=${file##*/}
    if [ ! -r "$file" ] || has_line "$seen" "$name" || [[ ! $name > 50-wg-office.conf ]]; then continue; fi
    seen+=$name$'\n'
    while IFS='=' read -r key value; do
      key=${key//[- ]/} value=${value//[[:space:]]/}
      key=${key//\//.}
      if has_line_with "$wanted" "$key" && ! has_line "$wanted" "$key $value"; then
        echo "sysctl $key will be $value, not as we need it, when all settings are read again (sysctl --system): $file says so after our file; take that line out"
      fi
    done <"$file"
  done
}
