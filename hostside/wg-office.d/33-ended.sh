# Grants that end at a date (`until`): what has ended stays so, whatever the clock says later.
# Touches: `seen`; a generation's `ended`; in `verb_ended` host.nft of all generations, the table inet wg_office_host, and connections.

# --- what has ended by itself -----------------------------------------------------------------------------

# The judge goes by the clock. What it would then let in again, were the clock set back, is refused here: the latest time that was seen stands
# beside all generations, and what had ended by then is over. What has not ended yet waits until that time has come again.
seen() { cat "$etc/seen" 2>/dev/null || echo 0; }

small_correction=3600 # seconds by which a clock may be set back and nobody notices

note_time() {
  local now
  now=$(date +%s)
  if [ "$now" -gt "$(seen)" ]; then write "$etc/seen" "$now"; fi
}

has_ends() { grep -q ' until [0-9]*$' "$1/files/flows" 2>/dev/null; } # GEN

# Kept beside the generation, since it is in force by what was seen when it was written, and not by the clock of whoever looks.
leave_out_ended() { # GEN
  rm -f "$1/ended"
  has_ends "$1" || return 0
  note_time
  write "$1/ended" "$(ended "$1")"
}

ended() { # GEN: the content of a chain
  local seen
  seen=$(seen)
  # Sums are for the shell: mawk writes large numbers as 2.1e+09.
  awk -v seen="$seen" -v since="$((seen > small_correction ? seen - small_correction : 0))" "$as_rules"'
    $1 == "allow" { lines[++count] = $0; if (end_of($0) != "") ending[$2] }
    END {
      for (i = 1; i <= count; i++) {
        split(lines[i], word, " ")
        end = end_of(lines[i])
        if (word[2] in ending && (end == "" || end + 0 > seen + 0)) rules(lines[i], end == "" ? "return" : "meta time >= " since " return")
      }
      for (i = 1; i <= count; i++) if (end_of(lines[i]) != "") rules(lines[i], "drop")
    }
  ' "$1/files/flows"
}

verb_ended() {
  local gen
  take_lock 600
  write_all_host_rules
  gen=$(readlink -f "$run/running")
  [ -e "$gen/files/host.nft" ] || return 0
  nft_load "$gen/files/host.nft" wg_office_host
  sh "$gen/files/after-load"
}
