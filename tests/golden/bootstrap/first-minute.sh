#!/bin/sh
# The first minute of gateway a of office: for root, on the gateway itself. Paste it whole, or save it and `sh` it.
# It can be used once, until 2026-11-29 00:50 UTC. It holds a secret until then: pass it on to nobody else, and remove it.
#
# It dials root@203.0.113.10:22, whose host key it knows, and says this machine's own. Then the office's operator comes in that way, by SSH
# as root, with 2 public keys. What it puts where:
#   .ssh/authorized_keys in /root (or where sshd looks for it): a line for each of these keys, behind what is there.
#     They end with wg-office-office; to take them away: sed -i '/ wg-office-office$/d' ~/.ssh/authorized_keys
#   /run/wg-office-bootstrap.*, and wg-office-bootstrap.service: the way to the hub. It ends by itself, once WireGuard has taken its
#     place, after an hour, at a reboot, or by: systemctl stop wg-office-bootstrap
(
user=root
mark=wg-office-office
hub=203.0.113.10
hub_port=22
hub_user=root
hub_key='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f'
inside_key='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f'
way_port=2201
until='2026-11-29 00:50 UTC'
operator='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4/'
once='-----BEGIN OPENSSH PRIVATE KEY-----
THE/ONE+TIME=
-----END OPENSSH PRIVATE KEY-----'
# --- whether this machine can do it; the script is not used up before that is known -----------------------------------
set -eu
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL PATH

say() { printf 'wg-office: %s\n' "$*"; }
stop() { # WHAT
  say "$*" >&2
  exit 1
}
not_yet() { stop "$*. Nothing was changed here, and the script is still good"; } # WHAT

[ "$(id -u)" = 0 ] || not_yet "this is for root: run it again as root"
for tool in ssh ssh-keygen ssh-keyscan sshd systemd-run runuser; do
  command -v "$tool" >/dev/null || not_yet "this machine has no $tool: apt-get install openssh-server (or dnf), then run this again"
done
id "$user" >/dev/null 2>&1 || not_yet "this machine has no user $user, as whom the office logs in: make one that is allowed sudo -n"
[ "$user" = root ] || runuser -u "$user" -- sudo -n true 2>/dev/null || not_yet "user $user is not allowed sudo -n here"

sshd_settings=$(sshd -T -C "user=$user,host=localhost,addr=127.0.0.1" 2>&1) || not_yet "sshd does not accept its own settings here: sshd -t says why"
setting() { printf '%s\n' "$sshd_settings" | awk -v word="$1" '$1 == word { print $2; exit }'; } # WORD
home=$(getent passwd "$user" | cut -d: -f6)
keys=$(setting authorizedkeysfile | sed "s|%h|$home|g; s|%u|$user|g")
case $keys in /*) ;; none | '') not_yet "sshd takes no keys from a file here (AuthorizedKeysFile)" ;; *) keys=$home/$keys ;; esac
[ "$user" != root ] || [ "$(setting permitrootlogin)" != no ] || not_yet "sshd lets root in by no key here: PermitRootLogin prohibit-password would"

port=$(setting port)
listen=$(setting listenaddress)
case $listen in
  '' | 0.0.0.0:* | '[::]:'*) address=127.0.0.1 ;;
  *) address=${listen%:*} ;;
esac
bare=${address#[}
bare=${bare%]}
host_key=$(ssh-keyscan -T 10 -t ed25519 -p "$port" "$bare" 2>/dev/null | awk '$2 == "ssh-ed25519" { print $2, $3; exit }')
[ -n "$host_key" ] || not_yet "no SSH server with an ed25519 key answers here at $bare port $port: ssh-keygen -A, systemctl restart ssh (or sshd), then run this again"

# --- the call ---------------------------------------------------------------------------------------------------------
umask 077
dir=$(mktemp -d /run/wg-office-bootstrap.XXXXXX)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
printf '%s\n' "$once" >"$dir/once"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$dir/way"
printf 'hub %s\ninside %s\n' "$hub_key" "$inside_key" >"$dir/known_hosts"
cat >"$dir/config" <<END
Host *
  BatchMode yes
  IdentitiesOnly yes
  IdentityAgent none
  StrictHostKeyChecking yes
  UserKnownHostsFile $dir/known_hosts
  GlobalKnownHostsFile /dev/null
  HostKeyAlgorithms ssh-ed25519
  CheckHostIP no
  ConnectTimeout 20
  ServerAliveInterval 10
  ServerAliveCountMax 3
  LogLevel ERROR
Host once hub
  HostName $hub
  Port $hub_port
  User $hub_user
  HostKeyAlias hub
Host once
  IdentityFile $dir/once
Host hub inside
  IdentityFile $dir/way
Host inside
  HostKeyAlias inside
  User daemon
  ProxyCommand ssh -F $dir/config hub
  ExitOnForwardFailure yes
  RemoteForward 127.0.0.1:$way_port $address:$port
END

say "dialling the hub, $hub port $hub_port"
status=0
answer=$({ printf '%s\n' "$host_key"; cut -d ' ' -f 1,2 "$dir/way.pub"; } | ssh -F "$dir/config" once 2>"$dir/said") || status=$?
said=$(tail -n 1 "$dir/said" | tr -cd '[:print:]')
case $status:$(cat "$dir/said") in
  0:*) ;;
  255:*'ermission denied'*) stop "the hub does not take this script: it was good until $until, and only until another was made. Nothing was changed here; ask for a new one" ;;
  255:*'verification failed'*) stop "what answers at $hub port $hub_port shows another host key than the office's hub. Nothing was changed here; tell the operator" ;;
  255:*) not_yet "the hub, $hub port $hub_port, cannot be reached from here ($said)" ;;
  *) stop "the hub did not do it ($said). Nothing was changed here; ask for a new script" ;;
esac
rm -f "$dir/once"
# Whatever the hub's login shell says before.
answer=$(printf '%s\n' "$answer" | tail -n 1)
case $answer in
  enrolled\ *) seconds=${answer#enrolled } ;;
  used\ *) stop "this script was used already, ${answer#used }. Nothing was changed here; ask for a new one" ;;
  *) stop "the hub said what cannot be understood. Nothing was changed here; ask for a new script" ;;
esac

# --- the operator's keys, and the way, until the tunnel stands --------------------------------------------------------
as=
case $keys in "$home"/*) [ "$user" = root ] || as="runuser -u $user --" ;; esac
# shellcheck disable=SC2016,SC2086 # for the shell in it; words
printf '%s\n' "$operator" | $as sh -euc '
  umask 077
  mkdir -p "${1%/*}"
  touch "$1"
  [ -z "$(tail -c 1 "$1")" ] || echo >>"$1"
  while read -r kind key; do
    grep -qF "$key" "$1" || printf "restrict %s %s %s\n" "$kind" "$key" "$2" >>"$1"
  done' sh "$keys" "$mark" || stop "the operator's keys cannot be written to $keys. Mend that, and ask for a new script"
if command -v restorecon >/dev/null; then restorecon -R "${keys%/*}"; fi

cat >"$dir/keep" <<'END'
# Dials the hub again and again, until it is reached by WireGuard: a minute after a first `pulumi up` that was confirmed.
dir=${0%/*}
while :; do
  ssh -N -F "$dir/config" inside || true
  sleep 5
done &
settled=0
while [ "$settled" -lt 12 ]; do
  sleep 5
  if [ -e /etc/wg-office/current/description ] && [ ! -e /run/wg-office/armed ] \
    && wg show all latest-handshakes 2>/dev/null | awk -v now="$(date +%s)" 'now - $3 < 180 { found = 1 } END { exit found ? 0 : 1 }'; then
    settled=$((settled + 1))
  else
    settled=0
  fi
done
END
systemctl stop wg-office-bootstrap.service 2>/dev/null || true
systemd-run --quiet --collect --unit=wg-office-bootstrap --property=RuntimeDirectory="${dir##*/}" --property=RuntimeDirectoryMode=0700 \
  --property=RuntimeMaxSec="$seconds" sh "$dir/keep"
trap - EXIT
say "done: the operator can go on. This machine's host key, which the operator sees as well:"
printf '%s\n' "$host_key" | ssh-keygen -lf - | cut -d ' ' -f 2
)
