# The verb is done.
# Touches: nothing by itself.

main() {
  IFS=. read -r SECONDS_SINCE_BOOT _ </proc/uptime
  local verb=${1:-}
  shift || true
  case $verb in
    remove | leave) "verb_$verb" "$@"; leave_nothing ;;
    apply | keys | activate | booted | ended | rollback | revoke | status) "verb_$verb" "$@" ;;
    forget-keys) verb_forget_keys "$@"; leave_nothing ;;
    *) die 64 "usage: wg-office apply FILE | remove FILE | leave | keys | forget-keys | activate DIGEST | booted | ended | rollback UNIT | revoke | status [full]" ;;
  esac
}

# The shell ends on this line: behind a script that came by stdin there are keys, which must not be taken for commands.
main "$@"; exec true
