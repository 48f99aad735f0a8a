# What the program is asked (a verb), the names of what it has on a host, and how it gives up.
# Touches: nothing.

# wg-office on a host: brings this machine to the state that a description names, or leaves it as it was.
#
# Room: hostside/ runs on the hub, gateways and routers, as root, and knows nothing of Pulumi or YAML.
# It reaches the host with each deployment, in the stdin of the program's remote command. Verbs:
#
#   apply FILE    stage, check, arm the roll-back, change the running system; exits 75 "applied, unconfirmed".
#                 Run again over a new connection it confirms: one rename of `current` makes the change last.
#   remove FILE   take away what was installed, give back what was there; half a minute later where the session comes through the tunnel
#   leave         from that timer
#   keys          read "deployment ID" and "NAME KEY" lines from stdin into root-only files
#   forget-keys   remove the key files named on stdin again, where nothing uses them
#   booted        from wg-office.service, once rules and tunnel are there: takes away what an unconfirmed change has left
#   rollback UNIT from the armed timer of that name
#   activate DIGEST from the unit in which `apply` changes the running system
#   ended         from the timer of what ends by itself: the host remembers that it has, whatever its clock says later
#   revoke        read "revoke NAME ADDRESS..." and "lift NAME" lines from stdin: refuse that peer from now on, whatever a description says
#   status        what runs, against what should; changes nothing. `status full` is for a program: it also pings the
#                 addresses in stdin ("ping ADDRESS" lines) and ends with the description in force
#
# A description is a header of "key value" lines, then "---- file PATH MODE" sections, then "---- script".
# Whatever runs is derived from those files, never from a second list.
set -euo pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022

etc=/etc/wg-office
run=/run/wg-office
current=$etc/current
apply_unit="wg-office-apply"
leave_unit="wg-office-leave"
watch_unit="wg-office-firewalld"
follow_timer="wg-office-endpoint.timer"
until_timer="wg-office-until.timer"
rollback_unit="wg-office-rollback"
boot_unit=/etc/systemd/system/wg-office.service
networkd_drop_in=/etc/systemd/system/systemd-networkd.service.d/50-wg-office-endpoint.conf

# Exit statuses: wg_office/hosts/hostscript.py defines them, and puts a line with their numbers in front of this script. `unconfirmed` alone is
# answered by the engine's error hook, which then runs the same command again.
: "${unconfirmed:?}" "${busy:?}" "${foreign:?}" "${unfit:?}" "${rejected:?}" "${rolled_back:?}" "${went_back_but:?}"

die() { # STATUS MESSAGE
  printf 'wg-office: %s\n' "$2" >&2
  exit "$1"
}

# Below stands `grep -q WHAT < <(COMMAND)` and no pipe: grep leaves at the first match, and under `pipefail` a command that then still
# writes would turn the answer into a "no".
