# Keys come by stdin into files, and go again. Nothing of them is printed.
# Touches: keys/; what is left of /etc/wg-office where nothing is installed.

# --- keys, boot, remove -------------------------------------------------------------------------------

read_deployment() {
  read -r name value
  [ "$name" = deployment ] || die "$rejected" "the keys lack the line that names their deployment"
}

# Lines of "NAME KEY" on stdin. Prints nothing of them, whatever happens.
verb_keys() {
  local name value group=root
  trap '! failed_unsaid $? || echo "wg-office: the keys could not be written, for the reason above; nothing refers to them yet" >&2' EXIT
  read_deployment
  take_lock 30
  own_deployment "$value"
  getent group systemd-network >/dev/null && group=systemd-network
  install -d -m 0755 "$etc"
  install -d -m 0750 -o root -g "$group" "$etc/keys"
  rm -f "$etc"/keys/.*.new
  umask 077
  while read -r name value; do
    case $name in '#') continue ;; '' | *[!a-z0-9-]*) die "$rejected" "a key has no proper name" ;; esac
    printf '%s\n' "$value" >"$etc/keys/.$name.new"
    chown "root:$group" "$etc/keys/.$name.new"
    chmod 0640 "$etc/keys/.$name.new"
    mv "$etc/keys/.$name.new" "$etc/keys/$name"
  done
  sync -f "$etc/keys"
}

verb_forget_keys() {
  local name value gen used=''
  read_deployment
  take_lock 30
  # What leaves takes its keys along.
  if [ ! -d "$etc" ] || [ -e "$run/leaving" ]; then return 0; fi
  own_deployment "$value"
  gen=$(current_gen)
  # `tidy` takes them away when that can be told again
  tells_keys "$gen" || return 0
  if has_tunnel "$gen"; then used=$(used_keys "$gen"); fi
  while read -r name _; do
    case $name in '' | *[!a-z0-9-]*) continue ;; esac
    has_line "$used" "$etc/keys/$name" || rm -f "$etc/keys/$name"
  done
  rmdir "$etc/keys" 2>/dev/null || true
  if [ -z "$gen" ]; then rm -rf "$etc"; fi
}
